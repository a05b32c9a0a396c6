"""Fireside's page, store and API on a real vLLM: what it is told, what it answers, and how it is stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import jsonschema_rs
import openai
import pytest
from playwright.sync_api import Browser, expect

from app.home import models_folder
from app.remote import Address, RemoteEngine
from app.store import Store
from engine import ContextOverflow, Engine, Sampling
from tests.app import plain_http
from tests.app.api.conftest import api_server, client_of
from tests.browser.conftest import answers, ask, serving, wait_answered
from tests.conformance.conftest import CONTEXT

pytestmark = pytest.mark.slow
QUESTIONS = ("What is the capital of France?", "Name three animals.", "How do I light a campfire?")
STORY: list[Any] = [{"role": "user", "content": "Write a long story about a dragon."}]


@pytest.fixture(scope="module")
def remote(vllm: str) -> Iterator[RemoteEngine]:
    engine = RemoteEngine.connect(Address.parse(vllm))
    yield engine
    engine.close()


def test_it_is_known_and_its_context_is_found(remote: RemoteEngine) -> None:
    assert (remote.info.kernels, remote.info.context, remote.info.ignored) == ("vLLM", CONTEXT, ())


def test_greedy_answers_are_those_of_our_own_engine(remote: RemoteEngine, folder: Path) -> None:
    greedy = Sampling(temperature=0, max_tokens=48, logprobs=2)
    with Engine.load(folder, kernels="torch", dtype="float32", context=CONTEXT) as ours:
        for question in QUESTIONS:
            messages = [{"role": "user", "content": question}]
            steps = [list(engine.chat(messages, greedy)) for engine in (ours, remote)]
            own, theirs = ("".join(step.text for step in each) for each in steps)
            assert theirs == own
            # With the same probabilities, but for the last digits.
            tokens = [[step for step in each if step.token is not None] for each in steps]
            # The end itself is told by one of them only.
            assert abs(len(tokens[0]) - len(tokens[1])) <= 1
            for mine, other in zip(*tokens, strict=False):
                assert mine.token == other.token
                assert mine.logprob == pytest.approx(other.logprob, abs=1e-2)


def test_the_usage_and_the_tokens_are_theirs(remote: RemoteEngine) -> None:
    run = remote.chat(STORY, Sampling(temperature=0, max_tokens=16, logprobs=3))
    steps = list(run)
    tokens = [step.token for step in steps if step.token is not None]
    assert (run.stats.new_tokens, len(tokens), steps[-1].finish_reason) == (16, 16, "length")
    assert run.stats.prompt_tokens == len(remote.chat_tokens(STORY))
    assert remote.detokenize(tokens) == "".join(step.text for step in steps)
    assert all(len(step.top) == 3 for step in steps if step.token is not None)


def test_an_answer_is_held_to_a_schema(remote: RemoteEngine) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "legs": {"type": "integer"}},
        "required": ["name", "legs"],
        "additionalProperties": False,
    }
    run = remote.chat(STORY, Sampling(temperature=0, max_tokens=200), schema=schema)
    jsonschema_rs.validate(schema, json.loads("".join(step.text for step in run)))


def test_an_answer_goes_on_from_its_text(remote: RemoteEngine) -> None:
    greedy = Sampling(temperature=0, max_tokens=24)
    whole = "".join(step.text for step in remote.chat(STORY, greedy))
    begun = whole[: whole.index(" ", len(whole) // 2)]
    rest = "".join(step.text for step in remote.chat([*STORY, {"role": "assistant", "content": begun}], greedy))
    assert (begun + rest).startswith(whole)


def running(vllm: str) -> float:
    lines = plain_http.get(vllm.removesuffix("/v1") + "/metrics", timeout=20).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:num_requests_running"))


def until_free(vllm: str) -> float:
    """Seconds until nothing is computed; at most two are allowed."""
    begun = monotonic()
    while running(vllm):
        assert monotonic() - begun < 2
        sleep(0.02)
    return monotonic() - begun


def test_a_stop_frees_the_request(remote: RemoteEngine, vllm: str) -> None:
    run = remote.chat(STORY, Sampling(ignore_eos=True))
    for number, _ in enumerate(run):
        if number == 5:
            assert running(vllm) == 1
            run.cancel()
    print(f"freed within {until_free(vllm):.2f} s")


def test_a_prompt_that_is_too_long(remote: RemoteEngine) -> None:
    with pytest.raises(ContextOverflow):
        list(remote.chat([{"role": "user", "content": "word " * 4000}]))


def test_openai_python_is_answered_through_it(remote: RemoteEngine, tmp_path: Path) -> None:
    with (
        Store.open(tmp_path / "home") as store,
        api_server(store, remote) as address,
        client_of(address) as client,
    ):
        stream = client.chat.completions.create(
            model="", messages=STORY, stream=True, stream_options={"include_usage": True}, max_tokens=12, logprobs=True
        )
        *chunks, usage = list(stream)
        assert usage.usage is not None
        assert usage.usage.completion_tokens == 12
        assert sum(len(chunk.choices[0].logprobs.content or ()) for chunk in chunks if chunk.choices[0].logprobs) == 12
        with pytest.raises(openai.APIError, match=r"context|long"):
            client.chat.completions.create(model="", messages=[{"role": "user", "content": "word " * 4000}])


def test_the_page_talks_to_it(vllm: str, browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path, models_folder(), options=("--engine", vllm)) as server:
        page = browser.new_page()
        page.goto(server.url)
        expect(page.get_by_text(f"0 / {CONTEXT:,} ctx")).to_be_visible(timeout=60_000)
        page.get_by_role("button", name="Settings", exact=True).click()
        page.get_by_role("slider", name="Temperature", exact=True).fill("0")
        ask(page, "What is the capital of France?")
        wait_answered(page)
        expect(answers(page)).to_contain_text("Paris")
        ask(page, "Write a very long story about a dragon and a knight.")
        expect(answers(page).last).to_contain_text("dragon", timeout=60_000)
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(answers(page).last).to_contain_text("Stopped.")
        until_free(vllm)
        begun = len(answers(page).last.inner_text())
        page.get_by_role("button", name="Continue").click()
        page.wait_for_function(
            "least => [...document.querySelectorAll('[role=log] article')].at(-1).innerText.length > least + 40",
            arg=begun,
            timeout=60_000,
        )
        page.get_by_role("button", name="Stop", exact=True).click()
        until_free(vllm)
        page.close()
