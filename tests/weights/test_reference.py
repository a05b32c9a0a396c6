"""How a model of the hub is written."""

from __future__ import annotations

import pytest

from weights import (
    HubReference,
    UnknownModel,
    parse_reference,
)


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
