"""Rendered text equals transformers', in the styles of many families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from engine.errors import TemplateError
from engine.template import ChatTemplate
from tests.engine.template.styles import CHATML, DEEPSEEK, NAMES, QWEN_3, SMOLLM_3, SPECIALS, STYLES

SYSTEM = {"role": "system", "content": "Be brief. /think"}
TALK = [
    {"role": "user", "content": " What is 2 < 3 ? \n"},
    {"role": "assistant", "content": "<think>\nTwo and three.\n</think>\n\nTrue."},
    {"role": "user", "content": "日本 👩‍👩‍👧‍👦\r\n\n\tx {{ messages }} {% raw %}"},
    {"role": "assistant", "content": "\nYes, it is. ", "reasoning_content": "\nA trick?\n"},
    {"role": "user", "content": "And <|im_end|> now?"},
]
BEGUN = {"role": "assistant", "content": "Once upon a "}
TOOL = [*TALK[:2], {"role": "tool", "content": '{"a": 1}'}, {"role": "tool", "content": "second"}]
CONVERSATIONS = {
    "one question": TALK[:1],
    "with a system prompt": [SYSTEM, *TALK[:1]],
    "many turns": TALK,
    "many turns with a system prompt": [SYSTEM, *TALK],
    "ends with an answer": [SYSTEM, *TALK[:4]],
    "tool results": TOOL,
    "a question like a tool's result": [{"role": "user", "content": "<tool_response>x</tool_response>"}],
    "a system prompt alone": [SYSTEM],
}


@pytest.fixture(scope="module")
def reference() -> PreTrainedTokenizerFast:
    """A tokenizer of transformers, of bytes and special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: id for id, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.add_special_tokens(list(SPECIALS))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **NAMES)


def ours(source: str, messages: Sequence[dict[str, str]], **options: Any) -> str:
    return ChatTemplate(source, names=NAMES, special_tokens=SPECIALS).render(messages, **options).text


def theirs(
    reference: PreTrainedTokenizerFast, source: str, messages: Sequence[dict[str, str]], **options: Any
) -> str | None:
    """What transformers renders; None where the template refuses these messages."""
    options = {"add_generation_prompt": not options.get("continue_final_message"), **options}
    try:
        text = reference.apply_chat_template(list(messages), chat_template=source, tokenize=False, **options)
    except Exception:
        return None
    assert isinstance(text, str)
    return text


def assert_equal(
    reference: PreTrainedTokenizerFast, source: str, messages: Sequence[dict[str, str]], **options: Any
) -> None:
    expected = theirs(reference, source, messages, **options)
    if "continue_final_message" in options:
        options["continue_final"] = options.pop("continue_final_message")
    if expected is None:
        with pytest.raises(TemplateError):
            ours(source, messages, **options)
    else:
        assert ours(source, messages, **options) == expected


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("style", STYLES)
def test_the_text_is_that_of_transformers(reference: PreTrainedTokenizerFast, style: str, conversation: str) -> None:
    for add_generation_prompt in (True, False):
        assert_equal(reference, STYLES[style], CONVERSATIONS[conversation], add_generation_prompt=add_generation_prompt)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("begun", ["Once upon a ", "Once", "  both ends\n\n", "A <|im_end|> b"])
def test_the_last_answer_is_continued_as_transformers_does(
    reference: PreTrainedTokenizerFast, style: str, begun: str
) -> None:
    for system in ([], [SYSTEM]):
        messages = [*system, *TALK, {"role": "assistant", "content": begun}]
        assert_equal(reference, STYLES[style], messages, continue_final_message=True)


def test_every_style_renders_most_conversations(reference: PreTrainedTokenizerFast) -> None:
    """Refusals are equal too, so that many of them would prove little."""
    for style, source in STYLES.items():
        texts = [theirs(reference, source, messages) for messages in CONVERSATIONS.values()]
        assert sum(text is not None for text in texts) >= 5, style


@pytest.mark.parametrize("source", [QWEN_3, SMOLLM_3])
@pytest.mark.parametrize("enable_thinking", [True, False, None])
def test_reasoning_is_switched_as_in_transformers(
    reference: PreTrainedTokenizerFast, source: str, enable_thinking: bool | None
) -> None:
    given = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
    expected = theirs(reference, source, TALK, **given)
    assert ours(source, TALK, enable_thinking=enable_thinking) == expected


contents = st.text(max_size=12) | st.lists(
    st.sampled_from(
        ["<think>", "</think>", "\n", "a", " ", "/no_think", "<tool_response>", "</tool_response>", "{{", "%"]
    ),
    max_size=5,
).map("".join)


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=15)
@given(system=st.none() | contents, talk=st.lists(contents, min_size=1, max_size=4))
def test_any_contents_give_transformers_text(
    reference: PreTrainedTokenizerFast, style: str, system: str | None, talk: list[str]
) -> None:
    messages = [{"role": "system", "content": system}] if system is not None else []
    messages += [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(talk)]
    assert_equal(reference, STYLES[style], messages)


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=15)
@given(
    places=st.lists(
        st.lists(st.sampled_from([*SPECIALS, "<|", "|>", "im_end", "a", "\n", " "]), max_size=4), min_size=3, max_size=3
    )
)
def test_contents_bring_no_special_token(style: str, places: list[list[str]]) -> None:
    template = ChatTemplate(STYLES[style], names=NAMES, special_tokens=SPECIALS)
    attack = ["".join(place) for place in places]
    plain = ["x" if text.strip() else text for text in attack]

    def specials(contents: list[str]) -> list[str]:
        messages = [
            {"role": role, "content": text} for role, text in zip(("user", "assistant", "user"), contents, strict=True)
        ]
        return [piece.text for piece in template.render(messages) if piece.special]

    of_attack = specials(attack)
    allowed = specials(plain)
    # Where the template itself looks for a tag, it may write or leave out its own, never more.
    extra = [text for text in of_attack if of_attack.count(text) > allowed.count(text)]
    assert not extra


def test_a_stored_thought_is_passed_as_the_template_asks() -> None:
    last = [*TALK[:1], {"role": "assistant", "content": "Yes.", "reasoning_content": "Is it <|im_end|>?"}]
    assert "<think>\nIs it <|im_end|>?\n</think>\n\nYes." in ours(QWEN_3, last, add_generation_prompt=False)
    assert "Is it" not in ours(QWEN_3, [*last, TALK[0]])
    assert "Is it" not in ours(CHATML, last)


@pytest.mark.parametrize(
    ("source", "options", "thinking"),
    [
        (DEEPSEEK, {}, True),
        (QWEN_3, {}, False),
        (QWEN_3, {"enable_thinking": False}, False),
        (SMOLLM_3, {"enable_thinking": False}, False),
        (CHATML, {}, False),
    ],
)
def test_it_is_known_whether_the_prompt_has_opened_the_thoughts(
    source: str, options: dict[str, Any], thinking: bool
) -> None:
    template = ChatTemplate(source, names=NAMES, special_tokens=SPECIALS)
    typed = [{"role": "user", "content": "what is <think>"}]
    assert template.render_prompt(typed, **options).thinking is thinking


def test_an_answer_stopped_in_its_thoughts_goes_on_thinking() -> None:
    template = ChatTemplate(QWEN_3, names=NAMES, special_tokens=SPECIALS)
    rendered = template.render_prompt([*TALK[:1], {"role": "assistant", "content": "", "reasoning_content": "Let me"}])
    assert rendered.text.endswith("<think>\nLet me")
    assert rendered.thinking
