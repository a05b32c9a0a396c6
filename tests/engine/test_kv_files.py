"""Keys and values kept on disk: the same answers sooner, and nothing that can be found there does harm."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from engine import Engine, EngineError, Run, Sampling
from engine.disk_kv import BLOCK
from engine.kv_files import KVFiles, Layout, remove, size_of
from tests.tiny import write_tiny_llama

SAMPLING = Sampling(temperature=1, seed=5, max_tokens=24, ignore_eos=True)
PROMPT = "A long conversation about a fox. " * 20
PLENTY = 2**30
LAYOUT = Layout("F32", (1, 1, 4, 2), 32)
NAME, OTHER = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("model") / "tiny.gguf", context=2048)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kv"


@pytest.fixture
def load(model: Path, folder: Path) -> Iterator[Callable[..., Engine]]:
    """Loads the model with files in the folder; closed at the end."""
    engines: list[Engine] = []

    def open_engine(path: Path = model, limit: int = PLENTY, **options: object) -> Engine:
        engines.append(Engine.load(path, device="cpu", kv_files=KVFiles(folder, limit), **options))  # pyright: ignore[reportArgumentType]
        return engines[-1]

    yield open_engine
    for engine in engines:
        engine.close()


def tokens(run: Run) -> list[int]:
    return [step.token for step in run if step.token is not None]


def ask(engine: Engine, prompt: str | list[int] = PROMPT) -> tuple[list[int], Run]:
    run = engine.generate(prompt, SAMPLING)
    return tokens(run), run


def whole_blocks(count: int) -> int:
    return count // BLOCK * BLOCK


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_after_a_restart_the_same_answer_without_computing_its_prompt(
    load: Callable[..., Engine], model: Path, folder: Path
) -> None:
    first = load()
    answer, run = ask(first)
    conversation = [*run.prompt, *answer, *first.tokenize(" And then?")]
    assert run.stats.restored_tokens == 0
    first.close()
    written = names(folder)
    assert len(written) == (len(conversation) - 10) // BLOCK
    second = load()
    same, again = ask(second)
    assert same == answer
    kept = whole_blocks(len(run.prompt))
    assert (again.stats.restored_tokens, again.stats.cached_tokens) == (kept, kept)
    second.close()
    assert names(folder) == written
    with Engine.load(model, device="cpu") as fresh:
        expected, plain = ask(fresh, conversation)
    following, run = ask(load(), conversation)
    assert following == expected
    assert plain.stats.restored_tokens == 0
    assert run.stats.restored_tokens == whole_blocks(len(conversation))


def test_what_is_restored_is_what_was_computed_to_the_last_bit(load: Callable[..., Engine]) -> None:
    first = load()
    ask(first)
    before = first._scheduler._slots._slots[0]
    first.close()
    second = load()
    ask(second)
    after = second._scheduler._slots._slots[0]
    kept = whole_blocks(len(PROMPT))
    assert torch.equal(before.cache.keys[:, :, :kept], after.cache.keys[:, :, :kept])
    assert torch.equal(before.cache.values[:, :, :kept], after.cache.values[:, :, :kept])


def test_conversations_that_begin_alike_share_files(load: Callable[..., Engine], folder: Path) -> None:
    engine = load()
    ask(engine, PROMPT + "one " * 40)
    disk = engine._scheduler._disk
    assert disk is not None
    disk.flush()
    before = len(names(folder))
    ask(engine, PROMPT + "two " * 40)
    engine.close()
    assert len(names(folder)) - before <= 2
    assert ask(load(), PROMPT + "new " * 40)[1].stats.restored_tokens == whole_blocks(len(PROMPT))


def test_an_answer_cut_short_by_closing_is_kept(load: Callable[..., Engine]) -> None:
    engine = load()
    run = engine.generate(PROMPT, Sampling(ignore_eos=True))
    next(iter(run))
    engine.close()
    assert ask(load())[1].stats.restored_tokens == whole_blocks(len(PROMPT))


def test_short_conversations_leave_no_files(load: Callable[..., Engine], folder: Path) -> None:
    engine = load()
    ask(engine, "Hello")
    engine.close()
    assert names(folder) == []


def test_files_of_other_models_kernels_and_contexts_are_not_used(
    load: Callable[..., Engine], folder: Path, tmp_path: Path
) -> None:
    load_and_ask = lambda **options: ask(load(**options))[1].stats.restored_tokens  # noqa: E731
    assert load_and_ask() == 0
    load().close()
    other = write_tiny_llama(tmp_path / "other.gguf", context=2048, seed=1)
    assert load_and_ask(path=other) == 0
    assert load_and_ask(dtype="bfloat16") == 0
    # A context within what the model was made for changes nothing it computes.
    assert load_and_ask(context=1024) == whole_blocks(len(PROMPT))


def damage_bit(data: bytes) -> bytes:
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "one bit": damage_bit,
    "cut short": lambda data: data[:-1],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
    "huge header": lambda data: (2**62).to_bytes(8, "little") + data[8:],
    "other shape": lambda data: data.replace(b"[2,2,128,16]", b"[2,128,2,16]"),
    "other dtype": lambda data: data.replace(b'"F32"', b'"I32"'),
    "other name": lambda data: data.replace(b'"name":"', b'"eman":"'),
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_noticed_and_made_anew(
    load: Callable[..., Engine], folder: Path, damage: Callable[[bytes], bytes]
) -> None:
    engine = load()
    answer, run = ask(engine)
    engine.close()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    # The one with the beginning counts as used last.
    first = max(before, key=lambda path: path.stat().st_mtime_ns)
    first.write_bytes(damage(before[first]))
    assert first.read_bytes() != before[first]
    engine = load()
    again, run = ask(engine)
    assert again == answer
    assert run.stats.restored_tokens == 0
    engine.close()
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_sound_file_under_another_name_is_not_used(folder: Path) -> None:
    files = KVFiles(folder, PLENTY)
    parts = [memoryview(bytes(32)), memoryview(bytes(range(32)))]
    assert files.write(NAME, LAYOUT, parts, files.generation)
    assert [bytes(part) for part in files.read(NAME, LAYOUT) or ()] == parts
    os.link(folder / f"{NAME}.safetensors", folder / f"{OTHER}.safetensors")
    assert files.read(OTHER, LAYOUT) is None
    assert names(folder) == [f"{NAME}.safetensors"]
    assert files.read(NAME, Layout("F32", (1, 1, 2, 4), 32)) is None
    assert names(folder) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.binary(max_size=600), keep_size=st.booleans())
def test_no_bytes_at_all_do_harm(folder: Path, data: bytes, keep_size: bool) -> None:
    files = KVFiles(folder, PLENTY)
    if keep_size:
        data = (data * 600 + bytes(600))[: files.file_size(LAYOUT)]
    (folder / f"{NAME}.safetensors").write_bytes(data)
    assert files.read(NAME, LAYOUT) is None
    assert names(folder) == []


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_neither_followed_nor_waited_for(folder: Path, tmp_path: Path, kind: str) -> None:
    files = KVFiles(folder, PLENTY)
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(files.file_size(LAYOUT)))
    path = folder / f"{NAME}.safetensors"
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert files.read(NAME, LAYOUT) is None
    assert path.exists() == (kind == "folder")
    assert secret.exists()


def test_files_are_safetensors_for_their_owner_alone(load: Callable[..., Engine], folder: Path) -> None:
    engine = load()
    ask(engine)
    engine.close()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with safe_open(path, framework="pt") as file:
            assert file.get_tensor("keys").shape == (2, 2, BLOCK, 16)
            assert file.metadata()["name"] == path.stem


def test_the_folder_stays_below_its_limit_and_the_oldest_give_way(folder: Path) -> None:
    size = KVFiles(folder, 0).file_size(LAYOUT)
    files = KVFiles(folder, 4 * size)
    parts = [memoryview(bytes(32))] * 2
    ids = [f"{number:064x}" for number in range(9)]
    for number, name in enumerate(ids):
        assert files.write(name, LAYOUT, parts, files.generation)
        os.utime(folder / f"{name}.safetensors", (number, number))
        assert size_of(folder) == files.size <= 4 * size
    assert names(folder) == [f"{name}.safetensors" for name in ids[-4:]]
    files.touch([ids[-4]])
    # Another process sees the same files, and its own limit.
    other = KVFiles(folder, 2 * size)
    assert [name in other for name in ids[-4:]] == [True, False, False, True]


def test_a_long_conversation_keeps_its_beginning_where_the_limit_is_small(
    load: Callable[..., Engine], folder: Path
) -> None:
    limit = 2 * 66_500
    engine = load(limit=limit)
    ask(engine)
    engine.close()
    assert 0 < size_of(folder) <= limit
    assert ask(load(limit=limit))[1].stats.restored_tokens == 2 * BLOCK


def test_two_engines_share_a_folder(load: Callable[..., Engine], folder: Path) -> None:
    prompts = [PROMPT + f"question {number} " * 20 for number in range(4)]
    expected = [ask(load(), prompt)[0] for prompt in prompts]
    engines = [load(limit=12 * 66_500), load(limit=12 * 66_500)]
    wrong: list[str] = []

    def use(engine: Engine) -> None:
        for _ in range(3):
            wrong.extend(
                prompt for prompt, answer in zip(prompts, expected, strict=True) if ask(engine, prompt)[0] != answer
            )

    threads = [threading.Thread(target=use, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    for engine in engines:
        engine.close()
    assert all(name.endswith(".safetensors") for name in names(folder))


def test_clearing_leaves_nothing_and_nothing_older_comes_back(load: Callable[..., Engine], folder: Path) -> None:
    engine = load()
    disk = engine._scheduler._disk
    assert disk is not None
    ask(engine)
    disk.flush()
    files = disk._files
    before = files.generation
    files.clear()
    assert names(folder) == []
    assert not files.write(NAME, LAYOUT, [memoryview(bytes(32))] * 2, before)
    engine.close()
    assert names(folder) == []


def test_removing_takes_only_our_own_files(folder: Path, tmp_path: Path) -> None:
    files = KVFiles(folder, PLENTY)
    files.write(NAME, LAYOUT, [memoryview(bytes(32))] * 2, files.generation)
    (folder / "letter.txt").write_text("mine")
    remove(folder)
    assert names(folder) == ["letter.txt"]
    (folder / "letter.txt").unlink()
    remove(folder)
    assert not folder.exists()
    remove(folder)


def test_a_folder_that_cannot_be_had_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EngineError, match="turn keeping them off") as caught:
        KVFiles(tmp_path / "file", PLENTY)
    assert "\n" not in str(caught.value)


def test_cancelling_while_reading_leaves_the_slot_free(load: Callable[..., Engine]) -> None:
    engine = load()
    answer, _ = ask(engine)
    engine.close()
    engine = load()
    for _ in range(20):
        run = engine.generate(PROMPT, SAMPLING)
        run.cancel()
        assert list(run)[-1].finish_reason == "cancelled"
    assert ask(engine)[0] == answer
    assert all(slot.free for slot in engine._scheduler._slots._slots)
