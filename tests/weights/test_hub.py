"""What the hub refuses, or answers wrongly, is told in one line; and what it is told about this machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.model_hub import ModelHub, Repository, point_hub_at
from tests.weights.hub_model import SMALL, WHOLE, left_in
from weights import (
    AccessDenied,
    DownloadFailed,
    Offline,
    RateLimited,
    UnknownModel,
    WeightsError,
    pull,
)


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
        pull(WHOLE, folder)
    assert "\n" not in str(caught.value)
    assert left_in(folder) == set()


def test_a_refusal_in_mid_download_keeps_what_has_arrived(hub: ModelHub, folder: Path) -> None:
    hub.refuse = ("/cdn/", 503, {})
    with pytest.raises(DownloadFailed, match="503"):
        pull(WHOLE, folder)
    assert (folder / "maker--model.part" / "config.json").read_bytes() == SMALL["config.json"]
    hub.refuse = ("/cdn/", 404, {})
    with pytest.raises(DownloadFailed, match=r"lists model\.safetensors .*404"):
        pull(WHOLE, folder)


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b"{}", b"1", b'{"id": "a", "sha": "x"}', b"[" * 100_000]
)  # fmt: skip
def test_an_answer_that_is_no_listing_is_refused(hub: ModelHub, folder: Path, answer: bytes) -> None:
    hub.answer = answer or b" "
    with pytest.raises(DownloadFailed, match="no listing of maker/model") as caught:
        pull(WHOLE, folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entry", [{"size": None}, {"size": -1}, {"size": "1"}, {"size": True}, {"rfilename": 1}])
def test_a_listing_without_sizes_or_names_is_refused(
    hub: ModelHub, repository: Repository, folder: Path, entry: dict[str, Any]
) -> None:
    repository.listed["config.json"] = entry
    with pytest.raises(DownloadFailed, match="no listing"):
        pull(WHOLE, folder)


def test_without_a_network_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_hub_at("http://127.0.0.1:9", monkeypatch)
    with pytest.raises(Offline, match=r"cannot reach 127\.0\.0\.1:9 "):
        pull(WHOLE, folder)


@pytest.mark.parametrize("address", ["nowhere", "http://[bad", "ftp://127.0.0.1"])
def test_an_endpoint_that_is_no_address_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    point_hub_at(address, monkeypatch)
    with pytest.raises(Offline, match=re.escape(f"HF_ENDPOINT is '{address}'")):
        pull(WHOLE, folder)


def test_a_token_that_cannot_be_one_is_told(hub: ModelHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_ä")
    with pytest.raises(AccessDenied, match="your token") as caught:
        pull(WHOLE, folder)
    assert "ä" not in str(caught.value)


def test_the_token_goes_to_the_hub_and_nothing_else_about_this_machine(
    hub: ModelHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"
    with pytest.raises(AccessDenied):
        pull(WHOLE, folder)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    path = pull(WHOLE, folder)
    assert "hf_secret" not in (path / "fireside.json").read_text()
    assert all(agent.startswith("fireside/") and "torch" not in agent for agent in hub.agents)
    assert {asked.split("/")[1] for asked in hub.paths} == {"api", "maker", "cdn"}
    assert {asked for asked in hub.paths if asked.startswith("/api/")} == {"/api/models/maker/model"}


def test_the_token_does_not_go_to_where_the_large_files_lie(
    hub: ModelHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with ModelHub() as storage:
        storage.repositories = hub.repositories
        hub.storage = storage.url
        pull(WHOLE, folder)
        assert [(sent.name, sent.authorization) for sent in storage.sent] == [("model.safetensors", None)]
    assert {sent.authorization for sent in hub.sent} == {"Bearer hf_secret"}
