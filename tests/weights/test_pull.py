"""Pulling with the real huggingface_hub from a real server: what arrives is whole, or can be gone on with."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.model_hub import ModelHub, Repository
from tests.weights.hub_model import NAME, SMALL, WEIGHTS, WHOLE, left_in
from weights import (
    DigestMismatch,
    DiskFull,
    FetchCancelled,
    FolderNotWritable,
    UnknownModel,
    find_pulled,
    parse_reference,
    pull,
)


def test_brings_what_the_model_is_made_of_and_nothing_else(hub: ModelHub, folder: Path) -> None:
    progress: list[tuple[int, int]] = []
    path = pull(WHOLE, folder, lambda done, total: progress.append((done, total)))
    assert path == folder / "maker--model"
    assert left_in(path) == {*SMALL, "model.safetensors", "fireside.json"}
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    total = len(WEIGHTS) + sum(map(len, SMALL.values()))
    assert progress[-1] == (total, total)
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert {sent.name for sent in hub.sent} == {*SMALL, "model.safetensors"}


def test_it_notes_where_the_files_are_from(hub: ModelHub, repository: Repository, folder: Path) -> None:
    note = json.loads((pull(WHOLE, folder) / "fireside.json").read_text())
    assert (note["source"], note["commit"], note["licence"]) == (f"hf:{NAME}", repository.commit, "apache-2.0")
    assert note["endpoint"] == hub.url


def test_what_is_there_is_found_without_the_hub(hub: ModelHub, folder: Path) -> None:
    path = pull(WHOLE, folder)
    asked = len(hub.paths)
    assert pull(WHOLE, folder) == find_pulled(WHOLE, folder) == path
    assert len(hub.paths) == asked


def test_a_connection_that_breaks_is_gone_on_with_at_once(hub: ModelHub, folder: Path) -> None:
    hub.cut_after = 150_000
    path = pull(WHOLE, folder)
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    starts = [sent.start for sent in hub.sent if sent.name == "model.safetensors"]
    assert starts == [0, 150_000, 300_000]
    assert hub.bytes_sent("model.safetensors") == len(WEIGHTS)


def test_a_download_given_up_is_gone_on_with_later_and_no_byte_comes_twice(hub: ModelHub, folder: Path) -> None:
    cancel = threading.Event()
    hub.pause = 0.01

    def half(done: int, total: int) -> None:
        if done > total // 2:
            cancel.set()

    with pytest.raises(FetchCancelled):
        pull(WHOLE, folder, half, cancel=cancel)
    assert find_pulled(WHOLE, folder) is None
    partial = folder / "maker--model.part" / "model.safetensors"
    arrived = partial.stat().st_size
    assert 0 < arrived < len(WEIGHTS)
    assert WEIGHTS.startswith(partial.read_bytes())
    hub.pause = 0.0
    hub.sent.clear()
    progress: list[int] = []
    path = pull(WHOLE, folder, lambda done, total: progress.append(done))
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert [(sent.name, sent.start) for sent in hub.sent] == [("model.safetensors", arrived)]
    assert progress[-1] == len(WEIGHTS) + sum(map(len, SMALL.values()))
    assert left_in(folder) == {f"maker--model/{name}" for name in (*SMALL, "model.safetensors", "fireside.json")}


def test_a_server_that_knows_no_ranges_sends_the_file_again(hub: ModelHub, folder: Path) -> None:
    hub.ranges = False
    hub.cut_after = 300_000
    cancel = threading.Event()
    with pytest.raises(FetchCancelled):
        pull(WHOLE, folder, lambda done, total: cancel.set() if done > 200_000 else None, cancel=cancel)
    hub.cut_after = None
    progress: list[int] = []
    path = pull(WHOLE, folder, lambda done, total: progress.append(done))
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert progress[-1] == len(WEIGHTS) + sum(map(len, SMALL.values()))


def test_a_repository_that_changed_meanwhile_is_begun_anew(hub: ModelHub, repository: Repository, folder: Path) -> None:
    cancel = threading.Event()
    with pytest.raises(FetchCancelled):
        pull(WHOLE, folder, lambda done, total: cancel.set() if done > 200_000 else None, cancel=cancel)
    repository.files["model.safetensors"] = WEIGHTS[::-1]
    hub.sent.clear()
    path = pull(WHOLE, folder)
    assert (path / "model.safetensors").read_bytes() == WEIGHTS[::-1]
    assert {(sent.name, sent.start) for sent in hub.sent} == {("model.safetensors", 0)}


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ({"lfs": {"size": 400_000, "sha256": "0" * 64, "pointerSize": 1}}, "SHA-256.*instead of 000000000000"),
        ({"size": 1000, "lfs": {"size": 1000, "sha256": "0" * 64, "pointerSize": 1}}, "longer than the 1,000 bytes"),
        ({"size": 400_001, "lfs": {"size": 400_001, "sha256": "0" * 64, "pointerSize": 1}}, "ends before byte 400,000"),
    ],
)
def test_other_bytes_than_listed_are_refused_and_removed(
    hub: ModelHub, repository: Repository, folder: Path, listed: dict[str, Any], words: str
) -> None:
    repository.listed["model.safetensors"] = listed
    with pytest.raises(DigestMismatch, match=words):
        pull(WHOLE, folder)
    assert not (folder / "maker--model").exists()
    assert not (folder / "maker--model.part" / "model.safetensors").exists()
    repository.listed.clear()
    assert (pull(WHOLE, folder) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_small_file_is_checked_by_its_git_digest(hub: ModelHub, repository: Repository, folder: Path) -> None:
    repository.listed["config.json"] = {"blobId": "0" * 40}
    with pytest.raises(DigestMismatch, match=r"config\.json has the git SHA-1"):
        pull(WHOLE, folder)


def test_a_damaged_copy_is_found_and_only_its_damage_is_fetched(hub: ModelHub, folder: Path) -> None:
    path = pull(WHOLE, folder)
    (path / "model.safetensors").write_bytes(WEIGHTS[:100_000])
    assert find_pulled(WHOLE, folder) is None
    hub.sent.clear()
    assert (pull(WHOLE, folder) / "model.safetensors").read_bytes() == WEIGHTS
    assert [(sent.name, sent.start) for sent in hub.sent] == [("model.safetensors", 100_000)]


def test_a_folder_of_the_users_own_is_not_touched(hub: ModelHub, folder: Path) -> None:
    (folder / "maker--model").mkdir(parents=True)
    (folder / "maker--model" / "notes.txt").write_text("mine")
    with pytest.raises(FolderNotWritable, match="in the way"):
        pull(WHOLE, folder)
    assert left_in(folder) == {"maker--model/notes.txt"}


def test_a_full_disk_is_known_before_the_first_byte(hub: ModelHub, repository: Repository, folder: Path) -> None:
    size = 10**18
    repository.listed["model.safetensors"] = {"size": size, "lfs": {"size": size, "sha256": "0" * 64, "pointerSize": 1}}
    with pytest.raises(DiskFull, match=r"hf:maker/model needs 1000000000\.0 GB"):
        pull(WHOLE, folder)
    assert not hub.sent


def test_a_revision_has_a_folder_of_its_own(hub: ModelHub, repository: Repository, folder: Path) -> None:
    repository.revisions = ("main", "refs/pr/1")
    pinned = pull(parse_reference(f"hf:{NAME}@refs/pr/1"), folder)
    by_commit = pull(parse_reference(f"hf:{NAME}@{repository.commit}"), folder)
    assert len({pinned, by_commit, pull(WHOLE, folder)}) == 3
    assert json.loads((pinned / "fireside.json").read_text())["commit"] == repository.commit
    with pytest.raises(UnknownModel, match="no revision 'v9'"):
        pull(parse_reference(f"hf:{NAME}@v9"), folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(hub: ModelHub, folder: Path) -> None:
    folder.mkdir(mode=0o500)
    with pytest.raises(FolderNotWritable, match="--models"):
        pull(WHOLE, folder)


def test_a_file_in_the_place_of_the_folder_is_named(hub: ModelHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderNotWritable, match="--models"):
        pull(WHOLE, tmp_path / "file" / "models")


def test_two_pulls_at_once_fetch_it_once(hub: ModelHub, folder: Path) -> None:
    hub.pause = 0.005
    with ThreadPoolExecutor(2) as pool:
        paths = [job.result() for job in [pool.submit(pull, WHOLE, folder) for _ in range(2)]]
    assert paths == [folder / "maker--model"] * 2
    assert hub.bytes_sent("model.safetensors") == len(WEIGHTS)
