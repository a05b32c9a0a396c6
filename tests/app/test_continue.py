"""An answer that was stopped, cut off or interrupted goes on from its exact tokens."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.answer import CONTINUED_AT, PROMPT_DIGEST, WITHOUT_TOKENS
from app.chats import ChatError, can_continue
from app.fake import ScriptedBackend, token_of
from app.store import Store
from app.store.tokens import unpack_ids, unpack_logprobs
from engine import EngineError
from tests.app.serving import LIMIT_SECONDS, chatting, finish, run_of, stop_after

WORDS = [f"word{number} " for number in range(200)]


def test_a_stopped_answer_goes_on_as_if_it_had_not_been(store: Store) -> None:
    backend = ScriptedBackend(WORDS, pace=0.001)
    with chatting(store, backend) as chats:
        sent = chats.send(None, "Hello", settings={"temperature": 1.1, "seed": 9}, system_prompt="Be long.")
        stopped = stop_after(chats, store, sent, 100)
        assert can_continue(stopped)
        # What holds for the conversation now is for the next answer, not for this one.
        store.conversations.configure(
            sent.conversation_id, system_prompt="Be brief.", preset_id="precise", settings={"temperature": 0.1}
        )
        assert chats.continue_answer(sent.message_id) == sent
        whole = finish(chats, store, sent)
    assert (whole.content, whole.status, whole.finish_reason) == ("".join(WORDS), "complete", "stop")
    assert unpack_ids(whole.token_ids) == [token_of(word) for word in WORDS]
    assert len(unpack_logprobs(whole.token_logprobs)) == whole.new_tokens == len(WORDS)
    assert whole.seed == 9
    assert whole.prompt_tokens == stopped.prompt_tokens
    assert whole.extra[CONTINUED_AT] == [stopped.new_tokens]
    assert whole.extra[PROMPT_DIGEST] == stopped.extra[PROMPT_DIGEST]
    (first, first_sampling), (second, second_sampling) = backend.requests
    assert (first, first_sampling) == (second, second_sampling)
    assert not can_continue(whole)
    assert whole.decode_ms is not None
    assert stopped.decode_ms is not None
    assert whole.decode_ms > stopped.decode_ms


def test_an_answer_cut_by_the_limit_goes_on_as_often_as_asked(store: Store) -> None:
    with chatting(store, ScriptedBackend(WORDS[:10])) as chats:
        sent = chats.send(None, "Hello", settings={"max_tokens": 4})
        cut = finish(chats, store, sent)
        assert (cut.content, cut.finish_reason) == ("word0 word1 word2 word3 ", "length")
        for expected in (8, 10):
            chats.continue_answer(sent.message_id)
            assert finish(chats, store, sent).new_tokens == expected
        whole = store.messages.get(sent.message_id)
        assert whole.content == "".join(WORDS[:10])
        assert whole.extra[CONTINUED_AT] == [4, 8]
        with pytest.raises(ChatError, match="complete"):
            chats.continue_answer(sent.message_id)
        with pytest.raises(ChatError, match="complete"):
            chats.continue_answer(str(sent.user_message_id))


def test_an_interrupted_answer_goes_on_after_a_restart(tmp_path: Path) -> None:
    with Store.open(tmp_path / "home") as store:
        with chatting(store, ScriptedBackend(WORDS, pace=0.001)) as chats:
            sent = chats.send(None, "Hello")
            assert run_of(chats, sent).wait(50, LIMIT_SECONDS)
        assert store.messages.get(sent.message_id).status == "interrupted"
    with Store.open(tmp_path / "home") as store, chatting(store, ScriptedBackend(WORDS)) as chats:
        chats.continue_answer(sent.message_id)
        assert finish(chats, store, sent).content == "".join(WORDS)


@settings(max_examples=20)
@given(
    st.text("aé中👍🏽 \n", min_size=1, max_size=12),
    st.sets(st.integers(1, 30)),
    st.integers(1, 5),
)
def test_wherever_it_is_cut_the_text_is_the_same(text: str, cuts: set[int], limit: int) -> None:
    """A token may be any bytes: the cuts between tokens and between runs fall into characters."""
    data = ("x" + text).encode()
    ends = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    pieces = [data[start:end] for start, end in pairwise(ends)]
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        with chatting(store, ScriptedBackend(pieces)) as chats:
            sent = chats.send(None, "Hello", settings={"max_tokens": limit})
            message = finish(chats, store, sent)
            while can_continue(message):
                chats.continue_answer(message.id)
                message = finish(chats, store, sent)
        assert message.content == "x" + text
        assert unpack_ids(message.token_ids) == [token_of(piece) for piece in pieces]


def test_what_an_answer_has_stays_if_it_cannot_go_on(store: Store) -> None:
    backend = ScriptedBackend(WORDS[:10])
    with chatting(store, backend) as chats:
        sent = chats.send(None, "Hello", settings={"max_tokens": 4})
        cut = finish(chats, store, sent)
        backend.error = EngineError("out of luck")
        chats.continue_answer(sent.message_id)
        same = finish(chats, store, sent)
        assert run_of(chats, sent).error == same.extra["error"] == "out of luck"
        assert (same.content, same.status, same.finish_reason) == (cut.content, cut.status, cut.finish_reason)
        assert (same.token_ids, same.token_logprobs, same.new_tokens) == (cut.token_ids, cut.token_logprobs, 4)
        backend.error = None
        chats.continue_answer(sent.message_id)
        whole = finish(chats, store, sent)
        assert (whole.new_tokens, "error" in whole.extra) == (8, False)


def test_another_models_answer_goes_on_from_its_text(store: Store) -> None:
    with chatting(store, ScriptedBackend(WORDS[:10])) as chats:
        sent = chats.send(None, "Hello", settings={"max_tokens": 2})
        finish(chats, store, sent)
    store.messages.update(sent.message_id, model_digest="another")
    backend = ScriptedBackend(["and", " so", " on"])
    with chatting(store, backend) as chats:
        chats.continue_answer(sent.message_id)
        message = finish(chats, store, sent)
    assert message.content == "word0 word1 and so"
    assert message.extra[WITHOUT_TOKENS] == len("word0 word1 ")
    assert unpack_ids(message.token_ids) == [token_of("and"), token_of(" so")]
    assert backend.requests[-1][0][-1] == {"role": "assistant", "content": "word0 word1 "}


def test_a_reader_sees_the_whole_text_while_it_goes_on(store: Store) -> None:
    gate = threading.Event()
    with chatting(store, ScriptedBackend(["a", "b", "c"])) as chats:
        sent = chats.send(None, "Hello", settings={"max_tokens": 2})
        finish(chats, store, sent)
    with chatting(store, ScriptedBackend(["a", "b", "c"]), gate) as chats:
        chats.continue_answer(sent.message_id)
        assert store.messages.get(sent.message_id).status == "streaming"
        assert run_of(chats, sent).shown_from(0) == ("", "ab", 2)
        gate.set()
        assert finish(chats, store, sent).content == "abc"
        assert run_of(chats, sent).shown_from(1) == ("", "bc", 3)
