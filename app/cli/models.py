"""`fireside models`: what is on disk and what could be, and whether this machine has the memory for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import weights
from app.cli.options import context_option, debug_option, models_option
from app.home import models_folder
from weights import CATALOG, SUGGESTIONS, Installed

if TYPE_CHECKING:
    from app.model_facts import ModelFacts


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the text.")
@context_option
@models_option
@debug_option
def models(as_json: bool, context: int | None, models_dir: Path | None) -> None:
    """List the models on disk, the memory each needs, and others to fetch."""
    folder = models_folder(models_dir)
    there = weights.installed(folder)
    facts, free = _inspect([model for model in there if not model.problem], context)
    if as_json:
        click.echo(json.dumps(_record(folder, free, there, facts), ensure_ascii=False, indent=1))
    else:
        for line in _lines(folder, free, there, facts):
            click.echo(line)


def _inspect(there: list[Installed], context: int | None) -> tuple[dict[str, ModelFacts | str], int | None]:
    """What each model is, or why it cannot be used, by name; and the memory there is, None where nothing needs any."""
    if not there:
        return {}, None
    from app.model_facts import inspect, placement  # brings torch, whose import takes most of a second

    device, free = placement()
    return {model.name: inspect(model.path, context, device, free) for model in there}, free


def _lines(folder: Path, free: int | None, there: list[Installed], facts: dict[str, ModelFacts | str]) -> Iterator[str]:
    yield f"Models folder: {folder}"
    if free is not None:
        yield f"Free memory: {weights.megabytes(free)}"
    titles = {entry.name: f"{entry.title}, {entry.licence}" for entry in CATALOG.values()}
    for model in there:
        yield f"{model.name}  {titles.get(model.name, '') or ('your own' if model.kind == 'own' else 'from the hub')}"
        yield f"    {_problem(model) or _description(facts[model.name], free or 0)}"
        yield f"    {weights.megabytes(model.bytes)}, {model.path}"
    on_disk = {model.name for model in there}
    for entry in CATALOG.values():
        if entry.name not in on_disk:
            yield f"{entry.name}  {titles[entry.name]}, {entry.context:,} tokens of context"
            yield f"    {entry.size}, not on disk: fireside pull {entry.name}"
    yield "Others, to fetch with fireside pull:"
    for suggestion in SUGGESTIONS:
        if suggestion.reference not in on_disk:
            yield f"    {suggestion.reference}"
            yield f"        {suggestion.title}, {weights.megabytes(suggestion.bytes)}, {suggestion.licence}"


def _problem(model: Installed) -> str:
    known = model.problem.startswith(("incomplete", "damaged"))
    return model.problem if known or not model.problem else f"damaged: {model.problem}"


def _description(facts: ModelFacts | str, free: int) -> str:
    if isinstance(facts, str):
        return f"cannot be used: {facts}"
    smaller = facts.memory.suggested_context(free) if facts.verdict == "does not fit" else 0
    return (
        f"{facts.family}, {_count(facts.parameters)} parameters, {facts.quantization} ({facts.bits:.1f} bits), "
        f"{facts.context_length:,} tokens of context; needs {weights.megabytes(facts.memory.total)} of memory "
        f"for {facts.memory.context:,}: {facts.verdict}"
        + (f", but with --context {smaller} it does" if smaller else "")
    )


def _count(parameters: int) -> str:
    if parameters >= 1e9:
        return f"{parameters / 1e9:.2f} billion"
    return f"{parameters / 1e6:.0f} million" if parameters >= 1e6 else f"{parameters:,}"


def _record(
    folder: Path, free: int | None, there: list[Installed], facts: dict[str, ModelFacts | str]
) -> dict[str, Any]:
    on_disk = {model.name for model in there}
    return {
        "folder": str(folder),
        "memory_free": free,
        "models": [_model_record(model, facts.get(model.name, "")) for model in there],
        "catalog": [
            {"name": entry.name, "title": entry.title, "licence": entry.licence, "bytes": entry.bytes}
            for entry in CATALOG.values()
            if entry.name not in on_disk
        ],
        "suggestions": [asdict(suggestion) for suggestion in SUGGESTIONS if suggestion.reference not in on_disk],
    }


def _model_record(model: Installed, facts: ModelFacts | str) -> dict[str, Any]:
    record: dict[str, Any] = {
        "name": model.name,
        "kind": model.kind,
        "path": str(model.path),
        "bytes": model.bytes,
        "problem": _problem(model) or (facts if isinstance(facts, str) else ""),
    }
    if not isinstance(facts, str):
        record |= asdict(facts)
        record["memory"]["total"] = facts.memory.total
    return record
