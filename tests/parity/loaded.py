"""Loads the weights of a checkpoint that has no tokenizer, through the same parts as `open_checkpoint`."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.checkpoint.gguf_checkpoint import configure_gguf
from engine.checkpoint.gguf_source import GGUFSource
from engine.checkpoint.json_file import read_json
from engine.checkpoint.safetensors_source import SafetensorsSource
from engine.checkpoint.weights import load_weights
from engine.families import family_of_folder
from engine.families.fields import Fields
from engine.model import Chunk, ForwardPass, Model

CPU = torch.device("cpu")


def load_folder(folder: Path, *, context: int | None = None) -> Model:
    settings = read_json(folder / "config.json", 2**20)
    family = family_of_folder(settings["model_type"], folder.name)
    config = family.configure(Fields(settings, folder.name))
    weights = load_weights(SafetensorsSource(folder), family.folder, config, torch.float32, CPU)
    return Model(config, weights, context or config.comfortable_context)


def load_gguf(path: Path, *, context: int | None = None) -> Model:
    source = GGUFSource(path)
    config, layout = configure_gguf(source, path.name)
    weights = load_weights(source, layout, config, torch.float32, CPU)
    return Model(config, weights, context or config.comfortable_context)


def all_logits(model: ForwardPass, tokens: list[int]) -> torch.Tensor:
    """float32 [T, vocab]."""
    return model.forward([Chunk(torch.tensor(tokens), model.new_cache(len(tokens)), len(tokens))]).clone()


def greedy(model: ForwardPass, prompts: list[list[int]], count: int, *, chunk: int = 10_000) -> list[list[int]]:
    """The likeliest `count` tokens after each prompt; the prompts are run together, each in pieces of `chunk`."""
    caches = [model.new_cache(len(prompt) + count) for prompt in prompts]
    pending = [list(prompt) for prompt in prompts]
    answers: list[list[int]] = [[] for _ in prompts]
    while any(len(answer) < count for answer in answers):
        chunks = [Chunk(torch.tensor(rest[:chunk]), cache) for rest, cache in zip(pending, caches, strict=True)]
        best = model.forward(chunks).argmax(dim=-1).tolist()
        for place, token in enumerate(best):
            pending[place] = pending[place][chunk:]
            if not pending[place]:
                answers[place].append(token)
                pending[place] = [token]
    return [answer[:count] for answer in answers]
