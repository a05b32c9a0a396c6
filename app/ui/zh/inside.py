"""What is seen inside an answer."""

from __future__ import annotations

CHINESE = {
    "{name} is on another server, which tells no more than it sent with the answer: choose a model of this computer to "
    "score, replay or look inside": (
        "{name} 在另一台服务器上，它只提供随回答发来的信息：请选择本机的模型来打分、重现或查看内部"
    ),
    "this text came without tokens: score it, and it has those of the loaded model": (
        "此文本没有自带词元：打分后即有已加载模型的词元"
    ),
    "{name} at {server} wrote this, which only that server could do again: score it instead": (
        "这是 {server} 上的 {name} 写的，只有那台服务器能重现：可改为打分"
    ),
    "the files of {name} are not those that wrote this (SHA-256 {then}, now {now}): bring the earlier ones back, or "
    "score the text with these": (
        "{name} 的文件已不是写下此回答的那些（SHA-256 {then}，现在 {now}）：请恢复原来的文件，或用现在的打分"
    ),
    "this was written by {name} ({then}), and {loaded} ({now}) is loaded: load that model, or score the text with this "
    "one": "这是 {name}（{then}）写的，而现在加载的是 {loaded}（{now}）：请加载那个模型，或用现在的打分",
    "there is no token {index}: this answer has {count}, counted from 0": (
        "没有词元 {index}：此回答有 {count} 个，从 0 数起"
    ),
    "there is no token {id}: ids go from 0 to {last}": "没有编号为 {id} 的词元：编号从 0 到 {last}",
    "this answer is still being written: stop it first, or wait for its end": (
        "此回答仍在书写中：请先停止，或等它结束"
    ),
    "this token ends the answer there: choose another, or edit the text to end it": (
        "这个词元会在此处结束回答：请另选一个，或修改文本来结束"
    ),
    "a word may have {most} characters, not {count}: edit the answer to write more": (
        "一个词最多 {most} 个字符，而不是 {count} 个：要写更多请修改回答"
    ),
    "this is no token: type a word, or choose one of the alternatives": "这不是词元：请输入一个词，或从候选中选择",
    "{word} is {count} tokens ({tokens}): branch with all of them, or with the first alone": (
        "{word} 是 {count} 个词元（{tokens}）：可用全部分支，或只用第一个"
    ),
    "{count} tokens: branch with all of them, or with the first alone": "{count} 个词元：可用全部分支，或只用第一个",
    "two to {most} presets are compared, not {count}": "可比较 2 到 {most} 个预设，而不是 {count} 个",
    "a sweep has 2 to {most} values, not {count}": "一次扫描有 2 到 {most} 个值，而不是 {count} 个",
    "this answer was not compared with others: there is nothing to choose from": "此回答没有与别的比较过：无从选择",
    "temperature {value}": "温度 {value}",
    "seed {value}": "随机种子 {value}",
    "this answer was not compared with others": "此回答没有与别的比较过",
    "the tokens of {name} stay as they are: score this without keeping it": ("{name} 的词元保持原样：请打分但不保存"),
    "only a finished answer is scored": "只有已结束的回答才能打分",
    "only answers are scored": "只有回答才能打分",
    "this answer has no question before it: nothing tells how likely it is": ("此回答之前没有问题：无从得知它有多可能"),
    "this answer is still being written": "此回答仍在书写中",
    "no seed or settings were kept with this, so it cannot be made again: score it": (
        "没有保存种子或设置，因此无法重现：可以打分"
    ),
    "the prompt of this answer is not known": "此回答的提示未知",
    "the prompt of this answer is not what it was": "此回答的提示已不是原来的",
    "the replay was stopped": "重现已停止",
    "it ends after {count} tokens now": "现在它在 {count} 个词元后结束",
    "Fireside: {then} then, {now} now, so the last digits may differ": (
        "Fireside：当时 {then}，现在 {now}，末位数字可能不同"
    ),
    "device: {then} then, {now} now, so the last digits may differ": "设备：当时 {then}，现在 {now}，末位数字可能不同",
    "precision: {then} then, {now} now, so the last digits may differ": (
        "精度：当时 {then}，现在 {now}，末位数字可能不同"
    ),
    "weights: {then} then, {now} now, so the last digits may differ": "权重：当时 {then}，现在 {now}，末位数字可能不同",
    "kernels: {then} then, {now} now, so the last digits may differ": (
        "内核：当时 {then}，现在 {now}，末位数字可能不同"
    ),
    "threads: {then} then, {now} now, so the last digits may differ": "线程：当时 {then}，现在 {now}，末位数字可能不同",
    "answers beside it may have changed its last digits: --deterministic rules that out": (
        "同时进行的回答可能改变了它的末位数字：--deterministic 可排除这一点"
    ),
    "the prompt can be told as tokens while {name} is loaded": "加载 {name} 时才能以词元列出提示",
    "where each setting came from was not kept when this was written": "写下时没有保存各项设置的来源",
    "which messages were in sight was not kept when this was written: told as it would be today": (
        "写下时没有保存模型能看到哪些消息：按今天的情形推断"
    ),
    "not kept when this was written: device": "写下时没有保存：设备",
    "not kept when this was written: kernels": "写下时没有保存：内核",
    "not kept when this was written: threads": "写下时没有保存：线程数",
    "no model is loaded that could make the prompt again": "没有加载能重现提示的模型",
    "nothing was kept to prove the prompt by: it is as it would be made today": (
        "没有保存可验证提示的依据：按今天的方式重现"
    ),
    "the prompt cannot be made again as it was: a message before it was deleted or continued since, or its template "
    "has changed, or has the date in it": "提示无法照原样重现：之前的某条消息已被删除或续写，或者模板已改变或含有日期",
    "the attention of {layers} layers and {heads} heads over {tokens} tokens has {count} numbers, and at most {most} "
    "are shown: look at one of the first {first} tokens": (
        "{layers} 层 {heads} 头对 {tokens} 个词元的注意力有 {count} 个数，最多显示 {most} 个："
        "请查看前 {first} 个词元之一"
    ),
}
