"""Pulling with the real huggingface_hub from a real server: what arrives is whole, or can be gone on with."""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.model_hub import ModelHub, Repository
from weights import (
    AccessDenied,
    DigestMismatch,
    DiskFull,
    DownloadFailed,
    FetchCancelled,
    FolderNotWritable,
    HubReference,
    Offline,
    RateLimited,
    UnknownModel,
    UnsafeName,
    UnsuitableModel,
    WeightsError,
    find_pulled,
    parse_reference,
    pull,
)

NAME = "maker/model"
WHOLE = parse_reference(f"hf:{NAME}")
WEIGHTS = random.Random(0).randbytes(400_000)
SHARDS = [random.Random(seed).randbytes(150_000) for seed in (1, 2)]
SMALL = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}" * 500, "tokenizer_config.json": b"{}"}
FOREIGN = {
    "README.md": b"# Model",
    "pytorch_model.bin": b"pickle",
    "modeling_model.py": b"import os",
    "onnx/model.onnx": b"onnx",
    "training_args.pt": b"pickle",
    "consolidated.safetensors": b"another layout",
    ".gitattributes": b"* text",
}
SHARD_NAMES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def index_of(*shards: Any) -> bytes:
    return json.dumps({"weight_map": {f"layer.{number}": shard for number, shard in enumerate(shards)}}).encode()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModelHub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(variable, raising=False)
    with ModelHub() as hub:
        hub.add(NAME, {**SMALL, **FOREIGN, "model.safetensors": WEIGHTS})
        yield hub


@pytest.fixture
def repository(hub: ModelHub) -> Repository:
    return hub.repositories[NAME]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def left_in(folder: Path) -> set[str]:
    """Names of all files below the folder, but for locks."""
    return {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix != ".lock" and path.is_file()
    }


def sharded(hub: ModelHub, index: bytes) -> None:
    files = {**SMALL, "model.safetensors.index.json": index, **dict(zip(SHARD_NAMES, SHARDS, strict=True))}
    hub.add(NAME, files)


def test_brings_what_the_model_is_made_of_and_nothing_else(hub: ModelHub, folder: Path) -> None:
    progress: list[tuple[int, int]] = []
    path = pull(WHOLE, folder, lambda done, total: progress.append((done, total)), endpoint=hub.url)
    assert path == folder / "maker--model"
    assert left_in(path) == {*SMALL, "model.safetensors", "fireside.json"}
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    total = len(WEIGHTS) + sum(map(len, SMALL.values()))
    assert progress[-1] == (total, total)
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert {sent.name for sent in hub.sent} == {*SMALL, "model.safetensors"}


def test_it_notes_where_the_files_are_from(hub: ModelHub, repository: Repository, folder: Path) -> None:
    note = json.loads((pull(WHOLE, folder, endpoint=hub.url) / "fireside.json").read_text())
    assert (note["source"], note["commit"], note["licence"]) == (f"hf:{NAME}", repository.commit, "apache-2.0")
    assert note["endpoint"] == hub.url


def test_what_is_there_is_found_without_the_hub(hub: ModelHub, folder: Path) -> None:
    path = pull(WHOLE, folder, endpoint=hub.url)
    asked = len(hub.paths)
    assert pull(WHOLE, folder, endpoint=hub.url) == find_pulled(WHOLE, folder) == path
    assert len(hub.paths) == asked


def test_templates_and_settings_come_too(hub: ModelHub, folder: Path) -> None:
    beside = ["generation_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json"]
    beside.append("additional_chat_templates/tools.jinja")
    hub.repositories[NAME].files.update(dict.fromkeys(beside, b"{}"))
    assert left_in(pull(WHOLE, folder, endpoint=hub.url)) >= set(beside)


def test_the_shards_are_those_of_the_index(hub: ModelHub, folder: Path) -> None:
    sharded(hub, index_of(*SHARD_NAMES, SHARD_NAMES[0]))
    hub.repositories[NAME].files["model-00003-of-00003.safetensors"] = b"of an earlier layout"
    path = pull(WHOLE, folder, endpoint=hub.url)
    assert left_in(path) == {*SMALL, *SHARD_NAMES, "model.safetensors.index.json", "fireside.json"}
    assert [(path / name).read_bytes() for name in SHARD_NAMES] == SHARDS


@pytest.mark.parametrize(
    ("index", "error"),
    [
        (b"{", DownloadFailed),
        (b"[]", DownloadFailed),
        (b'{"weight_map": {}}', DownloadFailed),
        (b'{"weight_map": {"a": 1}}', DownloadFailed),
        (b'{"weight_map": ' * 5000 + b"1" + b"}" * 5000, DownloadFailed),
        (index_of("config.json"), DownloadFailed),
        (index_of("../model.safetensors"), UnsafeName),
        (index_of("/etc/model.safetensors"), UnsafeName),
        (index_of("a\\b.safetensors"), UnsafeName),
        (index_of("a\0.safetensors"), UnsafeName),
        (index_of("CON.safetensors"), UnsafeName),
        (index_of("absent.safetensors"), UnsuitableModel),
    ],
)
def test_a_hostile_or_damaged_index_is_refused(
    hub: ModelHub, folder: Path, index: bytes, error: type[WeightsError]
) -> None:
    sharded(hub, index)
    with pytest.raises(error) as caught:
        pull(WHOLE, folder, endpoint=hub.url)
    assert "\n" not in str(caught.value)
    assert left_in(folder) == set()
    assert not hub.bytes_sent(SHARD_NAMES[0])


@pytest.mark.parametrize(
    "name",
    ["../../x.gguf", "/etc/x.gguf", "a\\b.gguf", "CON.gguf", "nul", "a\0b.gguf", "x\u202e.gguf", "a/./b.gguf",
     "y" * 300 + ".gguf"],
)  # fmt: skip
def test_a_hostile_name_in_the_listing_is_refused(hub: ModelHub, folder: Path, name: str) -> None:
    hub.add(NAME, {name if name.endswith(".gguf") else f"{name}.gguf": b"GGUF"})
    with pytest.raises(UnsafeName) as caught:
        pull(WHOLE, folder, endpoint=hub.url)
    assert "\n" not in str(caught.value)
    assert left_in(folder.parent) == set()
    assert not hub.sent


def test_a_hostile_name_of_a_template_is_refused(hub: ModelHub, folder: Path) -> None:
    hub.repositories[NAME].files["additional_chat_templates/../../x.jinja"] = b"x"
    with pytest.raises(UnsafeName):
        pull(WHOLE, folder, endpoint=hub.url)
    assert left_in(folder.parent) == set()


def test_one_gguf_file_is_fetched_by_name(hub: ModelHub, folder: Path) -> None:
    hub.add(NAME, {"small.gguf": b"GGUF small", "large.gguf": b"GGUF large"})
    small = pull(parse_reference(f"hf:{NAME}:small.gguf"), folder, endpoint=hub.url)
    large = pull(parse_reference(f"hf:{NAME}:large.gguf"), folder, endpoint=hub.url)
    assert (small.read_bytes(), large.read_bytes()) == (b"GGUF small", b"GGUF large")
    assert left_in(small.parent) == {"small.gguf", "fireside.json"}


def test_the_only_gguf_file_needs_no_name(hub: ModelHub, folder: Path) -> None:
    hub.add(NAME, {"only.gguf": b"GGUF"})
    assert pull(WHOLE, folder, endpoint=hub.url) == folder / "maker--model" / "only.gguf"


def test_several_gguf_files_are_named_instead_of_guessed(hub: ModelHub, folder: Path) -> None:
    hub.add(NAME, {"b.gguf": b"GGUF", "a.gguf": b"GGUF"})
    with pytest.raises(UnsuitableModel, match=r"2 models.*hf:maker/model:a\.gguf.*a\.gguf, b\.gguf"):
        pull(WHOLE, folder, endpoint=hub.url)
    with pytest.raises(UnknownModel, match=r"no file 'c\.gguf'.*a\.gguf, b\.gguf"):
        pull(parse_reference(f"hf:{NAME}:c.gguf"), folder, endpoint=hub.url)


@pytest.mark.parametrize("asked", ["", ":big-00001-of-00003.gguf", ":big-00002-of-00003.gguf"])
def test_all_parts_of_a_split_file_come(hub: ModelHub, folder: Path, asked: str) -> None:
    parts = {f"big-0000{part}-of-00003.gguf": b"GGUF%d" % part for part in (1, 2, 3)}
    hub.add(NAME, dict(parts))
    path = pull(parse_reference(f"hf:{NAME}{asked}"), folder, endpoint=hub.url)
    assert path.name == "big-00001-of-00003.gguf"
    assert left_in(path.parent) == {*parts, "fireside.json"}


def test_a_missing_part_is_known_beforehand(hub: ModelHub, folder: Path) -> None:
    hub.add(NAME, {"big-00001-of-00002.gguf": b"GGUF"})
    with pytest.raises(UnsuitableModel, match="lacks 1 of the 2 parts"):
        pull(parse_reference(f"hf:{NAME}:big-00001-of-00002.gguf"), folder, endpoint=hub.url)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"config.json": b"{}", "tokenizer.json": b"{}", "pytorch_model.bin": b"x"}, "pytorch_model.bin.*never loaded"),
        ({"README.md": b"x"}, "neither model.safetensors nor a .gguf file"),
        ({"model.safetensors": b"x", "tokenizer.json": b"{}"}, "no config.json"),
        ({"model.safetensors": b"x", "config.json": b"{}"}, "no tokenizer.json"),
    ],
)
def test_a_repository_without_a_usable_model_is_refused(
    hub: ModelHub, folder: Path, files: dict[str, bytes], words: str
) -> None:
    hub.add(NAME, files)
    with pytest.raises(UnsuitableModel, match=words):
        pull(WHOLE, folder, endpoint=hub.url)
    assert not hub.sent


def test_a_connection_that_breaks_is_gone_on_with_at_once(hub: ModelHub, folder: Path) -> None:
    hub.cut_after = 150_000
    path = pull(WHOLE, folder, endpoint=hub.url)
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
        pull(WHOLE, folder, half, cancel=cancel, endpoint=hub.url)
    assert find_pulled(WHOLE, folder) is None
    partial = folder / "maker--model.part" / "model.safetensors"
    arrived = partial.stat().st_size
    assert 0 < arrived < len(WEIGHTS)
    assert WEIGHTS.startswith(partial.read_bytes())
    hub.pause = 0.0
    hub.sent.clear()
    progress: list[int] = []
    path = pull(WHOLE, folder, lambda done, total: progress.append(done), endpoint=hub.url)
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert [(sent.name, sent.start) for sent in hub.sent] == [("model.safetensors", arrived)]
    assert progress[-1] == len(WEIGHTS) + sum(map(len, SMALL.values()))
    assert left_in(folder) == {f"maker--model/{name}" for name in (*SMALL, "model.safetensors", "fireside.json")}


def test_a_server_that_knows_no_ranges_sends_the_file_again(hub: ModelHub, folder: Path) -> None:
    hub.ranges = False
    hub.cut_after = 300_000
    cancel = threading.Event()
    with pytest.raises(FetchCancelled):
        pull(
            WHOLE, folder, lambda done, total: cancel.set() if done > 200_000 else None, cancel=cancel, endpoint=hub.url
        )
    hub.cut_after = None
    progress: list[int] = []
    path = pull(WHOLE, folder, lambda done, total: progress.append(done), endpoint=hub.url)
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert progress[-1] == len(WEIGHTS) + sum(map(len, SMALL.values()))


def test_a_repository_that_changed_meanwhile_is_begun_anew(hub: ModelHub, repository: Repository, folder: Path) -> None:
    cancel = threading.Event()
    with pytest.raises(FetchCancelled):
        pull(
            WHOLE, folder, lambda done, total: cancel.set() if done > 200_000 else None, cancel=cancel, endpoint=hub.url
        )
    repository.files["model.safetensors"] = WEIGHTS[::-1]
    hub.sent.clear()
    path = pull(WHOLE, folder, endpoint=hub.url)
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
        pull(WHOLE, folder, endpoint=hub.url)
    assert not (folder / "maker--model").exists()
    assert not (folder / "maker--model.part" / "model.safetensors").exists()
    repository.listed.clear()
    assert (pull(WHOLE, folder, endpoint=hub.url) / "model.safetensors").read_bytes() == WEIGHTS


def test_a_small_file_is_checked_by_its_git_digest(hub: ModelHub, repository: Repository, folder: Path) -> None:
    repository.listed["config.json"] = {"blobId": "0" * 40}
    with pytest.raises(DigestMismatch, match=r"config\.json has the git SHA-1"):
        pull(WHOLE, folder, endpoint=hub.url)


def test_a_damaged_copy_is_found_and_only_its_damage_is_fetched(hub: ModelHub, folder: Path) -> None:
    path = pull(WHOLE, folder, endpoint=hub.url)
    (path / "model.safetensors").write_bytes(WEIGHTS[:100_000])
    assert find_pulled(WHOLE, folder) is None
    hub.sent.clear()
    assert (pull(WHOLE, folder, endpoint=hub.url) / "model.safetensors").read_bytes() == WEIGHTS
    assert [(sent.name, sent.start) for sent in hub.sent] == [("model.safetensors", 100_000)]


def test_a_folder_of_the_users_own_is_not_touched(hub: ModelHub, folder: Path) -> None:
    (folder / "maker--model").mkdir(parents=True)
    (folder / "maker--model" / "notes.txt").write_text("mine")
    with pytest.raises(FolderNotWritable, match="in the way"):
        pull(WHOLE, folder, endpoint=hub.url)
    assert left_in(folder) == {"maker--model/notes.txt"}


def test_a_full_disk_is_known_before_the_first_byte(hub: ModelHub, repository: Repository, folder: Path) -> None:
    size = 10**18
    repository.listed["model.safetensors"] = {"size": size, "lfs": {"size": size, "sha256": "0" * 64, "pointerSize": 1}}
    with pytest.raises(DiskFull, match=r"hf:maker/model needs 1000000000\.0 GB"):
        pull(WHOLE, folder, endpoint=hub.url)
    assert not hub.sent


@pytest.mark.parametrize(
    ("status", "headers", "error", "words"),
    [
        (401, {}, AccessDenied, "private or your token is not valid"),
        (401, {"X-Error-Code": "GatedRepo"}, AccessDenied, "agree to its terms at http://127.0.0.1"),
        (403, {"X-Error-Code": "GatedRepo"}, AccessDenied, "gated"),
        (403, {}, AccessDenied, "403"),
        (403, {"X-Error-Message": "Access to this resource is disabled."}, AccessDenied, "disabled"),
        (404, {"X-Error-Code": "RepoNotFound"}, UnknownModel, "there is no maker/model"),
        (404, {}, UnknownModel, "there is no maker/model"),
        (429, {"Retry-After": "17"}, RateLimited, "in 17 seconds"),
        (429, {"ratelimit": '"api";r=0;t=55'}, RateLimited, "in 55 seconds"),
        (429, {}, RateLimited, "in some minutes"),
        (500, {}, DownloadFailed, "500"),
        (418, {}, DownloadFailed, "418"),
    ],
)
def test_each_refusal_of_the_hub_is_told_in_its_own_words(
    hub: ModelHub, folder: Path, status: int, headers: dict[str, str], error: type[WeightsError], words: str
) -> None:
    hub.refuse = ("/api/", status, headers)
    with pytest.raises(error, match=words) as caught:
        pull(WHOLE, folder, endpoint=hub.url)
    assert "\n" not in str(caught.value)
    assert left_in(folder) == set()


def test_a_refusal_in_mid_download_keeps_what_has_arrived(hub: ModelHub, folder: Path) -> None:
    hub.refuse = ("/cdn/", 503, {})
    with pytest.raises(DownloadFailed, match="503"):
        pull(WHOLE, folder, endpoint=hub.url)
    assert (folder / "maker--model.part" / "config.json").read_bytes() == SMALL["config.json"]
    hub.refuse = ("/cdn/", 404, {})
    with pytest.raises(DownloadFailed, match=r"lists model\.safetensors .*404"):
        pull(WHOLE, folder, endpoint=hub.url)


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b"{}", b"1", b'{"id": "a", "sha": "x"}', b"[" * 100_000]
)  # fmt: skip
def test_an_answer_that_is_no_listing_is_refused(hub: ModelHub, folder: Path, answer: bytes) -> None:
    hub.answer = answer or b" "
    with pytest.raises(DownloadFailed, match="no listing of maker/model") as caught:
        pull(WHOLE, folder, endpoint=hub.url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", [{"size": None}, {"size": -1}, {"size": "1"}, {"size": True}, {"rfilename": 1}])
def test_a_listing_without_sizes_or_names_is_refused(
    hub: ModelHub, repository: Repository, folder: Path, entry: dict[str, Any]
) -> None:
    repository.listed["config.json"] = entry
    with pytest.raises(DownloadFailed, match="no listing"):
        pull(WHOLE, folder, endpoint=hub.url)


def test_without_a_network_it_says_so(folder: Path) -> None:
    with pytest.raises(Offline, match=r"cannot reach 127\.0\.0\.1:9 "):
        pull(WHOLE, folder, endpoint="http://127.0.0.1:9")


def test_an_endpoint_that_is_no_address_is_named(folder: Path) -> None:
    with pytest.raises(Offline, match="HF_ENDPOINT is 'nowhere'"):
        pull(WHOLE, folder, endpoint="nowhere")


def test_a_revision_has_a_folder_of_its_own(hub: ModelHub, repository: Repository, folder: Path) -> None:
    repository.revisions = ("main", "refs/pr/1")
    pinned = pull(parse_reference(f"hf:{NAME}@refs/pr/1"), folder, endpoint=hub.url)
    by_commit = pull(parse_reference(f"hf:{NAME}@{repository.commit}"), folder, endpoint=hub.url)
    assert len({pinned, by_commit, pull(WHOLE, folder, endpoint=hub.url)}) == 3
    assert json.loads((pinned / "fireside.json").read_text())["commit"] == repository.commit
    with pytest.raises(UnknownModel, match="no revision 'v9'"):
        pull(parse_reference(f"hf:{NAME}@v9"), folder, endpoint=hub.url)


def test_the_token_goes_to_the_hub_and_nothing_else_about_this_machine(
    hub: ModelHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"
    with pytest.raises(AccessDenied):
        pull(WHOLE, folder, endpoint=hub.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    path = pull(WHOLE, folder, endpoint=hub.url)
    assert "hf_secret" not in (path / "fireside.json").read_text()
    assert all(agent.startswith("fireside/") and "torch" not in agent for agent in hub.agents)
    assert {asked.split("/")[1] for asked in hub.paths} == {"api", "maker", "cdn"}
    assert {asked for asked in hub.paths if asked.startswith("/api/")} == {"/api/models/maker/model"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(hub: ModelHub, folder: Path) -> None:
    folder.mkdir(mode=0o500)
    with pytest.raises(FolderNotWritable, match="--models"):
        pull(WHOLE, folder, endpoint=hub.url)


def test_a_file_in_the_place_of_the_folder_is_named(hub: ModelHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FolderNotWritable, match="--models"):
        pull(WHOLE, tmp_path / "file" / "models", endpoint=hub.url)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:a/b", HubReference("a", "b")),
        ("hf:Qwen/Qwen2.5-0.5B-Instruct", HubReference("Qwen", "Qwen2.5-0.5B-Instruct")),
        ("hf:a/b@v1.0", HubReference("a", "b", "v1.0")),
        ("hf:a/b:x.gguf", HubReference("a", "b", None, "x.gguf")),
        ("hf:a/b@refs/pr/3:Q4/x.gguf", HubReference("a", "b", "refs/pr/3", "Q4/x.gguf")),
        ("hf:a/b:x-00003-of-00004.GGUF", HubReference("a", "b", None, "x-00001-of-00004.GGUF")),
    ],
)
def test_a_reference_is_read_and_written_alike(text: str, expected: HubReference) -> None:
    assert parse_reference(text) == expected
    assert parse_reference(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["hf:", "hf:a", "hf:a/", "hf:/b", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b--c", "hf:a..b/c", "hf:a/b@", "hf:a/b:",
     "hf:a/b@../x", "hf:a/b@a/../b", "hf:a/b:../x.gguf", "hf:a/b:/x.gguf", "hf:a/b:x.bin", "hf:a/b:CON.gguf",
     "hf:a/b.git",
     "hf:a/b:a\\b.gguf", "hf:a/b:a\0.gguf", "hf:a b/c", "hf:a/b\n", "hf:ä/b", "hf:a/b:x-00000-of-00002.gguf",
     "hf:a/" + "b" * 97, "hf:a/b:" + "x" * 400 + ".gguf"],
)  # fmt: skip
def test_what_is_no_reference_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        parse_reference(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
