"""How good a model is at a text, and how far this engine is from computing it exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.engine import Engine
from engine.errors import InvalidPrompt
from engine.linear import Dense
from engine.memory import memory_need, require_memory
from engine.model import Chunk, Model

# The mean divergence from plain float32, in nats, that a loaded model stays below.
MAX_DIVERGENCE = 0.002
# Rows of logits taken to float64 at a time: 32 of a vocabulary of 262,144 take 64 MB.
ROWS = 32


@dataclass(frozen=True, slots=True)
class Fidelity:
    """What the loaded model computes beside the reference, token by token of the same text.

    tokens: how many distributions were compared. kl_mean, kl_max: Kullback-Leibler divergence from the reference, in
    nats. agreement: the share of tokens after which both think the same one the likeliest.
    """

    tokens: int
    kl_mean: float
    kl_max: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Quality:
    """A model at a text of `tokens` tokens, computed as prompts are and, token by token, as answers are."""

    tokens: int
    perplexity: float
    prompt: Fidelity
    answer: Fidelity


def measure(path: Path, text: str) -> Quality:
    """Load the model as it is run by default, and compare it with its plain float32 form, which takes minutes.

    The reference dequantises the same file to float32 and multiplies by it as it is, with none of the kernels or
    layouts of the loaded model, on the CPU and all tokens at once. Only as much of the text is used as the model's
    context holds. Raises as Engine.load does, and InvalidPrompt if there are not two tokens.
    """
    checkpoint = open_checkpoint(path)
    tokens = text_tokens(checkpoint, text)
    with Engine.load(path, context=len(tokens)) as engine:
        engine.wait_for_kernels()
        prompt, answer = engine.logits(tokens), engine.logits(tokens, chunk=1)
    reference = reference_logits(checkpoint, tokens)
    return Quality(len(tokens), perplexity(prompt, tokens), compare(reference, prompt), compare(reference, answer))


def text_tokens(checkpoint: Checkpoint, text: str) -> list[int]:
    """The text as a model is meant to begin it, cut to its context."""
    tokenizer = checkpoint.tokenizer
    begin = [tokenizer.bos_id] if tokenizer.add_bos and tokenizer.bos_id is not None else []
    tokens = [*begin, *tokenizer.encode(text)][: checkpoint.config.comfortable_context]
    if len(tokens) < 2:
        raise InvalidPrompt(f"a text of {len(tokens)} tokens predicts nothing: give a longer one")
    return tokens


@torch.inference_mode()
def reference_logits(checkpoint: Checkpoint, tokens: Sequence[int]) -> Tensor:
    """Logits after each token from plain float32 weights on the CPU: float32 [T, vocab]."""
    device = torch.device("cpu")
    require_memory(checkpoint.name, memory_need(checkpoint, len(tokens), torch.float32, device))
    weights = checkpoint.weights(torch.float32, device, linear=Dense)
    model = Model(checkpoint.config, weights, len(tokens))
    return model.forward([Chunk(torch.tensor(tokens), model.new_cache(len(tokens)), len(tokens))])


def perplexity(logits: Tensor, tokens: Sequence[int]) -> float:
    """exp of the mean surprise, in nats, at each token but the first. logits: [T, vocab], after each of T tokens."""
    following = torch.tensor(tokens[1:])
    surprises = [
        torch.nn.functional.cross_entropy(rows.double(), targets, reduction="sum")
        for rows, targets in zip(logits[:-1].split(ROWS), following.split(ROWS), strict=True)
    ]
    return float((torch.stack(surprises).sum() / len(following)).exp())


def compare(reference: Tensor, logits: Tensor) -> Fidelity:
    """How far `logits` are from those of the reference, both [T, vocab]; computed in float64."""
    divergences, agreed = [], 0
    for expected, got in zip(reference.split(ROWS), logits.split(ROWS), strict=True):
        log_p, log_q = expected.double().log_softmax(-1), got.double().log_softmax(-1)
        divergences.append((log_p.exp() * (log_p - log_q)).sum(-1))
        agreed += int((expected.argmax(-1) == got.argmax(-1)).sum())
    divergence = torch.cat(divergences)
    return Fidelity(len(divergence), float(divergence.mean()), float(divergence.max()), agreed / len(divergence))
