from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import InvalidSampling, Sampling

settings = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2),
        "top_k": st.integers(0, 1000),
        "top_p": st.floats(0, 1, exclude_min=True),
        "min_p": st.floats(0, 1, exclude_max=True),
        "repetition_penalty": st.floats(0, 2, exclude_min=True),
        "presence_penalty": st.floats(-2, 2),
        "frequency_penalty": st.floats(-2, 2),
        "seed": st.none() | st.integers(0, 2**63 - 1),
        "max_tokens": st.none() | st.integers(1, 10_000),
        "stop": st.lists(st.text(min_size=1, max_size=20), max_size=16),
        "logit_bias": st.dictionaries(st.integers(0, 50_000), st.floats(-100, 100), max_size=5),
        "ignore_eos": st.booleans(),
        "logprobs": st.integers(0, 20),
    },
)


@given(settings)
def test_survives_json(chosen: dict[str, object]) -> None:
    sampling = Sampling.from_dict(chosen)
    assert Sampling.from_dict(json.loads(json.dumps(sampling.to_dict()))) == sampling


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1),
        ("temperature", 2.1),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("temperature", "1"),
        ("temperature", True),
        ("temperature", None),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_k", None),
        ("top_p", 0),
        ("top_p", 1.0001),
        ("min_p", 1),
        ("repetition_penalty", 0),
        ("presence_penalty", -2.5),
        ("seed", -1),
        ("seed", 2**63),
        ("max_tokens", 0),
        ("logprobs", 21),
        ("stop", [""]),
        ("stop", [1]),
        ("stop", ["x"] * 17),
        ("stop", ["x" * 1001]),
        ("logit_bias", {"a": 1}),
        ("logit_bias", {1: 200}),
        ("logit_bias", [1]),
        ("ignore_eos", 1),
    ],
)
def test_bad_values_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidSampling) as caught:
        Sampling.from_dict({name: value})
    assert "stop" in str(caught.value) if name == "stop" else name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InvalidSampling, match="tempreature"):
        Sampling.from_dict({"tempreature": 1})
    with pytest.raises(InvalidSampling, match="topk"):
        Sampling().replace(topk=3)


def test_a_slider_may_send_whole_floats() -> None:
    assert Sampling(top_k=40.0).top_k == 40  # pyright: ignore[reportArgumentType]
