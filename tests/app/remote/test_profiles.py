"""What each kind of server is sent for the same settings."""

from __future__ import annotations

import pytest

from app.remote.errors import Rejected
from app.remote.profiles import PROFILES, Kind
from engine import Sampling
from engine.tools import Tools

SAMPLING = Sampling(
    temperature=0.5, top_k=0, top_p=0.9, min_p=0.1, repetition_penalty=1.2, presence_penalty=0.3, stop=tuple("abcdef")
)
ANSWER = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "On"}]
COMMON = {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.3, "frequency_penalty": 0.0, "seed": 2**32 + 6}
THEIRS = {"min_p": 0.1, "ignore_eos": False, "stop": list("abcdef")}


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("openai", {"stop": list("abcd")}),
        ("vllm", {"top_k": -1, "repetition_penalty": 1.2, **THEIRS}),
        ("sglang", {"top_k": -1, "repetition_penalty": 1.2, **THEIRS}),
        ("fireside", {"top_k": 0, "repetition_penalty": 1.2, **THEIRS}),
        ("llamacpp", {"top_k": 0, "repeat_penalty": 1.2, "repeat_last_n": 500, "seed": 7, **THEIRS}),
    ],
)
def test_settings_by_the_servers_own_names(kind: Kind, fields: dict[str, object]) -> None:
    assert PROFILES[kind].settings(SAMPLING, 2**32 + 6, 500) == COMMON | fields


def test_an_answer_is_gone_on_with_in_each_ones_way() -> None:
    for kind in ("vllm", "sglang", "fireside"):
        fields = PROFILES[kind].chat(ANSWER, None)
        assert (fields["continue_final_message"], fields["add_generation_prompt"]) == (True, False)
    assert PROFILES["llamacpp"].chat(ANSWER, None) == {"messages": ANSWER}
    with pytest.raises(Rejected, match="have it made again"):
        PROFILES["openai"].chat(ANSWER, None)


def test_what_a_server_does_not_have_is_refused_and_not_left_out() -> None:
    for kind in ("openai", "llamacpp"):
        with pytest.raises(Rejected, match="min_tokens cannot be told"):
            PROFILES[kind].settings(Sampling(min_tokens=3), 0, 500)
        with pytest.raises(Rejected, match="add_generation_prompt"):
            PROFILES[kind].chat(ANSWER[:1], None, add_generation_prompt=False)
    assert PROFILES["vllm"].settings(Sampling(min_tokens=3, stop_token_ids=(2,)), 0, 500)["stop_token_ids"] == [2]


def test_probabilities_schemas_and_tools() -> None:
    assert PROFILES["openai"].probabilities(0) == {}
    assert PROFILES["openai"].probabilities(3) == {"logprobs": True, "top_logprobs": 3}
    assert PROFILES["vllm"].probabilities(3)["return_tokens_as_token_ids"] is True
    schema = {"type": "object"}
    wanted = PROFILES["openai"].chat(ANSWER[:1], schema)["response_format"]
    assert (wanted["type"], wanted["json_schema"]["schema"]) == ("json_schema", schema)
    tools = Tools([{"name": "add", "parameters": schema}])
    assert PROFILES["openai"].chat(ANSWER[:1], None, tools)["tool_choice"] == "auto"
