"""What a streamed answer shows, where the tokenizer puts a space before every text: what transformers decodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import transformers
from transformers import PreTrainedTokenizerBase

from engine import Engine, Sampling
from engine.text import Shown
from tests.parity.mixed_text import lines
from tests.parity.tiny_families import make, save
from tests.tokenizer_families import Json, added, described, write_folder

QUESTION = [{"role": "user", "content": "Why?"}]
TEMPLATE = "{{ bos_token }}{% for message in messages %}{{ message['content'] }}{% endfor %}"
# What the template of a reasoning model has, by which it is known as one.
REASONING = TEMPLATE + "{# <think> </think> #}"
THINK = ("<think>", "</think>")


def size(description: Json) -> int:
    return 1 + max([*description["model"]["vocab"].values(), *(token["id"] for token in description["added_tokens"])])


def write(folder: Path, description: Json, template: str) -> Path:
    save(make("llama", vocab_size=size(description), num_hidden_layers=1), folder)
    bos = description["added_tokens"][1]["content"]
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "chat_template": template}
    return write_folder(folder, description, **config)


def shown(engine: Engine, ids: list[int]) -> Shown:
    """What is shown of an answer of these tokens, pushed one by one as those that are generated are."""
    run = engine.chat(QUESTION, Sampling(max_tokens=1), answer=ids)
    for _ in run:
        pass
    return run.begun


class Pair:
    def __init__(self, folder: Path, engine: Engine) -> None:
        self.engine = engine
        self.reference: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(folder)

    def ids(self, text: str) -> list[int]:
        return self.engine.tokenize(text)

    def control(self, token: str) -> int:
        id = self.reference.convert_tokens_to_ids(token)
        assert isinstance(id, int)
        return id

    def decoded(self, ids: list[int]) -> str:
        text = self.reference.decode(ids, skip_special_tokens=True)
        assert isinstance(text, str)
        return text


@pytest.fixture(scope="module", params=["llama2", "mistral", "gemma", "phi3"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = write(tmp_path_factory.mktemp(request.param) / "model", described(request.param), TEMPLATE)
    with Engine.load(folder, device="cpu", threads=1) as engine:
        yield Pair(folder, engine)


def test_an_answer_reads_as_transformers_decodes_it(pair: Pair) -> None:
    texts = ["word", " word", "  two", "\n line", "é", "🙂 x", *lines(60, seed=21)]
    control = list(pair.reference.all_special_ids)
    compared = 0
    for place, text in enumerate(texts):
        ids = pair.ids(text)[:120]
        # A model may write a control token before its first word, and between words.
        for answer in (ids, [control[place % len(control)], *ids], [*ids[:3], control[0], *ids[3:]]):
            if (expected := pair.decoded(answer)).endswith("\ufffd"):
                continue  # cut within a character, which a stream waits for
            assert shown(pair.engine, answer).text == expected, answer
            compared += 1
    assert compared > 150


@pytest.fixture(scope="module")
def reasoning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Llama 2's kind of tokenizer with tags that are control tokens."""
    description = described("llama2")
    first = size(description)
    tags = [added(tag, first + place) for place, tag in enumerate(THINK)]
    description = {**description, "added_tokens": [*description["added_tokens"], *tags]}
    folder = write(tmp_path_factory.mktemp("reasoning") / "model", description, REASONING)
    with Engine.load(folder, device="cpu", threads=1) as engine:
        yield Pair(folder, engine)


@pytest.mark.parametrize("thoughts", ["Let me see", "  two spaces", "\nlines\n\n", ""])
@pytest.mark.parametrize("answer", ["The sea", " spaced", "x"])
def test_thoughts_and_answer_read_as_transformers_decodes_each(reasoning: Pair, thoughts: str, answer: str) -> None:
    assert reasoning.engine.info.reasoning
    before, after = reasoning.ids(thoughts), reasoning.ids(answer)
    opening, closing = (reasoning.control(tag) for tag in THINK)
    found = shown(reasoning.engine, [opening, *before, closing, *after])
    assert found == Shown(reasoning.decoded(before).strip("\n"), reasoning.decoded(after))
