"""What became of one judgement: a number, "cannot score", or a failure with a name."""

from __future__ import annotations

import math
import numbers
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_NO_PARTS: Mapping[str, float] = MappingProxyType({})


class Judged(float):
    """A reward value that brings further figures to be logged beside it."""

    parts: Mapping[str, float]

    def __new__(cls, value: float, parts: Mapping[str, float]) -> Judged:
        judged = super().__new__(cls, value)
        judged.parts = dict(parts)
        return judged


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """The value of a reward for one rollout; None with `failure` None means unscorable.

    `failure` begins with one of `timeout`, `exception`, `crashed`, `non-finite`, `out of bounds`,
    `not a number`; what follows a colon is for people.
    """

    value: float | None
    failure: str | None = None
    parts: Mapping[str, float] = field(default_factory=lambda: _NO_PARTS)
    """Further figures that the function returned, for logs only."""
    seconds: float = 0.0

    @property
    def kind(self) -> str:
        """The failure without its explanation; "" when there is none."""
        return (self.failure or "").partition(":")[0]


def judge(
    fn: Callable[..., float | None], arguments: tuple[Any, ...], bounds: tuple[float, float]
) -> Outcome:
    """Calls a user's reward and names what went wrong: an exception is never a score of 0."""
    start = time.perf_counter()
    try:
        value = fn(*arguments)
    except Exception as error:  # a user's function may raise anything; it is reported, not hidden
        return Outcome(
            value=None,
            failure=f"exception: {type(error).__name__}: {error}"[:500],
            seconds=time.perf_counter() - start,
        )
    return classify(value, bounds, time.perf_counter() - start)


def classify(value: object, bounds: tuple[float, float], seconds: float) -> Outcome:
    """The outcome of a returned value; one outside of the bounds by rounding alone is clipped."""
    if value is None:
        return Outcome(value=None, seconds=seconds)
    if not isinstance(value, numbers.Real):
        failure = f"not a number: {type(value).__name__} {value!r:.60}"
        return Outcome(value=None, failure=failure, seconds=seconds)
    number, (low, high) = float(value), bounds
    parts = dict(value.parts) if isinstance(value, Judged) else _NO_PARTS
    if not math.isfinite(number):
        return Outcome(value=None, failure=f"non-finite: {number}", parts=parts, seconds=seconds)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    if not low - slack <= number <= high + slack:
        failure = f"out of bounds: {number} is not in [{low}, {high}]"
        return Outcome(value=None, failure=failure, parts=parts, seconds=seconds)
    return Outcome(value=min(high, max(low, number)), parts=parts, seconds=seconds)
