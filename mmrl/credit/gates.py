"""Which groups to train on: all, those with something to learn from, those in a pass-rate band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmrl.roles import Decision, GateAction
from mmrl.types import ScoredGroup


def keep_all(scored: ScoredGroup, /) -> Decision:
    """Keeps every group."""
    return Decision()


@dataclass(frozen=True, kw_only=True)
class DynamicSampling:
    """Drops groups without spread, whose advantages would be zero (DAPO, arXiv 2503.14476).

    A group of one has no spread to judge and is kept.
    """

    of: Literal["score", "reward"] = "score"
    """The task's own score, which no shaping touches, or the combined reward."""

    def __call__(self, scored: ScoredGroup, /) -> Decision:
        if len(scored.group) == 1:
            return Decision()
        values = scored.score if self.of == "score" else scored.rewards
        known = [v for v, ok in zip(values, scored.scorable, strict=True) if ok and v is not None]
        if len(known) < 2:
            return _drop("unscorable")
        if min(known) < max(known):
            return Decision()
        if known[0] <= 0.0:
            return _drop(f"{self.of} all 0" if known[0] == 0.0 else f"{self.of} all equal")
        return _drop(f"{self.of} all 1" if known[0] == 1.0 else f"{self.of} all equal")


@dataclass(frozen=True, kw_only=True)
class PassRateBand:
    """Keeps groups whose mean score lies strictly between the bounds (ProRL, EMPO)."""

    above: float = 0.0
    below: float = 1.0

    def __call__(self, scored: ScoredGroup, /) -> Decision:
        known = [s for s in scored.score if s is not None]
        if not known:
            return _drop("unscorable")
        mean = sum(known) / len(known)
        if mean <= self.above:
            return _drop("pass rate too low")
        return _drop("pass rate too high") if mean >= self.below else Decision()


def _drop(reason: str) -> Decision:
    return Decision(action=GateAction.DROP, reason=reason)
