"""`fireside replay`: stored answers made again from their records."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.options import debug_option, home_option, models_option, user_option
from app.cli.terminal import locate
from app.errors import AppError
from app.home import data_folder, models_folder

if TYPE_CHECKING:
    from app.store import Store

IDENTICAL = 0
NOT_IDENTICAL = 1


class ReplayFailed(AppError):
    """There is nothing that could be made again, or nothing to make it with."""


@click.command()
@click.argument("id")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another setting than the answer was made with, such as temperature=0.5, to see from which token on it "
    "matters. May be given again.",
)
@click.option(
    "--model",
    metavar="NAME|PATH",
    help="The model to make it again with. Without it, the one in the models folder that wrote the answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON instead of text.")
@user_option
@home_option
@models_option
@debug_option
def replay(
    id: str,
    changes: Sequence[str],
    model: str | None,
    as_json: bool,
    user: str | None,
    home: Path | None,
    models_dir: Path | None,
) -> int:
    """Make the answer ID again from its record, or all answers of the conversation ID.

    Says that it is identical, or shows the first token that differs and what the model gave then and now. The exit
    code is 0 if everything is identical, else 1. Nothing that is stored is changed. While Fireside runs, its model does
    it. Answers made with 'fireside serve --deterministic' come again to the last token, as do those of native kernels.
    """
    from app.accounts.control import replay_there, running_server
    from app.store import HomeLocked, NotFound, Store
    from engine import Sampling

    settings = dict(_setting(change) for change in changes)
    Sampling.from_dict(settings)
    folder = data_folder(home)
    if not folder.exists():
        raise ReplayFailed(f"there are no answers: the data folder {folder} does not exist")
    try:
        with Store.open(folder) as whole:
            views = _replayed_here(whole.of_user(user), id, settings, model, models_folder(models_dir))
            told = _last(views)
    except HomeLocked as locked:
        if model is not None and running_server(folder):
            raise ReplayFailed(
                f"Fireside is running with {folder}, and its model makes the answer again: leave out --model, or stop "
                f"process {locked.pid or 'that holds it'} first"
            ) from None
        told = _last(replay_there(folder, locked, id, user, settings))
    except NotFound as error:
        raise ReplayFailed(f"there is no answer or conversation with the id {error.id!r:.60} in {folder}") from None
    if told["state"] != "done":
        raise ReplayFailed(told["error"] or "the replay was stopped")
    results = told["results"]
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=1))
    else:
        click.echo("\n".join(_lines(results)))
    return IDENTICAL if all(each["verdict"] == "identical" for each in results) else NOT_IDENTICAL


def _setting(change: str) -> tuple[str, Any]:
    name, _, value = change.partition("=")
    try:
        return name.strip().replace("-", "_"), json.loads(value)
    except ValueError:
        raise click.UsageError(f"{change!r:.60} is no setting: write NAME=NUMBER, such as temperature=0.5") from None


def _replayed_here(
    store: Store, id: str, settings: Mapping[str, Any], model: str | None, folder: Path
) -> Iterator[dict[str, Any]]:
    from app.inside.loading import recorded_model
    from app.inside.replay import Replay, answers_named, followed

    ids = answers_named(store, id)
    messages = [store.messages.get(each) for each in ids]
    answer = next((each for each in messages if each.token_ids and each.model_digest), messages[0])
    given = locate(model, folder) if model else None
    with recorded_model(answer, folder, given) as engine:
        yield from followed(Replay(store, engine, ids, dict(settings)))


def _last(views: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The last view; how far the replay is, is shown meanwhile where there is a terminal."""
    from tqdm import tqdm

    view: dict[str, Any] = {}
    with closing(views), tqdm(unit=" tokens", leave=False, disable=None, delay=0.5) as bar:  # type: ignore[arg-type]
        for view in views:
            bar.total = view["total"]
            bar.update(view["done"] - bar.n)
    return view


def _lines(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    several = len(results) > 1
    for result in results:
        yield f"{result['message']}: {_verdict(result)}" if several else _verdict(result)
        if result["verdict"] == "differs" and result["fresh"]:
            yield from _distributions(result["stored"], result["fresh"])
    for note in dict.fromkeys(note for result in results for note in result["notes"]):
        yield f"note: {note}"
    if several:
        identical = sum(each["verdict"] == "identical" for each in results)
        yield f"{identical:,} of {len(results):,} answers are identical"


def _verdict(result: Mapping[str, Any]) -> str:
    if result["verdict"] == "identical":
        return f"identical: all {result['tokens']:,} tokens are the same"
    if result["verdict"] == "cannot":
        return f"cannot be made again: {result['note']}"
    stored, fresh = result["stored"], result["fresh"]
    now = f"{_name(fresh)} now" if fresh else result["note"]
    return f"differs at token {result['at'] + 1:,}: {_name(stored)} then, {now}"


def _distributions(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> Iterator[str]:
    """The likeliest tokens of both, side by side; the one that came is marked."""
    columns = [[_candidate(each, told["id"]) for each in told["top"]] for told in (stored, fresh)]
    width = max(map(len, ("then", *columns[0]))) + 4
    yield f"    {'then':{width}}now"
    for row in range(max(map(len, columns))):
        left, right = (column[row] if row < len(column) else "" for column in columns)
        yield f"    {left:{width}}{right}".rstrip()


def _candidate(each: Mapping[str, Any], chosen: int) -> str:
    return f"{'>' if each['id'] == chosen else ' '} {math.exp(each['logprob']):7.2%}  {_name(each)}"


def _name(token: Mapping[str, Any]) -> str:
    if token.get("control"):
        return str(token["text"])
    return f"bytes {token['bytes']}" if token.get("bytes") else repr(token["text"])
