"""Answers held to JSON schemas: whatever the model, what it finishes is valid."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine import Engine, InvalidSampling, Sampling
from engine.constraint import Constraints
from engine.errors import InvalidSchema
from engine.tokenizer import Tokenizer
from tests.tiny import write_tiny_llama
from tests.tokenizer_families import described, from_folder

ASKED = [{"role": "user", "content": "Tell me about a campfire, as JSON."}]
# Bounded everywhere, so that answers come to an end.
# Small vocabularies have no tokens for the bytes of rare scripts, which schemas cannot ask for then.
words = st.text(st.characters(max_codepoint=0x17F), max_size=8)
exact = st.integers(-(2**53), 2**53)
scalars = st.one_of(
    st.fixed_dictionaries({"type": st.just("string"), "maxLength": st.integers(0, 12)}),
    st.builds(
        lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
        st.integers(-1000, 1000),
        st.integers(0, 1000),
    ),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"const": "fire"}, {"type": ["boolean", "null"]}]),
    st.sampled_from([{"type": "string", "pattern": "^[a-f]{2,5}$"}, {"type": "string", "format": "date"}]),
    st.fixed_dictionaries({"enum": st.lists(words | exact | st.none(), min_size=1, max_size=4)}),
)


def _object(properties: dict[str, Any], optional: set[str]) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


schemas = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(_object, st.dictionaries(words, inner, max_size=4), st.sets(words)),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner, "maxItems": st.integers(0, 3)}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A random model: nothing but the constraint makes it say JSON."""
    with Engine.load(write_tiny_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf", context=512)) as engine:
        yield engine


def answer(engine: Engine, schema: dict[str, Any], **more: Any) -> tuple[str, str | None]:
    """The text of an answer, and how it ended."""
    sampling = Sampling.from_dict({"seed": 3, "max_tokens": 400} | more)
    steps = list(engine.chat(ASKED, sampling, schema=schema))
    return "".join(step.text for step in steps), steps[-1].finish_reason


def finished(engine: Engine, schema: dict[str, Any], **more: Any) -> bool:
    """Whether the answer ended by itself; it is valid then."""
    text, reason = answer(engine, schema, **more)
    if reason == "stop":
        jsonschema_rs.validate(schema, json.loads(text))
    return reason == "stop"


ended = {"tiny": 0, "real": 0}


@settings(max_examples=50, phases=[Phase.generate])
@given(schemas, st.sampled_from([0.0, 1.0, 2.0]))
def test_what_a_random_model_finishes_is_valid(tiny: Engine, schema: dict[str, Any], temperature: float) -> None:
    ended["tiny"] += finished(tiny, schema, temperature=temperature, top_k=0, top_p=1.0, min_p=0.0)


def test_most_of_them_were_finished() -> None:
    """Or the test before would show nothing."""
    assert ended["tiny"] >= 40


def test_sure_text_gets_no_space_before_it(tmp_path: Path) -> None:
    """As SentencePiece puts before every text, and here would in the middle of a string."""
    tokenizer = from_folder(tmp_path, described("llama2"), eos_token="</s>")
    constraints = Constraints(tokenizer)
    for last in "cd":
        constraint, data = constraints.of_schema({"enum": ["ab c fire", "ab d fire"]}), b""
        while not (mask := constraint.allowed())[list(tokenizer.eos_ids)].any():
            token = next(id for id in reversed(mask.nonzero()[0].tolist()) if not _misses(data, id, tokenizer, last))
            constraint.accept(token)
            data += tokenizer.token_bytes(token)
        assert json.loads(data) == f"ab {last} fire"


def _misses(data: bytes, token: int, tokenizer: Tokenizer, last: str) -> bool:
    """Whether the text would go the other of the two ways with this token."""
    other = {"c": b"ab d", "d": b"ab c"}[last]
    return other in data + tokenizer.token_bytes(token)


@pytest.mark.slow
def test_what_the_real_model_finishes_is_valid(model_path: Path) -> None:
    with Engine.load(model_path) as engine:

        @settings(max_examples=200, phases=[Phase.generate])
        @given(schemas)
        def of(schema: dict[str, Any]) -> None:
            ended["real"] += finished(engine, schema)

        of()
    assert ended["real"] >= 180


def test_the_settings_hold_within_what_is_allowed(tiny: Engine) -> None:
    schema = {"enum": ["a", "b"]}
    both = {answer(tiny, schema, temperature=2.0, seed=seed, top_k=0)[0] for seed in range(20)}
    assert both == {'"a"', '"b"'}
    letter = tiny.tokenize("a")[0]
    biased = {answer(tiny, schema, seed=seed, logit_bias={letter: -100}, min_p=0.0)[0] for seed in range(5)}
    assert biased == {'"b"'}
    # With nothing else to say, even what is forbidden by a bias is said.
    assert answer(tiny, {"const": "a"}, logit_bias={letter: -100}) == ('"a"', "stop")


def test_other_answers_beside_it_are_free(tiny: Engine) -> None:
    alone = [step.token for step in tiny.chat(ASKED, Sampling(seed=9, max_tokens=40))]
    held = tiny.chat(ASKED, Sampling(seed=3, max_tokens=400), schema={"type": "string", "maxLength": 30})
    free = tiny.chat(ASKED, Sampling(seed=9, max_tokens=40))
    assert [step.token for step in free] == alone
    assert isinstance(json.loads("".join(step.text for step in held)), str)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"},
        {"type": "object", "not": {"type": "string"}},
        {"type": "string", "pattern": "("},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#"},
        {"type": "array", "minItems": -1},
        {"enum": ["x" * 20 + str(number) for number in range(5000)]},
        {"enum": [float("nan")]},
        {"enum": [14261492165861564416]},
    ],
)
def test_schemas_that_cannot_be_held_to_are_refused(tiny: Engine, schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchema, match=r"^answers cannot be held to this JSON schema: .{5,250}$"):
        tiny.chat(ASKED, Sampling(), schema=schema)


def test_a_schema_that_becomes_too_complex_ends_its_own_answer_only(tiny: Engine) -> None:
    schema = {"type": "object", "properties": {f"p{number}": {"type": "integer"} for number in range(2000)}}
    run = tiny.chat(ASKED, Sampling(max_tokens=20), schema=schema)
    with pytest.raises(InvalidSchema, match=r"too complex|max is"):
        list(run)
    assert answer(tiny, {"const": "a"}) == ('"a"', "stop")


def test_characters_that_no_token_has_are_refused(model_path: Path) -> None:
    """The default model has no token with the first byte of these planes."""
    with Engine.load(model_path, context=256) as engine, pytest.raises(InvalidSchema, match=r"no token$"):
        list(engine.chat(ASKED, Sampling(), schema={"const": "fire \U00050000"}))


@pytest.mark.parametrize("depth", [500, 5000])
def test_endless_schemas_end_early(tiny: Engine, depth: int) -> None:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    with pytest.raises(InvalidSchema):
        tiny.chat(ASKED, Sampling(), schema=schema)


def test_going_on_past_the_end_is_refused(tiny: Engine) -> None:
    with pytest.raises(InvalidSampling, match="ignore_eos"):
        tiny.chat(ASKED, Sampling(ignore_eos=True), schema={"type": "object"})
