"""Tokens that might have come, and which of them the settings would have kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from app.backend import Backend
from app.inside.pieces import alternative
from app.store.tokens import TokenProbability
from engine import Sampling

if TYPE_CHECKING:
    from engine.distribution import Candidate


class StoredCandidate(NamedTuple):
    """As `engine.distribution.Candidate`, as far as the stored alternatives tell; None is not known."""

    token: int
    logprob: float | None
    rank: int | None
    share: float | None
    dropped_by: str | None
    kept: bool | None
    chosen: bool


def stored_candidates(chosen: int, stored: TokenProbability, sampling: Sampling) -> list[StoredCandidate]:
    """The stored alternatives, and the chosen token where it is none of them."""
    shares, dropped = _filtered([logprob for _, logprob in stored.top], sampling)
    found = []
    for place, (token, logprob) in enumerate(stored.top):
        share, by = shares[place], dropped[place]
        kept = None if share is None and by is None else by is None
        found.append(StoredCandidate(token, logprob, place + 1, share, by, kept, token == chosen))
    if chosen not in {token for token, _ in stored.top}:
        found.append(StoredCandidate(chosen, stored.logprob, stored.rank, None, None, None, True))
    return found


def candidate_views(
    backend: Backend,
    before: Sequence[int],
    candidates: Iterable[Candidate | StoredCandidate],
    chosen: int | None = None,
) -> list[dict[str, Any]]:
    """Candidates as the page takes them. before: the tokens they would follow."""
    views = []
    for each in candidates:
        if isinstance(each, StoredCandidate):
            more = {"chosen": each.chosen, "kept": each.kept, "penalty": None}
        else:
            more = {"chosen": each.token == chosen, "kept": each.dropped_by is None, "penalty": each.penalty}
        logprob = each.logprob if each.logprob is None or math.isfinite(each.logprob) else -9999.0
        more |= {"logprob": logprob, "rank": each.rank, "share": each.share, "dropped_by": each.dropped_by}
        views.append(alternative(backend, before, each.token) | more)
    return views


def _filtered(logprobs: list[float], sampling: Sampling) -> tuple[list[float | None], list[str | None]]:
    """Of the likeliest tokens alone: the share of each and what drops it, where these suffice to know it."""
    count = len(logprobs)
    shares: list[float | None] = [None] * count
    dropped: list[str | None] = [None] * count
    penalised = sampling.repetition_penalty != 1.0 or sampling.presence_penalty or sampling.frequency_penalty
    if not count or penalised or sampling.logit_bias:
        return shares, dropped
    if sampling.temperature == 0.0:
        return [1.0, *[0.0] * (count - 1)], [None, *["temperature"] * (count - 1)]
    weights = [math.exp((each - logprobs[0]) / sampling.temperature) for each in logprobs]
    if not 0 < sampling.top_k <= count:
        # Without the rest of the distribution only a token far below the likeliest is known to be dropped.
        return shares, ["min_p" if weight < sampling.min_p else None for weight in weights]
    kept = weights[: sampling.top_k]
    nucleus = kept
    if sampling.top_p < 1.0:
        nucleus = [each for place, each in enumerate(kept) if sum(kept[:place]) < sampling.top_p * sum(kept)]
    last = [each for each in nucleus if each >= sampling.min_p]
    for place in range(count):
        shares[place] = last[place] / sum(last) if place < len(last) else 0.0
        if place >= len(last):
            dropped[place] = "top_k" if place >= len(kept) else "top_p" if place >= len(nucleus) else "min_p"
    return shares, dropped
