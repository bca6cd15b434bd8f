"""From reward parts to one reward: weighted sum, gated sum, product.

A part that could not score is absent from `parts`; what is left is combined as it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mmrl.types import Clock, Sample


@dataclass(frozen=True)
class WeightedSum:
    """Σ weight · part."""

    weights: Mapping[str, float]

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self.weights)

    def __call__(
        self, parts: Mapping[str, float], score: float, sample: Sample, clock: Clock, /
    ) -> float:
        return math.fsum(self.weights[name] * value for name, value in parts.items())


@dataclass(frozen=True)
class Gated:
    """Weighted sum in which every other part counts only once the gate part is open.

    Open means `parts[gate] >= threshold`; a gate that could not score is shut.
    """

    gate: str
    weights: Mapping[str, float]
    threshold: float = 1.0

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.gate, *(name for name in self.weights if name != self.gate))

    def __call__(
        self, parts: Mapping[str, float], score: float, sample: Sample, clock: Clock, /
    ) -> float:
        opened = self.gate in parts and parts[self.gate] >= self.threshold
        return math.fsum(
            self.weights[name] * value
            for name, value in parts.items()
            if opened or name == self.gate
        )


@dataclass(frozen=True)
class Product:
    """Π part: one zero makes the whole zero. Weights are not used."""

    def __call__(
        self, parts: Mapping[str, float], score: float, sample: Sample, clock: Clock, /
    ) -> float:
        return math.prod(parts.values())
