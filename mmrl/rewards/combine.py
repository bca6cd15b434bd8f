"""From reward parts to one reward: sum, gated sum, product.

Parts arrive already multiplied by their reward's weight (rewards differ between the tasks of a
mixture, so weights belong to rewards); a part that does not apply to a sample is absent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mmrl.types import Clock, Sample


def weighted_sum(
    parts: Mapping[str, float], score: float, sample: Sample, clock: Clock, /
) -> float:
    """Σ weight · part."""
    return math.fsum(parts.values())


@dataclass(frozen=True, kw_only=True)
class Gated:
    """Weighted sum in which the other parts count only while the gate is open.

    The gate is a part by name, open while its weighted value is above `above` and itself always
    counted; or, with `gate` None, the task's own score, so that for instance a reward for reasoning
    counts only where the answer is right (Posterior-GRPO, arXiv 2508.05170). An absent gate is
    shut. Parts in `always` count in any case.
    """

    gate: str | None = None
    above: float = 0.0
    always: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        return (*((self.gate,) if self.gate else ()), *self.always)

    def __call__(
        self, parts: Mapping[str, float], score: float, sample: Sample, clock: Clock, /
    ) -> float:
        opening = score if self.gate is None else parts.get(self.gate, -math.inf)
        free = {self.gate, *self.always}
        return math.fsum(
            value for name, value in parts.items() if opening > self.above or name in free
        )


def product(parts: Mapping[str, float], score: float, sample: Sample, clock: Clock, /) -> float:
    """Π weight · part: one zero makes the whole zero; 0 where no part applies."""
    return math.prod(parts.values()) if parts else 0.0
