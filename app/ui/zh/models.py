"""Models, downloads and engines."""

from __future__ import annotations

CHINESE = {
    "{name} is ready": "{name} 已就绪",
    "{name} is not loaded yet": "{name} 尚未加载",
    "looking for {name}": "正在查找 {name}",
    "loading {name}": "正在加载 {name}",
    "checking {name}": "正在校验 {name}",
    "downloading {name}": "正在下载 {name}",
}
