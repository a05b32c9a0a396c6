"""A server that fails again and again is left alone, and found again by itself."""

from __future__ import annotations

import pytest

from app.remote.breaker import FAILURES, OPEN_SECONDS, Breaker
from app.remote.errors import BreakerOpen


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_failures_in_a_row_and_lets_one_try() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES - 1):
        breaker.failed("it is down")
    breaker.succeeded()
    for _ in range(FAILURES):
        assert breaker.trouble == ""
        breaker.enter()
        breaker.failed("it is down")
    assert (breaker.trouble, breaker.ripe) == ("it is down", False)
    with pytest.raises(BreakerOpen, match="it is down; it is tried again in 15 s"):
        breaker.enter()
    clock.now += OPEN_SECONDS
    assert breaker.ripe
    breaker.enter()
    with pytest.raises(BreakerOpen):
        breaker.enter()
    breaker.failed("still down")
    with pytest.raises(BreakerOpen, match="still down"):
        breaker.enter()


def test_a_person_does_not_wait_and_a_success_closes_it() -> None:
    clock = Clock()
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        breaker.failed("it is down")
    breaker.hurry()
    breaker.enter()
    breaker.succeeded()
    for _ in range(3):
        breaker.enter()
    assert (breaker.trouble, breaker.ripe) == ("", False)
