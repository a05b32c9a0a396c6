"""Models, downloads and engines."""

from __future__ import annotations

CHINESE = {
    "{name} is ready": "{name} 已就绪",
    "{name} is not loaded yet": "{name} 尚未加载",
    "looking for {name}": "正在查找 {name}",
    "loading {name}": "正在加载 {name}",
    "checking {name}": "正在校验 {name}",
    "downloading {name}": "正在下载 {name}",
    # Titles of the catalog.
    "{name}, reasons before it answers": "{name}，先思考再回答",
    "{name}, 4-bit": "{name}，4 位",
    # Why a model is not there.
    "cannot reach {host}: HF_HUB_OFFLINE is set; unset it and try again": (
        "无法连接 {host}：已设置 HF_HUB_OFFLINE，请取消后重试"
    ),
    "cannot reach {host} ({reason}): connect and try again; what has arrived is kept": (
        "无法连接 {host}（{reason}）：请检查网络后重试，已下载的部分会保留"
    ),
    "the connection to {host} broke ({reason}): try again; what has arrived is kept": (
        "与 {host} 的连接中断（{reason}）：请重试，已下载的部分会保留"
    ),
    "{host} answers with an error ({status}): try again later; what has arrived is kept": (
        "{host} 返回错误（{status}）：请稍后重试，已下载的部分会保留"
    ),
    "{host} wants fewer requests (429): try again in {seconds} seconds": (
        "{host} 限制了请求次数（429）：请在 {seconds} 秒后重试"
    ),
    "{host} wants fewer requests (429): try again in some minutes": ("{host} 限制了请求次数（429）：请过几分钟再试"),
    "there is no {repository} on {host}, or it is private or your token is not valid: check the name; {advice}": (
        "{host} 上没有 {repository}，或者它是私有的，或者你的令牌无效：请检查名称"
    ),
    "there is no {repository} on {host}: check the name; {advice}": "{host} 上没有 {repository}：请检查名称",
    "{name} names no repository of the hub: write {form}": "{name} 不是模型库中的名称：请写成 {form}",
    "the disk of {folder} filled up: free some space, or choose another with --models": (
        "{folder} 所在的磁盘已满：请腾出空间，或用 --models 选择其他文件夹"
    ),
    "fetching {name} needs {need} on the disk of {folder}, which has {free} free: free some space, or choose another "
    "folder with --models": (
        "获取 {name} 需要 {folder} 所在磁盘有 {need} 空间，目前只剩 {free}：请腾出空间，或用 --models 选择其他文件夹"
    ),
    "cannot write to the models folder {folder} ({reason}): make it writable, or choose another with --models": (
        "无法写入模型文件夹 {folder}（{reason}）：请开放写入权限，或用 --models 选择其他文件夹"
    ),
    "{name} cannot be used: {reason}": "{name} 无法使用：{reason}",
    "{name} cannot be loaded: {reason}": "{name} 无法加载：{reason}",
    "the download failed: {reason}": "下载失败：{reason}",
}
