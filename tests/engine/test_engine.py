from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from engine import (
    ContextOverflow,
    Engine,
    EngineBusy,
    EngineClosed,
    EngineError,
    InvalidPrompt,
    Run,
    Sampling,
    TemplateError,
    UnsupportedModel,
)
from tests.tiny import EOS, write_tiny_llama
from tests.tiny_folder import CONFIG, VOCABULARY, tensors, write_json, write_tiny_folder

GREEDY = Sampling(temperature=0, max_tokens=24, ignore_eos=True)
ENDLESS = Sampling(temperature=0, ignore_eos=True)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A tiny model with room for runs that last long enough to be cancelled."""
    path = write_tiny_llama(tmp_path_factory.mktemp("roomy") / "roomy.gguf", context=8192)
    with Engine.load(path, device="cpu") as engine:
        yield engine


def tokens(run: Run) -> list[int]:
    return [step.token for step in run if step.token is not None]


def wait_for(run: Run, phase: str) -> None:
    deadline = time.monotonic() + 20
    while run.phase != phase:
        assert time.monotonic() < deadline, f"still {run.phase}"
        time.sleep(0.001)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_steps_stats_and_text_agree(tiny: Engine) -> None:
    run = tiny.generate("Once upon a time", GREEDY.replace(logprobs=3))
    steps = list(run)
    assert [step.finish_reason for step in steps] == [None] * 23 + ["length"]
    ids = [step.token for step in steps if step.token is not None]
    assert "".join(step.text for step in steps) == tiny.detokenize(ids)
    assert all(step.logprob <= 0 and len(step.top) == 3 for step in steps)
    assert all(step.top[0] == (step.token, pytest.approx(step.logprob)) for step in steps)
    stats = run.stats
    assert (stats.prompt_tokens, stats.new_tokens) == (16, 24)
    assert stats.ttft_seconds >= stats.prefill_seconds > 0
    assert stats.decode_seconds > 0
    assert stats.tokens_per_second == pytest.approx(23 / stats.decode_seconds)
    assert run.phase == "done"


def test_generated_logprobs_equal_a_fresh_scoring(tiny: Engine) -> None:
    prompt = tiny.tokenize("The quick brown fox")
    steps = list(tiny.generate(prompt, GREEDY))
    ids = [step.token for step in steps if step.token is not None]
    scored = tiny.logits(prompt + ids).log_softmax(dim=-1)
    for index, step in enumerate(steps):
        assert step.logprob == pytest.approx(float(scored[len(prompt) + index - 1, ids[index]]), abs=1e-3)


def test_same_seed_same_tokens_and_the_seed_is_told(tiny: Engine) -> None:
    hot = Sampling(temperature=1.5, top_k=0, top_p=1, min_p=0, max_tokens=24, ignore_eos=True)
    first = tiny.generate("Hello", hot)
    answer = tokens(first)
    assert tokens(tiny.generate("Hello", hot.replace(seed=first.stats.seed))) == answer
    assert tokens(tiny.generate("Hello", hot.replace(seed=first.stats.seed ^ 1))) != answer


def test_a_second_turn_reuses_the_first(tiny_path: Path) -> None:
    with Engine.load(tiny_path, device="cpu") as engine, Engine.load(tiny_path, device="cpu") as fresh:
        prompt = engine.tokenize("A story about a fox: ")
        answer = tokens(engine.generate(prompt, GREEDY))
        following = [*prompt, *answer, *engine.tokenize(" And then?")]
        second = engine.generate(following, GREEDY)
        assert tokens(second) == tokens(fresh.generate(following, GREEDY))
        # All but the last token of the answer, which was sampled and never run.
        assert second.stats.cached_tokens == len(prompt) + len(answer) - 1
        again = engine.generate(following, GREEDY)
        tokens(again)
        assert again.stats.cached_tokens == len(following) - 1


def test_runs_beside_each_other_equal_their_solo_runs(tiny_path: Path) -> None:
    prompts = [f"Prompt number {number}, " * (number + 1) for number in range(9)]
    hot = Sampling(temperature=1, seed=5, max_tokens=30, ignore_eos=True)
    with Engine.load(tiny_path, device="cpu") as engine:
        solo = [tokens(engine.generate(prompt, hot)) for prompt in prompts]
    with Engine.load(tiny_path, device="cpu") as engine:
        runs = [engine.generate(prompt, hot) for prompt in prompts]
        assert [tokens(run) for run in runs] == solo


def test_the_padding_of_an_embedding_is_never_chosen(tmp_path: Path) -> None:
    numbers = tensors()
    embedding = numbers["model.embed_tokens.weight"]
    # Opposite rows far longer than any token's, so that one of them always has the highest logit.
    padding = torch.cat([100 * embedding[:4], -100 * embedding[:4]])
    numbers["model.embed_tokens.weight"] = torch.cat([embedding, padding])
    folder = write_tiny_folder(tmp_path)
    write_json(folder / "config.json", {**CONFIG, "vocab_size": VOCABULARY + len(padding)})
    save_file(numbers, folder / "model.safetensors")
    with Engine.load(folder, device="cpu") as engine:
        assert int(engine.logits([5, 6, 7])[-1].argmax()) >= VOCABULARY
        for temperature in (0.0, 2.0):
            ids = tokens(engine.generate([5, 6, 7], GREEDY.replace(temperature=temperature)))
            assert len(ids) == 24
            assert max(ids) < VOCABULARY


def test_the_end_token_ends_and_is_not_text(tiny: Engine) -> None:
    (step,) = tiny.generate("Hi", Sampling(temperature=0, logit_bias={EOS: 100.0}))
    assert (step.token, step.text, step.finish_reason) == (EOS, "", "stop")


def test_ignore_eos_goes_on(tiny: Engine) -> None:
    run = tiny.generate("Hi", Sampling(temperature=0, logit_bias={EOS: 100.0}, ignore_eos=True, max_tokens=5))
    assert tokens(run) == [EOS] * 5


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(tiny: Engine) -> None:
    whole = "".join(step.text for step in tiny.generate("Tell me", GREEDY))
    middle = len(whole) // 2
    stop = whole[middle : middle + 3]
    steps = list(tiny.generate("Tell me", GREEDY.replace(stop=(stop,))))
    assert "".join(step.text for step in steps) == whole[: whole.index(stop)]
    assert steps[-1].finish_reason == "stop"


def test_the_answer_ends_where_the_context_does(tiny: Engine) -> None:
    prompt = tiny.tokenize("x" * 200)
    run = tiny.generate(prompt, ENDLESS)
    assert len(tokens(run)) == 256 - 200


def test_a_prompt_beyond_the_context_is_refused_with_figures(tiny: Engine) -> None:
    with pytest.raises(ContextOverflow) as caught:
        tiny.generate("x" * 300)
    assert (caught.value.need, caught.value.have) == (301, 256)
    assert "301" in str(caught.value)
    assert "256" in str(caught.value)


@pytest.mark.parametrize("prompt", ["", [], [-1], [10_000]])
def test_impossible_prompts_are_refused(tiny: Engine, prompt: str | list[int]) -> None:
    with pytest.raises(InvalidPrompt):
        tiny.generate(prompt)


def test_chat_uses_the_models_template(tiny: Engine) -> None:
    messages = [{"role": "user", "content": "Hi <|im_end|>"}]
    ids = tiny.chat_tokens(messages)
    typed = tiny.tokenize("<|im_end|>")
    assert EOS not in typed
    assert ids == [
        1,
        *tiny.tokenize("user\nHi <|im_end|>"),
        EOS,
        *tiny.tokenize("\n"),
        1,
        *tiny.tokenize("assistant\n"),
    ]
    run = tiny.chat(messages, GREEDY)
    assert run.prompt == tuple(ids)
    assert len(tokens(run)) == 24


def test_chat_goes_on_with_an_answer_begun(tiny: Engine) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Well"}]
    assert tiny.chat_tokens(messages) == [*tiny.chat_tokens(messages[:1]), *tiny.tokenize("Well")]


def test_an_answer_goes_on_from_any_of_its_tokens_as_if_it_had_not_ended(tiny: Engine) -> None:
    """Random bytes of the tiny model are full of broken characters, and the stop string may lie across the cut."""
    asked = [{"role": "user", "content": "Go on."}]
    sampling = Sampling(
        temperature=1, seed=5, max_tokens=40, ignore_eos=True, stop=("zqj",), presence_penalty=1, repetition_penalty=1.2
    )
    whole = list(tiny.chat(asked, sampling))
    ids, text = [step.token for step in whole], "".join(step.text for step in whole)
    assert len(ids) == 40
    for cut in range(40):
        begun = [token for token in ids[:cut] if token is not None]
        run = tiny.chat(asked, sampling.replace(max_tokens=40 - cut), answer=begun)
        rest = list(run)
        assert [step.token for step in rest] == ids[cut:]
        assert run.begun.text + "".join(step.text for step in rest) == text
        assert run.prompt[-cut or len(run.prompt) :] == tuple(begun)


def test_messages_of_another_shape_are_refused(tiny: Engine) -> None:
    for messages in ([{"role": "user"}], [{"role": "user", "content": 3}], [{"role": "robot", "content": "x"}]):
        with pytest.raises(TemplateError):
            tiny.chat(messages)  # pyright: ignore[reportArgumentType]
    for messages in ([], ["hello"]):
        with pytest.raises(InvalidPrompt):
            tiny.chat(messages)  # pyright: ignore[reportArgumentType]


def test_cancel_while_decoding(roomy: Engine) -> None:
    run = roomy.generate("Go on", ENDLESS)
    iterator = iter(run)
    seen = [next(iterator) for _ in range(5)]
    run.cancel()
    rest = list(iterator)
    assert rest[-1].finish_reason == "cancelled"
    assert rest[-1].token is None
    assert all(step.finish_reason is None for step in seen)
    assert run.phase == "done"


def test_cancel_while_prefilling_keeps_what_was_computed(roomy: Engine) -> None:
    prompt = roomy.tokenize("y" * 8000)
    run = roomy.generate(prompt, ENDLESS)
    wait_for(run, "prefill")
    run.cancel()
    (step,) = run
    assert step.finish_reason == "cancelled"
    again = roomy.generate(prompt, GREEDY)
    assert len(tokens(again)) == 24
    assert again.stats.prompt_tokens == 8000


def test_cancel_while_queued_touches_nobody(roomy: Engine) -> None:
    busy = [roomy.generate(f"{letter}" * 50, ENDLESS) for letter in "abcdefgh"]
    queued = [roomy.generate("i", ENDLESS) for _ in range(2)]
    for run in busy:
        wait_for(run, "decode")
    assert [(run.phase, run.queue_position) for run in queued] == [("queued", 1), ("queued", 2)]
    queued[0].cancel()
    assert list(queued[0])[-1].finish_reason == "cancelled"
    queued = queued[1]
    wait_until(lambda: queued.queue_position == 1)
    queued.cancel()
    (step,) = queued
    assert step.finish_reason == "cancelled"
    assert all(run.phase == "decode" for run in busy)
    for run in busy:
        run.cancel()
        assert list(run)[-1].finish_reason == "cancelled"


def test_more_waiting_runs_than_there_is_room_for_are_refused(roomy: Engine) -> None:
    runs = [roomy.generate("busy", ENDLESS) for _ in range(8)]
    for run in runs:
        wait_for(run, "decode")
    runs += [roomy.generate("more", ENDLESS) for _ in range(128)]
    with pytest.raises(EngineBusy, match="8 answers are being written and 128 wait"):
        roomy.generate("one too many", ENDLESS)
    for run in runs:
        run.cancel()
    assert all(list(run)[-1].finish_reason == "cancelled" for run in runs)


def test_runs_beside_others_answer_as_they_would_alone(roomy: Engine) -> None:
    hot = Sampling(temperature=1.2, top_k=0, seed=3, max_tokens=40, ignore_eos=True)
    prompts = ["once", "twice upon a time", "x" * 300, "y" * 130, "the", "quick", "brown", "fox"]
    together = [roomy.generate(prompt, hot) for prompt in prompts]
    answers = [tokens(run) for run in together]
    assert answers == [tokens(roomy.generate(prompt, hot)) for prompt in prompts]


def test_a_run_that_fails_beside_others_ends_alone(roomy: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    model = roomy._scheduler.model
    forward = model.forward

    def fail_on_long(chunks, **options):  # type: ignore[no-untyped-def]
        if any(chunk.cache.length + len(chunk.tokens) > 400 for chunk in chunks):
            raise MemoryError("no room for the scores")
        return forward(chunks, **options)

    monkeypatch.setattr(model, "forward", fail_on_long)
    good = [roomy.generate(prompt, GREEDY.replace(max_tokens=200)) for prompt in ("short", "also short")]
    bad = roomy.generate("z" * 350, GREEDY.replace(max_tokens=200))
    seen: list[int] = []
    with pytest.raises(EngineError, match="no room for the scores"):
        seen += (step.token for step in bad if step.token is not None)
    assert [len(tokens(run)) for run in good] == [200, 200]
    assert bad.stats.new_tokens >= 50


@pytest.mark.parametrize("count", [200, pytest.param(5_000, marks=pytest.mark.slow)])
def test_many_cancelled_runs_leave_nothing_behind(roomy: Engine, count: int) -> None:
    threads = threading.active_count()
    for number in range(count):
        run = roomy.generate(f"run {number}", ENDLESS)
        run.cancel()
        assert list(run)[-1].finish_reason == "cancelled"
    assert threading.active_count() == threads
    assert len(tokens(roomy.generate("still here", GREEDY))) == 24


def test_close_ends_running_and_later_runs(tiny_path: Path) -> None:
    engine = Engine.load(tiny_path, device="cpu")
    run = engine.generate("x", ENDLESS)
    engine.close()
    engine.close()
    try:
        tokens(run)
    except EngineClosed:
        assert run.stats.new_tokens < 255
    with pytest.raises(EngineClosed):
        engine.generate("x", GREEDY)
    with pytest.raises(EngineClosed):
        engine.logits([1, 2])


def test_loading_refuses_what_it_cannot_do(tiny_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="256"):
        Engine.load(tiny_path, device="cpu", context=257)
    with pytest.raises(EngineError, match="threads"):
        Engine.load(tiny_path, device="cpu", threads=0)
    with pytest.raises(EngineError, match="device"):
        Engine.load(tiny_path, device="abacus")
    with pytest.raises(EngineError, match="dtype"):
        Engine.load(tiny_path, device="cpu", dtype="int3")


def test_info_tells_the_facts(tiny: Engine, tiny_path: Path) -> None:
    info = tiny.info
    assert (info.name, info.architecture, info.quantization, info.context) == ("tiny", "llama", "F32", 256)
    assert info.vocabulary == 260
    assert len(info.digest) == 64
    # Embedding, two layers of four attention matrices, three MLP matrices and two norms, and the last norm.
    layer = 64 * 64 * 2 + 32 * 64 * 2 + 3 * 96 * 64 + 2 * 64
    assert info.parameters == 260 * 64 + 2 * layer + 64


def test_progress_rises_to_one(tiny_path: Path) -> None:
    heard: list[float] = []
    Engine.load(tiny_path, device="cpu", on_progress=heard.append).close()
    assert heard == sorted(heard)
    assert math.isclose(heard[-1], 1.0)
