"""Prompts that begin alike are computed once: a run copies keys and values of one that is under way."""

from __future__ import annotations

from collections.abc import Iterable

from engine.job import Job
from engine.kv_cache import ALIGNMENT, common_prefix

# Fewer tokens of a run beside are not waited for: computing them takes no longer than a step.
LEAST_COPIED = 32


def follow(job: Job, active: Iterable[Job], *, aligned: bool) -> None:
    """Have a job wait for one of the active ones, if that has or will have more of its prompt than its own slot.

    aligned: only what is computed in whole chunks counts; see `Slot.shared`.
    """
    assert job.slot is not None
    job.donor = None
    most = len(job.slot.tokens) + LEAST_COPIED - 1
    for other in active:
        # One that waits itself must not be waited for.
        if other is job or other.slot is None or other.donor is not None:
            continue
        shared = common_prefix(other.run.prompt, job.run.prompt, job.reusable)
        shared = shared // ALIGNMENT * ALIGNMENT if aligned else shared
        if shared > most:
            job.donor, job.source, job.donated, most = other, other.slot, shared, shared


def take_copied(job: Job, active: Iterable[Job], *, aligned: bool) -> None:
    """Have a job that waits copy what it waits for, or what there is of it once no more comes."""
    donor, source, slot = job.donor, job.source, job.slot
    if donor is None or source is None or slot is None:
        return
    # Whoever has the source's slot by now: what it holds is known by its tokens.
    shared = source.shared(job.run.prompt, job.donated, aligned=aligned)
    coming = donor.slot is source and len(donor.pending) > 1 and not donor.run.cancelled
    if shared < job.donated and coming:
        return
    have = len(slot.tokens)
    if shared > have:
        slot.copy(source, shared)
        job.take_copied(shared - have)
    job.source = None
    follow(job, active, aligned=aligned)
