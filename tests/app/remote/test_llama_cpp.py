"""The real llama.cpp server, where the xllamacpp wheel is installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from app.backend import AnswerInterrupted
from app.remote import Address, RemoteEngine
from app.remote.connection import Patience
from app.remote.errors import BreakerOpen
from engine import ContextOverflow, Sampling
from tests.app.remote.llama_cpp import SLOT_TOKENS, LlamaServer, needs_llama_cpp

pytestmark = needs_llama_cpp
STORY = [{"role": "user", "content": "Write a long story."}]
QUICK = Patience(pause=0.01)
Messages = list[dict[str, Any]]


@pytest.fixture(scope="module")
def engine(llama: LlamaServer) -> Iterator[RemoteEngine]:
    engine = RemoteEngine.connect(Address.parse(llama.address), patience=QUICK)
    yield engine
    engine.close()


def test_what_it_is_and_its_tokens(engine: RemoteEngine) -> None:
    assert (engine.info.context, engine.info.kernels, engine.info.ignored) == (SLOT_TOKENS, "llama.cpp", ())
    assert engine.detokenize(engine.tokenize("Hello é")) == "Hello é"


def test_an_answer_with_its_tokens_and_its_usage(engine: RemoteEngine) -> None:
    run = engine.chat(STORY, Sampling(temperature=0, max_tokens=8, logprobs=2))
    steps = list(run)
    tokens = [step.token for step in steps if step.token is not None]
    assert (len(tokens), steps[-1].finish_reason) == (8, "length")
    assert engine.detokenize(tokens) == "".join(step.text for step in steps)
    told = [step for step in steps if step.token is not None]
    assert all(len(step.top) == 2 and step.top[0][0] == step.token and step.rank == 1 for step in told)
    assert (run.stats.new_tokens, run.stats.prompt_tokens) == (8, len(engine.chat_tokens(STORY)))


def test_it_goes_on_with_an_answer(engine: RemoteEngine) -> None:
    greedy = Sampling(temperature=0, max_tokens=24)
    whole = "".join(step.text for step in engine.chat(STORY, greedy))
    begun = whole[: whole.index(" ", len(whole) // 2)]
    rest = "".join(step.text for step in engine.chat([*STORY, {"role": "assistant", "content": begun}], greedy))
    assert (begun + rest).startswith(whole)


def test_an_answer_is_held_to_a_schema(engine: RemoteEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "legs": {"type": "integer", "maximum": 9}},
        "required": ["name", "legs"],
    }
    steps = engine.chat(STORY, Sampling(temperature=0, max_tokens=120), schema=schema)
    jsonschema_rs.validate(schema, json.loads("".join(step.text for step in steps)))


def test_a_stop_frees_its_slot(engine: RemoteEngine, llama: LlamaServer) -> None:
    run = engine.chat(STORY, Sampling(ignore_eos=True))
    for number, _ in enumerate(run):
        if number == 3:
            assert llama.busy == 1
            run.cancel()
    print(f"freed after {llama.wait_idle(2):.2f} s")


def test_a_prompt_that_is_too_long_is_told_with_its_figures(engine: RemoteEngine) -> None:
    with pytest.raises(ContextOverflow, match=rf"2,0\d\d .*{SLOT_TOKENS}"):
        list(engine.chat([{"role": "user", "content": "word " * 2000}]))


def test_killed_in_mid_answer_and_started_again(engine: RemoteEngine, llama: LlamaServer) -> None:
    said = ""

    def until_killed() -> None:
        nonlocal said
        for step in engine.chat(STORY, Sampling(ignore_eos=True)):
            said += step.text
            if len(said) > 20:
                llama.kill()

    with pytest.raises(AnswerInterrupted, match="is kept"):
        until_killed()
    assert len(said) > 20
    with pytest.raises(BreakerOpen, match=r"is it running.*tried again in"):
        list(engine.chat(STORY))
    assert "is it running" in engine.breaker.trouble
    llama.start()
    engine.breaker.hurry()
    engine.refresh()
    assert engine.breaker.trouble == ""
    assert list(engine.chat(STORY, Sampling(max_tokens=4)))[-1].finish_reason == "length"
