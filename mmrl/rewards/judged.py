"""Right or wrong by what a judge says: a score of another reward made 0 or 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmrl.roles import takes
from mmrl.types import Clock, Rollout, Sample


@dataclass(frozen=True)
class Judged:
    """1 where `judge` gives at least `least`, else 0; None where it cannot score.

    GRIT's code takes every score above 0 for right, so that 0.1 of 1 is: half is asked for here.
    """

    judge: Callable[..., float | None]
    """A reward function, of rollout and sample or of all four."""
    least: float = 0.5

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Mapping[type, Any], clock: Clock, /
    ) -> float | None:
        given = (rollout, sample, evidence, clock)
        score = self.judge(*given[: 4 if takes(self.judge, 4) else 2])
        return None if score is None else float(score >= self.least)
