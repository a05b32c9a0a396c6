"""Engines elsewhere."""

from __future__ import annotations

CHINESE = {
    "{name} answers at {address}": "{name} 在 {address} 回答",
    "That is no address of an engine.": "这不是引擎的地址。",
    "the engine at {address} cannot be reached: is it running?": "无法连接 {address} 的引擎：它在运行吗？",
    "the engine at {address} does not answer within {seconds} s": "{address} 的引擎在 {seconds} 秒内没有响应",
    "the engine at {address} gave no reply within {seconds} s": "{address} 的引擎在 {seconds} 秒内没有答复",
    "the engine at {address} broke the connection: {why}": "{address} 的引擎中断了连接：{why}",
    "the engine at {address} wants another key (HTTP {status}): {why}": (
        "{address} 的引擎需要其他密钥（HTTP {status}）：{why}"
    ),
    "the engine at {address} does not have what was asked for (HTTP {status}): {why}": (
        "{address} 的引擎没有所请求的内容（HTTP {status}）：{why}"
    ),
    "the engine at {address} has too much to do: {why}": "{address} 的引擎过于繁忙：{why}",
    "the engine at {address} is not ready yet: {why}": "{address} 的引擎尚未就绪：{why}",
    "the engine at {address} failed (HTTP {status}): {why}": "{address} 的引擎出错（HTTP {status}）：{why}",
    "the engine at {address} does not take the request (HTTP {status}): {why}": (
        "{address} 的引擎不接受该请求（HTTP {status}）：{why}"
    ),
    "the engine at {address} lists no model": "{address} 的引擎没有列出任何模型",
    "nothing is sent to {address}: {why}": "不会向 {address} 发送任何内容：{why}",
    "{address} is no address of an engine: write it as http://host:8000/v1": (
        "{address} 不是引擎的地址：请写成 http://host:8000/v1"
    ),
    "an engine's address has no password, query or fragment: its key is given by itself": (
        "引擎的地址不含密码、查询参数或片段：密钥请单独填写"
    ),
    "the engine does not tell its context, {count} tokens are assumed": ("引擎没有告知上下文长度，按 {count} 个词元计"),
    "{names} are not told to the engine: OpenAI's API does not have them": (
        "不会告知引擎 {names}：OpenAI API 没有这些设置"
    ),
    "{why}. What there is of the answer is kept": "{why}。已有的回答内容会保留",
    "{why}; it is tried again in {seconds} s": "{why}；{seconds} 秒后重试",
}
