"""What servers send that they should not, or need not."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest

from app.backend import AnswerInterrupted
from app.remote import Address, RemoteEngine
from app.remote.connection import Patience
from app.remote.errors import (
    BadAddress,
    BreakerOpen,
    NotThere,
    Overloaded,
    Rejected,
    RemoteError,
    ServerFailed,
    Unauthorised,
    Unreachable,
)
from engine import ContextOverflow, Sampling, Step
from tests.app.remote.scripted import DONE, Handler, Reply, delta, scripted, stream

QUICK = Patience(connect=5, reply=10, first=20, next=20, pause=0.01)
QUESTION = [{"role": "user", "content": "Hello"}]
USAGE = (
    b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": null}}\n\n'
)


def answer(reply: Reply, patience: Patience = QUICK, sampling: Sampling = Sampling()) -> list[Step]:  # noqa: B008
    with scripted(reply) as server:
        engine = RemoteEngine.connect(Address.parse(server.url), patience=patience)
        try:
            return list(engine.chat(QUESTION, sampling))
        finally:
            engine.close()


def text(steps: list[Step]) -> str:
    return "".join(step.text for step in steps)


@pytest.mark.parametrize(
    ("pieces", "said"),
    [
        ([delta("Hel"), delta("lo"), delta(reason="stop"), USAGE, DONE], "Hello"),
        ([delta(None, role="assistant"), delta("Hello"), delta(reason="stop")], "Hello"),  # no [DONE], no usage
        ([delta("Hello"), DONE], "Hello"),  # no reason
        ([b": ping\n\n", b"event: x\nid: 3\n" + delta("Hello"), b"\n\n\n", DONE], "Hello"),
        ([delta("Hello").replace(b"\n", b"\r\n"), b"data: [DONE]\r\n\r\n"], "Hello"),
        ([bytes([byte]) for byte in delta("Hé") + DONE], "H\u00e9"),
        ([b'data: {"choices": [{"index": 0, "delta": {"content": "H\xff"}}]}\n\n', DONE], "H\ufffd"),
        ([b'data: {"choices": null}\n\n', b'data: {"choices": [null, 3]}\n\n', delta("Hello"), DONE], "Hello"),
        ([b'data: {"choices": [{"index": 1, "delta": {"content": "no"}}]}\n\n', delta("Hello"), DONE], "Hello"),
        ([b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n', DONE], "?"),
        ([delta("Hel") + delta("lo") + delta(reason="stop") + USAGE + DONE], "Hello"),  # several events in one read
        ([delta("Hel"), delta(None), delta(3), delta("lo"), DONE], "Hello"),  # type: ignore[arg-type]
        ([b"data: {\ndata: }\n\n", delta("Hello"), DONE], "Hello"),  # one event in two lines
        ([delta("Hello"), b"data: [DONE]"], "Hello"),  # nothing after the last line
        ([delta("<script>"), delta("Hello</script>"), DONE], "<script>Hello</script>"),
    ],
)
def test_odd_streams_are_read(pieces: list[bytes], said: str) -> None:
    steps = answer(stream(*pieces))
    assert (text(steps), steps[-1].finish_reason) == (said, "stop")


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_thoughts_are_apart(name: str) -> None:
    steps = answer(stream(delta(None, **{name: "Hm"}), delta("Yes"), delta(reason="length"), DONE))
    assert "".join(step.reasoning for step in steps) == "Hm"
    assert (text(steps), steps[-1].finish_reason) == ("Yes", "length")


def test_ids_and_probabilities_are_kept_where_told() -> None:
    entry = {
        "token": "token_id:5",
        "bytes": [72],
        "logprob": -0.5,
        "top_logprobs": [{"token": "token_id:5", "logprob": 1e99}],
    }
    chunk = {"choices": [{"index": 0, "delta": {"content": "H"}, "logprobs": {"content": [entry]}}]}
    steps = answer(stream(b"data: " + json.dumps(chunk).encode() + b"\n\n", DONE))
    assert steps[0] == Step(5, "H", -0.5)


def test_a_stop_string_ends_it_here_too() -> None:
    steps = answer(stream(delta("one TW"), delta("O three"), DONE), sampling=Sampling(stop=("TWO",)))
    assert (text(steps), steps[-1].finish_reason) == ("one ", "stop")


@pytest.mark.parametrize(
    "pieces",
    [[b"data: {oops\n\n"], [b'data: {"error": {"message": "GPU lost"}}\n\n'], [b"data: " + b"x" * 1_100_000], [b"\n"]],
)
def test_what_is_no_answer_fails_before_the_first_token_and_interrupts_after_it(pieces: list[bytes]) -> None:
    with pytest.raises(ServerFailed):
        answer(stream(*pieces))
    with pytest.raises(AnswerInterrupted):
        answer(stream(delta("Hello"), *pieces))


def test_the_usage_is_the_servers_own_count() -> None:
    counts = {"prompt_tokens": 70, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 64}}
    for usage, expected in ((counts, (70, 2, 64)), ({"prompt_tokens": "many", "completion_tokens": -1}, (0, 1, 0))):
        event = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
        with scripted(stream(delta("Hello"), delta(reason="stop"), event)) as server:
            engine = RemoteEngine.connect(Address.parse(server.url), patience=QUICK)
            run = engine.chat(QUESTION)
            assert text(list(run)) == "Hello"
            engine.close()
        assert (run.stats.prompt_tokens, run.stats.new_tokens, run.stats.cached_tokens) == expected


def test_an_answer_without_end_is_cut_at_eight_megabytes() -> None:
    def endless(handler: Handler) -> None:
        handler.begin()
        while True:
            handler.say(delta("x" * 500_000))

    with pytest.raises(AnswerInterrupted, match="8,000,000 bytes"):
        answer(endless)


def test_silence_from_the_beginning() -> None:
    def silent(handler: Handler) -> None:
        handler.begin()
        handler.server.gone.wait(5)

    with scripted(silent) as server:
        engine = RemoteEngine.connect(Address.parse(server.url), patience=Patience(first=0.1, pause=0.01))
        with pytest.raises(Unreachable, match=r"said nothing for 0\.1 s"):
            list(engine.chat(QUESTION))
        server.gone.set()
        with pytest.raises(BreakerOpen, match=r"said nothing for 0\.1 s; it is tried again in"):
            list(engine.chat(QUESTION))
        engine.close()


def test_silence_and_drips_end() -> None:
    def drip(handler: Handler) -> None:
        handler.begin()
        handler.say(delta("Hello"))
        while not handler.server.gone.wait(0.01):
            handler.say(b": still here\n\n")

    with pytest.raises(AnswerInterrupted, match="said nothing"):
        answer(drip, Patience(first=20, next=0.3))


REFUSALS: list[tuple[int, Any, dict[str, str], type[Exception]]] = [
    (401, {"error": {"message": "bad key"}}, {}, Unauthorised),
    (404, {"error": "no model"}, {}, NotThere),
    (429, {"error": "busy"}, {"Retry_After": "60"}, Overloaded),
    (302, {}, {"Location": "http://elsewhere.invalid/"}, Rejected),
    (500, [[[]]], {}, ServerFailed),
    (422, {"detail": "no"}, {}, Rejected),
    (400, {"error": {"message": "too long", "n_prompt_tokens": 9000, "n_ctx": 500}}, {}, ContextOverflow),
    (400, {"error": {"message": "maximum context length is 500 tokens"}}, {}, ContextOverflow),
]


@pytest.mark.parametrize(("status", "body", "headers", "kind"), REFUSALS)
def test_refusals_are_one_line_of_their_kind(
    status: int, body: Any, headers: dict[str, str], kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught:
        answer(lambda handler: handler.json(body, status, **headers))
    assert "\n" not in str(caught.value)


def test_a_failure_before_the_first_token_is_tried_again_and_later_ones_are_not() -> None:
    attempts: list[int] = []

    def reply(handler: Handler) -> None:
        attempts.append(len(attempts))
        if len(attempts) < 3:
            return handler.json({"error": "not yet"}, 500)
        return stream(delta("Hello"))(handler)

    with pytest.raises(AnswerInterrupted):
        answer(reply)
    assert len(attempts) == 3


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 504])
def test_what_may_pass_is_tried_again_as_soon_as_the_server_says(status: int) -> None:
    def reply(handler: Handler) -> None:
        if len(handler.server.requests) < 2:
            return handler.json({"error": "not yet"}, status, Retry_After="0")
        return stream(delta("Hello"), DONE)(handler)

    assert text(answer(reply)) == "Hello"


@pytest.mark.parametrize(("status", "retry_after"), [(400, "0"), (401, "0"), (403, "0"), (404, "0"), (429, "60")])
def test_what_does_not_pass_is_not_tried_again(status: int, retry_after: str) -> None:
    with scripted(lambda handler: handler.json({"error": "no"}, status, Retry_After=retry_after)) as server:
        engine = RemoteEngine.connect(Address.parse(server.url), patience=QUICK)
        with pytest.raises(RemoteError):
            list(engine.chat(QUESTION))
        assert (len(server.requests), engine.breaker.trouble) == (1, "")
        engine.close()


def test_a_server_that_refuses_usage_is_asked_without() -> None:
    def reply(handler: Handler) -> None:
        if "stream_options" in handler.body:
            return handler.json({"error": {"message": "unknown field stream_options"}}, 400)
        return stream(delta("Hello"), DONE)(handler)

    assert text(answer(reply)) == "Hello"


def test_a_server_that_fails_is_left_alone() -> None:
    with scripted(lambda handler: handler.json({}, 500)) as server:
        engine = RemoteEngine.connect(Address.parse(server.url), patience=QUICK)
        with pytest.raises(ServerFailed):
            list(engine.chat(QUESTION))
        with pytest.raises(BreakerOpen, match="tried again in"):
            list(engine.chat(QUESTION))
        assert len(server.requests) == 3
        engine.close()


def test_stopping_closes_the_connection() -> None:
    def endless(handler: Handler) -> None:
        handler.begin()
        while True:
            handler.say(delta("word "))

    with scripted(endless) as server:
        engine = RemoteEngine.connect(Address.parse(server.url), patience=QUICK)
        run = engine.chat(QUESTION)
        for step in run:
            run.cancel()
            last = step
        assert last.finish_reason == "cancelled"
        assert server.gone.wait(20)
        engine.close()


@pytest.mark.parametrize(
    "url", ["", "ftp://a/v1", "http://", "http://u:p@a/v1", "http://a/v1?x=1", "http://a\\@b/v1", "a:b"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        Address.parse(url)


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "224.0.0.1"]
)
def test_nothing_is_sent_to_the_services_of_clouds(host: str) -> None:
    with pytest.raises(BadAddress):
        RemoteEngine.connect(Address.parse(f"http://{host}/v1"), patience=QUICK)


def test_a_name_is_looked_up_each_time_and_connected_to_as_it_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a name could stand for something else by the time it is connected to (DNS rebinding)."""
    real, asked = asyncio.BaseEventLoop.getaddrinfo, []

    async def getaddrinfo(self: asyncio.BaseEventLoop, host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "engine.invalid":
            return await real(self, host, *args, **kwargs)
        asked.append(host)
        address = "127.0.0.1" if len(asked) < 3 else "169.254.169.254"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    with scripted(stream(delta("Hello"), DONE)) as server:
        url = server.url.replace("127.0.0.1", "engine.invalid")
        engine = RemoteEngine.connect(Address.parse(url), patience=QUICK)
        assert text(list(engine.chat(QUESTION))) == "Hello"
        assert server.hosts == {f"engine.invalid:{server.server_port}"}
        with pytest.raises(BadAddress, match="nothing is sent to"):
            list(engine.chat(QUESTION))
        engine.close()


def test_nobody_there() -> None:
    with scripted(stream()) as server:
        url = server.url
    with pytest.raises(Unreachable) as caught:
        RemoteEngine.connect(Address.parse(url, "secret-key"), patience=QUICK)
    assert isinstance(caught.value, RemoteError)
    assert "secret-key" not in str(caught.value) + repr(Address.parse(url, "secret-key"))
