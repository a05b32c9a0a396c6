"""A loaded model that answers: the engine's public face."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.answering import Answering
from engine.checkpoint import Checkpoint
from engine.constraint import Constraint, Constraints
from engine.disk_kv import DiskKV
from engine.distribution import Distribution
from engine.errors import InvalidPrompt, InvalidSampling, InvalidSchema, InvalidTools
from engine.info import EngineInfo
from engine.kv_files import KVFiles
from engine.loading import Acceleration
from engine.looking import Inspection, inspect, plain_model, refuse_too_many
from engine.model import Chunk, ForwardPass
from engine.opening import SLOTS, open_model
from engine.prompts import Prompts
from engine.reading import Reading, ReadingJob, TokenScore, scored
from engine.reasoning import ThinkTags
from engine.run import Run
from engine.sampler import Sampler
from engine.sampling import Sampling
from engine.scheduler import PREFILL_CHUNK, Scheduler
from engine.scores import Scores
from engine.template import ChatTemplate
from engine.tokenizer import Tokenizer
from engine.tools import CallSyntax, Tools


class Engine:
    """A model with its tokenizer, chat template and KV cache. Safe to use from many threads.

    All torch work is done by one thread of the engine's own; `close` ends it.
    """

    def __init__(
        self,
        model: ForwardPass,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        info: EngineInfo,
        threads: int | None = None,
        *,
        slots: int = SLOTS,
        deterministic: bool = False,
        speculate: bool = True,
        disk: DiskKV | None = None,
    ) -> None:
        self.info = info
        self._tokenizer = tokenizer
        self._template = template
        self._prompts = Prompts(tokenizer, template, info.context)
        self._constraints = Constraints(tokenizer)
        self._acceleration: Acceleration | None = None
        self._checkpoint: Checkpoint | None = None
        self._scheduler = Scheduler(
            model, tokenizer.vocabulary, slots, threads, deterministic=deterministic, speculate=speculate, disk=disk
        )

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        context: int | None = None,
        threads: int | None = None,
        kernels: str = "auto",
        quantize: str | None = None,
        deterministic: bool = False,
        speculate: bool = True,
        kv_files: KVFiles | None = None,
        on_progress: Callable[[float], None] | None = None,
    ) -> Engine:
        """Load a model.

        path: a GGUF file, a folder that holds one, or a Hugging Face folder. device: `auto`, `cpu`, `cuda`... dtype:
        `auto`, `float32` or `bfloat16`. context: tokens a conversation may have, by default what the model was
        trained for, up to 8,192. threads: CPU threads, by default one a physical core. kernels: `torch`, `native`,
        which is compiled code for quantised weights, or `auto`: native where it can be, after a start by torch while
        it is being compiled. deterministic: what else is computed at the time, or was before, never changes an answer,
        so that each can be made again; native kernels compute so in any case, and are waited for. speculate: guess
        tokens from the text before where that makes an answer quicker; it never changes one. kv_files: where keys and
        values are kept over a restart, on the CPU; a GPU computes them sooner than disks read them. on_progress: hears
        the share done, 0 to 1.

        Raises ModelNotFound, ModelFormatError, UnsupportedModel or OutOfMemory.
        """
        opened = open_model(
            Path(path),
            device=device,
            dtype=dtype,
            context=context,
            threads=threads,
            kernels=kernels,
            quantize=quantize,
            deterministic=deterministic,
            kv_files=kv_files,
            on_progress=on_progress,
        )
        engine = cls(
            opened.model,
            opened.checkpoint.tokenizer,
            opened.checkpoint.template,
            opened.info,
            threads,
            slots=opened.slots,
            deterministic=deterministic,
            speculate=speculate,
            disk=opened.disk,
        )
        engine._checkpoint = opened.checkpoint
        engine._acceleration = opened.loading.accelerate(engine.replace_model)
        if deterministic:
            # What computes must not change between one answer and the next.
            engine.wait_for_kernels()
        return engine

    def wait_for_kernels(self) -> None:
        """Return once the kernels are those that the model will go on with: see `load`, `auto`."""
        if self._acceleration is not None:
            self._acceleration.wait()

    @property
    def runs(self) -> int:
        """How many answers are computed or wait for it."""
        return self._scheduler.runs

    def replace_model(self, model: ForwardPass, kernels: str) -> None:
        """Compute with another model of the same weights from now on; answers under way go on."""
        self._scheduler.replace_model(model, kernels)
        self.info = replace(self.info, kernels=kernels)

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        sampling: Sampling | None = None,
        *,
        enable_thinking: bool | None = None,
        answer: Sequence[int] = (),
        schema: Mapping[str, Any] | None = None,
        tools: Tools | None = None,
        add_generation_prompt: bool = True,
    ) -> Run:
        """Answer a conversation of {"role", "content"} messages; if the last is the assistant's, go on with it.

        An answer of a reasoning model may have `reasoning_content` too, which the model's template uses as it was
        made to. enable_thinking: for templates that can have the model reason or not; None leaves it to them.
        answer: token ids of an answer to these messages, to go on with as if it had not ended, with the same seed too.
        schema: a JSON schema that the answer will be valid by unless it ends by its length or a stop string; a model
        that can answer without reasoning does so then. tools: functions that the answer may call, with arguments that
        are valid by their schemas; `Step.calls` tells them, and messages tell earlier ones as OpenAI's API does, in
        `tool_calls` and the role `tool`. add_generation_prompt: whether the answer is begun for the model.

        Raises ContextOverflow if it does not fit, TemplateError if the model's template refuses it, InvalidSchema if
        answers cannot be held to the schema, InvalidTools if the model cannot call these functions.
        """
        reasoning, constraint, syntax = self._template.reasoning, None, None
        if enable_thinking is None and (schema is not None or (tools and tools.required)):
            enable_thinking = False
        if tools is not None:
            syntax = self._template.call_syntax()
            if schema is not None:
                raise InvalidTools("an answer is held to a JSON schema or calls tools, not both")
            if answer or messages[-1].get("role") == "assistant":
                raise InvalidTools("an answer that may call tools begins anew: leave out the last message")
        rendered = self._prompts.rendered(messages, enable_thinking, tools, add_generation_prompt)
        if schema is not None:
            if rendered.thinking:
                raise InvalidSchema("this model always reasons before it answers")
            constraint = self._constraints.of_schema(schema)
        if tools is not None and syntax is not None:
            constraint = self._constraints.of_tools(tools, syntax, reasoning, rendered.thinking)
        tokens = self._tokenizer.encode_pieces(rendered)
        begins = messages[-1].get("role") != "assistant"
        return self._submit(
            tokens,
            sampling,
            reasoning,
            thinking=rendered.thinking,
            begins=begins,
            answer=answer,
            constraint=constraint,
            syntax=syntax,
        )

    def chat_tokens(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        enable_thinking: bool | None = None,
        tools: Tools | None = None,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """The prompt `chat` would use, as token ids. Message content never becomes a control token."""
        rendered = self._prompts.rendered(messages, enable_thinking, tools, add_generation_prompt)
        return self._tokenizer.encode_pieces(rendered)

    def generate(self, prompt: str | Sequence[int], sampling: Sampling | None = None) -> Run:
        """Continue a prompt, ordinary text or token ids; what a model thinks is part of the text here.

        Raises InvalidPrompt if it is empty or holds unknown ids, ContextOverflow if it does not fit.
        """
        return self._submit(self._prompts.of(prompt), sampling)

    def prompt_tokens(self, text: str) -> list[int]:
        """Token ids of a plain prompt, as `generate` takes it: with the token that the model has a text begin with.

        Raises InvalidPrompt if it is empty.
        """
        return self._prompts.of(text)

    def tokenize(self, text: str) -> list[int]:
        """Token ids of ordinary text; a typed control token is text."""
        return self._tokenizer.encode(text)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text of token ids; raises InvalidPrompt for ids outside the vocabulary."""
        return self._tokenizer.decode(self._prompts.checked(tokens))

    def tokenize_within(self, text: str) -> list[int]:
        """Token ids of ordinary text that goes on with another: nothing is put before it."""
        return self._tokenizer.encode_within(text)

    def token_bytes(self, token: int) -> bytes:
        """What one token adds to a text, b"" for a control token; raises InvalidPrompt as `detokenize` does."""
        return self._tokenizer.token_bytes(self._prompts.checked([token])[0])

    def token_name(self, token: int) -> str | None:
        """What a control token is called, None for any other; raises InvalidPrompt as `detokenize` does."""
        return self._tokenizer.control_names.get(self._prompts.checked([token])[0])

    @property
    def eos_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""
        return self._tokenizer.eos_ids

    def logits(self, tokens: Sequence[int], *, chunk: int = PREFILL_CHUNK) -> Tensor:
        """Logits after each of `tokens`, without sampling: float32 [T, vocab] on the CPU.

        chunk: how many tokens are computed at once; with 1 they are computed as those of an answer are.
        """
        ids = self._prompts.to_read(tokens)
        return self._scheduler.call(lambda: self._all_logits(ids, chunk))

    def score(self, tokens: Sequence[int], *, first: int = 1, top: int = 5) -> list[TokenScore]:
        """How likely each of `tokens` is after those before it, from position `first` on, in one pass.

        top: how many alternatives are told of each. Raises as `generate` does; see also `scoring`.
        """
        return self.scoring(tokens, first=first, top=top).result()

    def scoring(self, tokens: Sequence[int], *, first: int = 1, top: int = 5) -> Reading[list[TokenScore]]:
        """As `score`, but under way: beside other runs, as any of them is. It can be waited for, and cancelled."""
        if first < 1:
            raise InvalidPrompt(
                "the first token has none before it, so nothing tells how likely it is: score from 1 on"
            )
        prompt = tuple(self._prompts.to_read(tokens))
        found: list[TokenScore] = []
        reading = Reading(prompt, found)
        if first >= len(prompt):
            reading.finish()
            return reading
        self._scheduler.submit(ReadingJob(reading, first - 1, scored(first, prompt, top, found)))
        return reading

    def next_token(self, prompt: str | Sequence[int]) -> Distribution:
        """The distribution of the token after a prompt, ordinary text or token ids; raises as `generate` does."""
        return self.next_reading(prompt).result()[0]

    def next_reading(self, prompt: str | Sequence[int]) -> Reading[list[Distribution]]:
        """As `next_token`, but under way: what is found is one distribution, and `stats` tell what was reused."""
        tokens = tuple(self._prompts.to_read(prompt))
        found: list[Distribution] = []
        reading = Reading(tokens, found)

        def take(position: int, scores: Scores) -> None:
            found.append(Distribution(scores.logits.copy()))

        self._scheduler.submit(ReadingJob(reading, len(tokens) - 1, take))
        return reading

    def look(
        self, tokens: Sequence[int], position: int | None = None, *, attention: bool = True, layers: bool = True
    ) -> Inspection:
        """What the model does at the token at a position, by default the last: see `Inspection` for the shapes.

        What comes out at a position is the token after it. Only this one token is computed layer by layer, by torch,
        beside other runs; the keys and values before it are those of the model as it runs. Raises as `generate` does,
        InvalidPrompt for a position that is not there or has more attention than can be shown, OutOfMemory.
        """
        ids = self._prompts.to_read(tokens)
        position = len(ids) - 1 if position is None else position
        if not 0 <= position < len(ids):
            raise InvalidPrompt(f"there is no token {position}: the text has {len(ids):,}, counted from 0")
        if attention:
            refuse_too_many(self._scheduler.model, position)
        model = plain_model(self._scheduler.model, self._checkpoint)
        reading = Reading(tuple(ids[: position + 1]), None)
        job = ReadingJob(reading, position, lambda position, scores: None, held=True)
        self._scheduler.submit(job)
        reading.result()
        assert job.slot is not None
        slot = job.slot
        try:
            return inspect(
                model,
                slot.cache,
                ids[position],
                position,
                self._scheduler.call,
                attention=attention,
                layers=layers,
            )
        finally:
            # What torch has written there is not what the model's own kernels would have.
            self._scheduler.call(lambda: slot.rewind(position))
            reading.cancel()

    def close(self) -> None:
        """Stop the engine's thread; runs under way end with EngineClosed. Safe to call twice."""
        self._scheduler.close()
        if self._acceleration is not None:
            self._acceleration.abandon()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _submit(
        self,
        prompt: Sequence[int],
        sampling: Sampling | None,
        tags: ThinkTags | None = None,
        *,
        thinking: bool = False,
        begins: bool = False,
        answer: Sequence[int] = (),
        constraint: Constraint | None = None,
        syntax: CallSyntax | None = None,
    ) -> Run:
        sampling = sampling or Sampling()
        if constraint is not None and sampling.ignore_eos:
            raise InvalidSampling(
                "ignore_eos has no meaning where a JSON schema says when the answer is whole", "ignore_eos"
            )
        tokens = self._prompts.to_answer([*prompt, *answer])
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        run = Run(tokens, seed)
        ends = {*self._tokenizer.eos_ids, *self._prompts.checked(sampling.stop_token_ids)}
        sampler = Sampler(sampling, seed, tokens, self._tokenizer.vocabulary, constraint, ends)
        parts: dict[str, Any] = {"thinking": thinking, "begins": begins, "syntax": syntax}
        job = Answering(run, sampling, sampler, self._tokenizer, self.info.context, tags, **parts)
        job.resume(answer)
        self._scheduler.submit(job)
        return run

    def _all_logits(self, tokens: list[int], chunk: int) -> Tensor:
        model = self._scheduler.model
        cache = model.new_cache(len(tokens))
        chunks = torch.tensor(tokens, device=model.device).split(chunk)
        return torch.cat([model.forward([Chunk(part, cache, len(part))]).cpu().clone() for part in chunks])
