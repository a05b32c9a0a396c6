"""What a model's authors advise about answers: which tokens end them, and how to sample."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.checkpoint.json_file import read_json
from engine.errors import InvalidSampling, ModelFormatError
from engine.sampling import Sampling

FILE = "generation_config.json"
MAX_BYTES = 1_000_000
MAX_EOS_IDS = 100
# Their names to ours.
FOLDER_NAMES: Mapping[str, str] = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
}
GGUF_NAMES: Mapping[str, str] = {
    "general.sampling.temp": "temperature",
    "general.sampling.top_k": "top_k",
    "general.sampling.top_p": "top_p",
    "general.sampling.min_p": "min_p",
    "general.sampling.penalty_repeat": "repetition_penalty",
}


class Generation(NamedTuple):
    """eos_ids: tokens that end an answer. recommended: settings by the names of `Sampling`, all valid; nothing is said
    about what is not in it. ignored: a line for each piece of advice that cannot be followed, and why."""

    eos_ids: tuple[int, ...]
    recommended: Mapping[str, Any]
    ignored: tuple[str, ...] = ()


def folder_generation(folder: Path, vocabulary: int) -> Generation:
    """The advice of `generation_config.json`; none where there is no such file.

    `do_sample: false` means the likeliest token always, temperature 0, and the other settings mean nothing then. Where
    it is not said, the settings are taken as advice. A `top_k` below 0 keeps all tokens, as 0 does. Values out of
    range are ignored, and so are ids beyond the vocabulary. Raises ModelFormatError for a damaged file.
    """
    path = folder / FILE
    if not path.is_file():
        return Generation((), {})
    config = read_json(path, MAX_BYTES)
    eos_ids, ignored = _eos_ids(config.get("eos_token_id"), vocabulary)
    do_sample = config.get("do_sample")
    if do_sample is False:
        return Generation(eos_ids, {"temperature": 0.0}, ignored)
    recommended, more = _settings(config, FOLDER_NAMES)
    return Generation(eos_ids, recommended, ignored + more)


def gguf_generation(metadata: Mapping[str, Any]) -> Generation:
    """The advice of a GGUF file's `general.sampling` keys, as `folder_generation`; its tokenizer has the end tokens."""
    return Generation((), *_settings(metadata, GGUF_NAMES))


def _eos_ids(value: Any, vocabulary: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    ids = value if isinstance(value, list) else [] if value is None else [value]
    if len(ids) > MAX_EOS_IDS:
        raise ModelFormatError(f"{FILE} names {len(ids):,} end tokens; at most {MAX_EOS_IDS} are allowed")
    known = tuple(id for id in ids if type(id) is int and 0 <= id < vocabulary)
    ignored = (f"eos_token_id {id!r:.40} is no id of 0 to {vocabulary - 1}" for id in ids if id not in known)
    return known, tuple(ignored)


def _settings(advice: Mapping[str, Any], names: Mapping[str, str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    recommended: dict[str, Any] = {}
    ignored: list[str] = []
    for theirs, ours in names.items():
        value = advice.get(theirs)
        if value is None:
            continue
        if ours == "top_k" and type(value) is int and value < 0:
            value = 0
        try:
            # GGUF's numbers are float32: 0.7 is 0.699999988 there.
            value = float(f"{value:.6g}") if isinstance(value, float) else value
            recommended[ours] = getattr(Sampling.from_dict({ours: value}), ours)
        except InvalidSampling as error:
            ignored.append(str(error))
    return recommended, tuple(ignored)
