"""Presets and sampling settings."""

from __future__ import annotations

CHINESE = {
    "Balanced": "均衡",
    "Creative": "创意",
    "Precise": "精确",
    "Saved the preset {name}.": "已保存预设“{name}”。",
    "Renamed to {name}.": "已重命名为“{name}”。",
    "Made the preset {name}.": "已创建预设“{name}”。",
    "Imported the preset {name}.": "已导入预设“{name}”。",
    "Deleted the preset {name}.": "已删除预设“{name}”。",
    "The settings are as they were before.": "设置已恢复到之前的状态。",
    "there is no change of settings left to undo in this chat": "此对话没有可以撤销的设置更改",
}
