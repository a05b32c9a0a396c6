"""`fireside ask` with the real model."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from app.store import Store
from tests.app.command import fireside, start
from tests.tiny import CHAT_TEMPLATE, write_tiny_llama
from weights import DEFAULT

LONG = "Write a long story about a lighthouse keeper and the sea."


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_path: Path) -> None:
    monkeypatch.setenv("FIRESIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FIRESIDE_MODELS", str(model_path.parents[1]))


def test_the_capital_of_france() -> None:
    result = fireside("ask", "What is the capital of France?", "--temperature", "0")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Paris" in result.stdout


def test_json_has_the_answer_and_all_that_made_it(model_path: Path) -> None:
    result = fireside("ask", "-", "--model", model_path, "--seed", "7", "--max-tokens", "8", "--json", stdin="Say hi.")
    assert (result.returncode, result.stderr) == (0, "")
    answer = json.loads(result.stdout)
    assert answer["text"]
    assert answer["model_digest"] == DEFAULT.sha256
    assert answer["settings"]["seed"] == answer["stats"]["seed"] == 7
    assert answer["settings"]["max_tokens"] == 8
    assert answer["stats"]["new_tokens"] <= 8


def test_the_seed_that_was_drawn_repeats_the_answer() -> None:
    ask = ("ask", "Name three animals.", "--temperature", "1", "--max-tokens", "24", "--json")
    first = json.loads(fireside(*ask).stdout)
    again = json.loads(fireside(*ask, "--seed", str(first["stats"]["seed"])).stdout)
    assert again["text"] == first["text"]


def test_a_preset_of_ones_own_is_used(tmp_path: Path) -> None:
    with Store.open(tmp_path / "home") as store:
        store.presets.save("Mine", {"temperature": 0.0, "max_tokens": 3})
    answer = json.loads(fireside("ask", "Hello", "--preset", "mine", "--json").stdout)
    assert (answer["settings"]["temperature"], answer["settings"]["max_tokens"]) == (0.0, 3)


def test_a_prompt_longer_than_the_context_is_refused_with_the_figures() -> None:
    result = fireside("ask", "-", stdin="word " * 20_000)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "8,192" in result.stderr


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    with start("ask", LONG, "--max-tokens", "2000", "--temperature", "0") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(1)
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_ctrl_c_keeps_what_was_said_in_whole_characters() -> None:
    with start("ask", f"{LONG} Use emoji.", "--max-tokens", "2000", "--seed", "1") as process:
        assert process.stdout
        assert process.stderr
        said = process.stdout.read(20)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        said += process.stdout.read()
        assert process.wait(60) == 130
        assert time.monotonic() - began < 5
        assert said.decode("utf-8").endswith("\n")
        assert process.stderr.read() == b""


@pytest.fixture
def thinker(tmp_path: Path) -> Path:
    """A tiny model whose template opens the thoughts, and whose authors recommend something."""
    template = CHAT_TEMPLATE.replace("assistant\\n", "assistant\\n<think>\\n").replace(
        "assistant\n", "assistant\n<think>\n"
    )
    return write_tiny_llama(tmp_path / "thinker.gguf", chat_template=template, metadata={"general.sampling.top_k": 7})


def test_thoughts_go_to_standard_error_and_the_answer_to_standard_output(thinker: Path) -> None:
    asked = ("ask", "Hello", "--model", thinker, "--seed", "7", "--max-tokens", "16")
    result = fireside(*asked)
    assert (result.returncode, result.stdout) == (0, "\n")
    answer = json.loads(fireside(*asked, "--json").stdout)
    assert answer["text"] == ""
    assert result.stderr.strip() == answer["reasoning"].strip() != ""


def test_what_was_chosen_comes_before_what_the_model_s_authors_recommend(thinker: Path) -> None:
    asked = ("ask", "Hello", "--model", thinker, "--max-tokens", "2", "--json")
    settings = json.loads(fireside(*asked).stdout)["settings"]
    assert (settings["top_k"], settings["temperature"]) == (7, 0.7)
    assert json.loads(fireside(*asked, "--preset", "precise").stdout)["settings"]["top_k"] == 20
    assert json.loads(fireside(*asked, "--preset", "precise", "--top-k", "3").stdout)["settings"]["top_k"] == 3
