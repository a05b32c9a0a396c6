"""Conversations and messages."""

from __future__ import annotations

CHINESE = {
    "New chat": "新对话",
    "This chat is not here any more.": "此对话已不在这里。",
    "Edited.": "已修改。",
    "Deleted.": "已删除。",
    "the message is empty: type something first": "消息是空的：请先输入内容",
    "the message has {characters} characters, but at most {limit} are possible: shorten it or send it in parts": (
        "这条消息有 {characters} 个字符，但最多只能有 {limit} 个：请缩短或分几次发送"
    ),
    "this conversation is still being answered: wait for the end, or stop it first": (
        "此对话正在回答中：请等待结束，或先停止"
    ),
    "this chat is being answered: stop the answer first, then undo": "此对话正在回答中：请先停止，再撤销",
    "this answer is complete: only one that was stopped, cut off or interrupted can go on": (
        "这个回答已经完整：只有被停止、截断或中断的回答才能继续"
    ),
    "Fireside is shutting down: start it again to go on": "Fireside 正在关闭：重新启动后即可继续",
    "there is no conversation {id}: it may have been deleted, reload the page": (
        "没有对话 {id}：可能已被删除，请重新加载页面"
    ),
    "there is no message {id}: it may have been deleted, reload the page": (
        "没有消息 {id}：可能已被删除，请重新加载页面"
    ),
    "there is no preset {id}: it may have been deleted, reload the page": (
        "没有预设 {id}：可能已被删除，请重新加载页面"
    ),
    "a chat has at most {count} tags of at most {length} characters each": (
        "一个对话最多有 {count} 个标签，每个最多 {length} 个字符"
    ),
}
