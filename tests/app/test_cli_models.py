"""Models on the command line: pulled, broken off and gone on with, asked, listed with their memory, removed."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.command import assert_refused, fireside_anew, start
from tests.model_hub import ModelHub, point_hub_at
from tests.tiny import write_tiny_llama
from tests.tiny_folder import write_tiny_folder

PADDING = 400_000


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    monkeypatch.setenv("FIRESIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FIRESIDE_MODELS", str(tmp_path / "models"))
    with ModelHub() as hub:
        point_hub_at(hub.url, monkeypatch)
        hub.add("maker/ggufs", {"one.gguf": b"GGUF", "other.gguf": b"GGUF"})
        yield hub


def listed() -> dict[str, dict[str, Any]]:
    """The models of `fireside models --json`, by name."""
    result = fireside_anew("models", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    return {model["name"]: model for model in json.loads(result.stdout)["models"]}


def test_a_pull_that_is_interrupted_goes_on_where_it_stopped(hub: ModelHub, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors": bytes(PADDING)}
    hub.add("maker/model", files)
    hub.pause = 0.1
    partial = tmp_path / "models" / "maker--model.part" / "model.safetensors"
    with start("pull", "hf:maker/model") as process:
        assert process.stderr
        assert process.stderr.readline() == b"Downloading hf:maker/model (0.4 MB)\n"
        while not (partial.exists() and partial.stat().st_size > 0):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b""
    arrived = partial.stat().st_size
    assert 0 < arrived < PADDING
    assert listed()["hf:maker/model"]["problem"].startswith("incomplete")
    hub.pause = 0.0
    hub.sent.clear()
    result = fireside_anew("pull", "hf:maker/model")
    assert (result.returncode, result.stdout.strip()) == (0, str(tmp_path / "models" / "maker--model"))
    assert [(sent.name, sent.start) for sent in hub.sent] == [("model.safetensors", arrived)]


def test_a_model_of_the_hub_is_fetched_by_asking_it_then_found_listed_and_removed(
    hub: ModelHub, tmp_path: Path
) -> None:
    tiny = write_tiny_folder(tmp_path / "tiny", shards=2)
    hub.add("maker/tiny", {file.name: file.read_bytes() for file in tiny.iterdir()} | {"pytorch_model.bin": b"pickle"})
    ask = ("ask", "Hi", "--model", "hf:maker/tiny", "--max-tokens", "4", "--context", "64", "--json")
    result = fireside_anew(*ask)
    assert result.returncode == 0, result.stderr
    assert re.fullmatch(r"Downloading hf:maker/tiny \(\d+\.\d MB\)\n", result.stderr)
    assert json.loads(result.stdout)["stats"]["new_tokens"] <= 4
    hub.refuse = ("/", 500, {})
    again = fireside_anew(*ask)
    assert (again.returncode, again.stderr) == (0, "")
    found = listed()["hf:maker/tiny"]
    assert (found["family"], found["context_length"], found["verdict"]) == ("llama", 128, "fits")
    assert fireside_anew("rm", "hf:maker/tiny", "--yes").returncode == 0
    assert list((tmp_path / "models").iterdir()) == []


def test_each_refusal_is_one_line_that_says_what_to_do(hub: ModelHub) -> None:
    assert_refused(fireside_anew("pull", "hf:maker/ggufs"), 1, "2 models", "hf:maker/ggufs:one.gguf")
    assert_refused(fireside_anew("pull", "hf:maker"), 2, "hf:OWNER/NAME:FILE.gguf")
    assert_refused(fireside_anew("ask", "Hi", "--model", "hf:maker/nosuch"), 2, "there is no maker/nosuch on 127.0.0.1")
    hub.refuse = ("/", 401, {"X-Error-Code": "GatedRepo"})
    assert_refused(fireside_anew("ask", "Hi", "--model", "hf:maker/ggufs"), 1, "agree to its terms", "hf auth login")


def test_the_list_tells_each_models_memory_and_hides_no_broken_one(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    tiny = write_tiny_llama(folder / "tiny.gguf", layers=3, context=128)
    (folder / "cut.gguf").write_bytes(tiny.read_bytes()[:-100])
    (folder / "text.gguf").write_text("this is no model\n" * 100)
    (folder / "odd").mkdir()
    (folder / "odd" / "config.json").write_text('{"model_type": "nosuch", "auto_map": {"AutoModel": "x.Y"}}')
    (folder / "split-00001-of-00002.gguf").write_bytes(tiny.read_bytes())
    models = listed()
    assert set(models) == {"tiny.gguf", "cut.gguf", "text.gguf", "odd", "split-00001-of-00002.gguf"}
    found = models["tiny.gguf"]
    assert (found["family"], found["quantization"], found["bits"], found["context_length"]) == ("llama", "F32", 32, 128)
    assert found["memory"]["kv"] == 2 * 3 * 2 * 16 * 128 * 4
    assert found["memory"]["total"] == sum(found["memory"][part] for part in ("weights", "kv", "working"))
    assert found["verdict"] == "fits"
    for broken in ("cut.gguf", "text.gguf", "odd"):
        assert broken.removesuffix("odd") in models[broken]["problem"]
        assert models[broken]["problem"]
        assert "\n" not in models[broken]["problem"]
    text = fireside_anew("models", "--context", "64")
    assert text.returncode == 0
    assert f"llama, {found['parameters']:,} parameters, F32 (32.0 bits), 128 tokens of context; needs " in text.stdout
    assert "of memory for 64: fits" in text.stdout
    assert text.stdout.count("cannot be used: ") == 3
    assert "damaged: 1 of its 2 parts are missing" in text.stdout
    assert "hf:Qwen/Qwen3-0.6B" in text.stdout


def test_a_context_too_long_for_this_machine_is_told_with_one_that_fits(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = write_tiny_llama(tmp_path / "models" / "long.gguf", context=2**30)
    text = fireside_anew("models", "--context", str(2**30)).stdout
    assert "does not fit, but with --context " in text
    fits = text.split("does not fit, but with --context ")[1].split()[0]
    assert "does not fit" not in fireside_anew("models", "--context", str(int(fits) // 2)).stdout
    refused = fireside_anew("ask", "Hi", "--model", path, "--context", str(2**30))
    assert_refused(refused, 1, "GB of KV cache for 1,073,741,824 tokens", "are free: choose a smaller context")
    for command in (("models", "--context", "0"), ("ask", "Hi", "--model", path, "--context", "many")):
        assert_refused(fireside_anew(*command), 2, "--context")


def test_rm_asks_first(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "own.gguf").write_bytes(bytes(2_000_000))
    kept = fireside_anew("rm", "own.gguf", stdin="n\n")
    assert kept.returncode == 1
    assert "Remove own.gguf (2.0 MB, " in kept.stderr
    assert fireside_anew("rm", "own.gguf").returncode == 1
    assert (folder / "own.gguf").exists()
    assert fireside_anew("rm", "own.gguf", "--yes").returncode == 0
    assert not (folder / "own.gguf").exists()
    assert_refused(fireside_anew("rm", "own.gguf", "--yes"), 2, "no model named 'own.gguf'", "there is nothing")
