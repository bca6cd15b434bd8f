"""Mean and variance of numbers that lie on several ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mmrl.roles import Reduce


@dataclass(frozen=True)
class Moments:
    """Weighted count, mean and unbiased variance over all ranks; variance 0 below two."""

    num: float
    mean: float
    variance: float

    @property
    def std(self) -> float:
        return math.sqrt(self.variance)


def moments(weighted: Iterable[tuple[float, float]], reduce: Reduce) -> Moments:
    """Moments of (value, how many times) pairs of all ranks, in two passes.

    Every rank must call this, also with nothing to add: each call reduces twice.
    """
    pairs = list(weighted)
    first = reduce(
        {"num": math.fsum(w for _, w in pairs), "sum": math.fsum(v * w for v, w in pairs)}
    )
    num = first["num"]
    mean = first["sum"] / num if num else 0.0
    second = reduce({"squares": math.fsum(w * (v - mean) ** 2 for v, w in pairs)})
    return Moments(num, mean, second["squares"] / (num - 1) if num > 1 else 0.0)
