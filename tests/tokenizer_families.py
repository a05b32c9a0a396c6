"""Small tokenizers with the structure of the families' own: trained here, since theirs cannot be fetched.

Each is a `tokenizer.json` whose normaliser, pre-tokenizer, decoder, post-processor and flags of added tokens are those
of the family's file; only the vocabulary is smaller.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from engine.tokenizer import Tokenizer as OurTokenizer
from engine.tokenizer import tokenizer_from_folder
from engine.tokenizer.byte_bpe import alphabet
from tests.parity.mixed_text import lines

Json = dict[str, Any]
SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
CL100K = SUFFIX + (r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{SUFFIX}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{SUFFIX}?|\p{{N}}{{1,3}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = O200K.replace(SUFFIX + "?", "").replace("{1,3}", "")
DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    # The file has the line ends themselves in this one.
    (
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^CRLF\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
        r"| ?[\p{P}\p{S}]+[CRLF]*"
        r"|\s*[CRLF]+|\s+(?!\S)|\s+"
    ).replace("CRLF", "\r\n"),
)


def added(content: str, id: int, *, special: bool = True, rstrip: bool = False, normalized: bool = False) -> Json:
    return {
        "id": id,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": rstrip,
        "normalized": normalized,
        "special": special,
    }


def bos_template(token: str, id: int) -> Json:
    text = {"Sequence": {"id": "A", "type_id": 0}}
    bos = {"SpecialToken": {"id": token, "type_id": 0}}
    special_tokens = {token: {"id": token, "ids": [id], "tokens": [token]}}
    return {"type": "TemplateProcessing", "single": [bos, text], "pair": [bos, text], "special_tokens": special_tokens}


def split(pattern: str, behavior: str = "isolated", invert: bool = False) -> pre_tokenizers.Split:
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)  # type: ignore[arg-type]


def cut(*patterns: str, behavior: str = "isolated", invert: bool = False) -> pre_tokenizers.PreTokenizer:
    steps = [split(pattern, behavior, invert) for pattern in patterns]
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


WORDS = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def byte_level(
    pre_tokenizer: pre_tokenizers.PreTokenizer,
    *,
    first: tuple[str, ...] = (),
    last: tuple[str, ...] = (),
    words: Mapping[str, bool] | None = None,
    nfc: bool = False,
    whole_words: bool = False,
    add_bos: bool = False,
) -> Json:
    """first, last: control tokens before and after the vocabulary. words: ordinary added tokens to `normalized`."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=whole_words))
    tokenizer.pre_tokenizer = pre_tokenizer  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    if nfc:
        tokenizer.normalizer = normalizers.NFC()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=1_500, initial_alphabet=sorted(alphabet()), special_tokens=list(first), show_progress=False
    )
    tokenizer.train_from_iterator(lines(1_000, seed=5), trainer)
    description = json.loads(tokenizer.to_str())
    size = len(description["model"]["vocab"])
    control = [*enumerate(first), *enumerate(last, size)]
    description["added_tokens"] = [added(token, id) for id, token in control]
    for id, (token, normalized) in enumerate((words or {}).items(), size + len(last)):
        description["added_tokens"].append(added(token, id, special=False, normalized=normalized))
    if add_bos:
        description["post_processor"] = bos_template(control[0][1], control[0][0])
    return description


STRIP = decoders.Strip(content=" ", left=1, right=0)
METASPACE_DECODER = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
PREPEND = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def sentencepiece(
    *,
    control: tuple[str, ...],
    normalizer: normalizers.Normalizer | None = None,
    pre_tokenizer: pre_tokenizers.PreTokenizer | None = None,
    strips: bool = True,
    tokens: tuple[Json, ...] = (),
    pieces: tuple[str, ...] = (),
) -> Json:
    """control: tokens of the first ids. tokens: further added ones. pieces: user-defined ones, of the highest score."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Replace(" ", "▁")  # type: ignore[assignment]
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(vocab_size=1_200, limit_alphabet=400, show_progress=False)
    # No piece may be a control token that is added.
    tokenizer.train_from_iterator((line.replace("<|", "") for line in lines(1_000, seed=5)), trainer)
    trained = json.loads(tokenizer.to_str())["model"]
    joined = ["".join(merge) for merge in trained["merges"]]
    runs = ["▁" * length for length in range(2, 17)]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    characters = [text for text in trained["vocab"] if len(text) == 1]
    # As SentencePiece has them: pieces by rank, runs of spaces last of all unless they are user-defined.
    scores = dict.fromkeys(pieces, 0.0)
    scores |= {piece: -float(rank) for rank, piece in enumerate(dict.fromkeys(joined), 1) if piece not in scores}
    scores |= {run: -1e9 for run in runs if run not in scores}
    scores |= {piece: -float(rank) for rank, piece in enumerate(characters, len(joined) + 1)}
    texts = [*control, *bytes_, *scores]
    vocabulary = {text: id for id, text in enumerate(texts)}
    result = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    if normalizer:
        result.normalizer = normalizer  # type: ignore[assignment]
    if pre_tokenizer:
        result.pre_tokenizer = pre_tokenizer  # type: ignore[assignment]
    steps = [*METASPACE_DECODER, *([STRIP] if strips else [])]
    result.decoder = decoders.Sequence(steps)  # type: ignore[assignment]
    description = json.loads(result.to_str())
    description["model"]["merges"] = merges_by_score(vocabulary, scores)
    description["post_processor"] = bos_template(control[1], 1)
    description["added_tokens"] = [
        *(added(token, id) for id, token in enumerate(control)),
        *({**token, "id": len(texts) + place} for place, token in enumerate(tokens)),
        *(added(piece, vocabulary[piece], special=False) for piece in pieces),
    ]
    description["added_tokens"].sort(key=lambda token: token["id"])
    description["scores"] = [scores.get(text, 0.0) for text in texts]
    return description


def merges_by_score(vocabulary: Mapping[str, int], scores: Mapping[str, float]) -> list[list[str]]:
    """As transformers converted SentencePiece models when the families' files were made."""
    merges = []
    for piece, score in scores.items():
        halves = [(piece[:cut], piece[cut:]) for cut in range(1, len(piece))]
        known = [half for half in halves if half[0] in vocabulary and half[1] in vocabulary]
        merges += [(score, half) for half in sorted(known, key=lambda half: (vocabulary[half[0]], vocabulary[half[1]]))]
    merges.sort(key=lambda merge: merge[0], reverse=True)
    return [list(half) for _, half in merges]


def phi3() -> Json:
    """Its control tokens swallow the white space after them, all but three."""
    swallowing = ("<|assistant|>", "<|system|>", "<|end|>", "<|user|>")
    tokens = (added("<|endoftext|>", 0), *(added(token, 0, rstrip=True) for token in swallowing))
    description = sentencepiece(control=("<unk>", "<s>", "</s>"), normalizer=PREPEND, tokens=tokens)
    description["added_tokens"][2]["rstrip"] = True
    return description


FAMILIES: Mapping[str, Callable[[], Json]] = {
    "gpt2": lambda: byte_level(WORDS, last=("<|endoftext|>",)),
    "llama3": lambda: byte_level(cut(CL100K), last=("<|begin_of_text|>", "<|eot_id|>"), whole_words=True, add_bos=True),
    "qwen2": lambda: byte_level(
        cut(CL100K.replace("{1,3}", "")),
        last=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        words={"<think>": False, "</think>": False},
        nfc=True,
    ),
    "smollm": lambda: byte_level(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), WORDS]),
        first=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    ),
    "granite": lambda: byte_level(
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), WORDS]),
        first=("<|end_of_text|>",),
        last=("<|start_of_role|>", "<|end_of_role|>"),
    ),
    "olmoe": lambda: byte_level(
        WORDS,
        first=("<|padding|>",),
        last=("<|endoftext|>",),
        words={" " * length: True for length in range(24, 1, -1)},
        nfc=True,
    ),
    "olmo2": lambda: byte_level(cut(CL100K, behavior="removed", invert=True), last=("<|endoftext|>", "<|im_start|>")),
    "gpt4o": lambda: byte_level(cut(O200K), last=("<|endoftext|>", "<|end|>", "<|user|>")),
    "tekken": lambda: byte_level(
        cut(TEKKEN), first=("<unk>", "<s>", "</s>", "[INST]", "[/INST]"), whole_words=True, add_bos=True
    ),
    "deepseek": lambda: byte_level(
        cut(*DEEPSEEK), last=("<｜begin▁of▁sentence｜>", "<｜User｜>"), words={"<think>": False}, add_bos=True
    ),
    "llama2": lambda: sentencepiece(control=("<unk>", "<s>", "</s>"), normalizer=PREPEND),
    "mistral": lambda: sentencepiece(
        control=("<unk>", "<s>", "</s>", "[INST]", "[/INST]"),
        pre_tokenizer=pre_tokenizers.Metaspace("▁", "first", split=False),
    ),
    "gemma": lambda: sentencepiece(
        control=("<unk>", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        normalizer=normalizers.Replace(" ", "▁"),
        pre_tokenizer=pre_tokenizers.Split(" ", "merged_with_previous"),
        strips=False,
        pieces=(*("\n" * length for length in range(2, 32)), *("▁" * length for length in range(2, 32)), "<table>"),
    ),
    "phi3": phi3,
}
# What llama.cpp's converter calls them; Mistral's spaces after [INST] are not in a GGUF file.
GGUF_NAMES: Mapping[str, str] = {
    "gpt2": "gpt-2",
    "llama3": "llama-bpe",
    "qwen2": "qwen2",
    "smollm": "smollm",
    "granite": "refact",
    "olmoe": "olmo",
    "olmo2": "dbrx",
    "gpt4o": "gpt-4o",
    "tekken": "tekken",
    "deepseek": "deepseek-v3",
    "llama2": "",
    "gemma": "",
    "phi3": "",
}


@cache
def described(family: str) -> Json:
    return FAMILIES[family]()


@cache
def reference(family: str) -> Tokenizer:
    return Tokenizer.from_str(json.dumps({key: value for key, value in described(family).items() if key != "scores"}))


@cache
def reference_of_text(family: str) -> Tokenizer:
    """The same, to which control tokens in the text are text."""
    tokenizer = Tokenizer.from_str(reference(family).to_str())
    tokenizer.encode_special_tokens = True
    return tokenizer


def write_folder(folder: Path, description: Json, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = {key: value for key, value in description.items() if key != "scores"}
    (folder / "tokenizer.json").write_text(json.dumps(file, ensure_ascii=False), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def from_folder(folder: Path, description: Json, **config: Any) -> OurTokenizer:
    return tokenizer_from_folder(write_folder(folder, description, **config))


def gguf_metadata(family: str) -> Json:
    """What llama.cpp's converter makes of the family's tokenizer.json."""
    description = described(family)
    extra = {token["id"]: token for token in description["added_tokens"]}
    ids = {id: text for text, id in description["model"]["vocab"].items()}
    ids |= {id: token["content"] for id, token in extra.items()}
    texts = [ids[id] for id in range(len(ids))]
    types = [(3 if extra[id]["special"] else 4) if id in extra else 1 for id in range(len(ids))]
    fields: Json = {"tokens": texts, "token_type": types}
    if "scores" not in description:
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in description["model"]["merges"]]
        fields |= {"model": "gpt2", "pre": GGUF_NAMES[family], "merges": merges}
    else:
        scores = [*description["scores"], *[-1000.0] * (len(ids) - len(description["scores"]))]
        for id, text in enumerate(texts):
            if text == "<unk>":
                types[id] = 2
            elif text.startswith("<0x"):
                types[id] = 6
            elif types[id] == 4:
                texts[id], scores[id] = text.replace("▁", " "), -1000.0
        fields |= {"model": "llama", "scores": scores, "add_space_prefix": family != "gemma"}
    architecture = {"phi3": "phi3"}.get(family, "llama")
    return {"general.architecture": architecture, **{f"tokenizer.ggml.{key}": value for key, value in fields.items()}}
