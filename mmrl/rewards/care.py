"""The consistency bonus of GRPO-CARE (arXiv 2506.16141): reasoning that makes its answer likely.

A slowly moving reference reads each rollout; among those that are right, those whose answer it
finds at least as likely as they are on average earn more. With p_i = exp(mean log-prob of the
answer's tokens), p~_i = min(p_i, cap) and the right ones

    S = {i : acc_i > floor and acc_i >= mean(acc)},    mu = mean of p~ over S,
    bonus_i = weight · acc_i where i in S and p~_i >= mu - margin, else 0.

Departures from the official code: the answer's tokens are found by character offsets (the code
takes the ">" of the tag and what stands behind the answer as well), a rollout without an answer has
p = 0 (theirs 1), groups are the draws of one prompt (theirs the device batch), and both comparisons
allow for rounding (in float32 a mean exceeds its equal members on a fifth of the grid).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from mmrl.types import Clock, ScoredGroup

ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class ReferenceLikelihood:
    """Evidence: log-probs of the answer's tokens under another model, reading the same rollout."""

    provided_by: ClassVar[str] = (
        "LikelihoodProbe(ema) to the probes and the same ema = Ema(decay=0.995, every=10) to the "
        "companions"
    )

    logps: tuple[float, ...]
    """At temperature 1, nothing truncated; empty where there is no answer."""
    failure: str = ""
    """Why it could not be read; such a rollout is unscorable."""

    @property
    def probability(self) -> float:
        """exp(mean log-prob) in [0, 1]; 0 where there is no answer."""
        if not self.logps:
            return 0.0
        return min(1.0, math.exp(math.fsum(self.logps) / len(self.logps)))

    def record(self) -> dict[str, Any]:
        """What the rollout files say of it."""
        return {"probability": self.probability, "tokens": len(self.logps), "failure": self.failure}


@dataclass(frozen=True, kw_only=True)
class ConsistencyBonus:
    """The Bonus "care" of the formula above; values are acc_i or 0, times `weight`."""

    weight: float = 0.5
    """Lambda of the paper."""
    cap: float = 0.95
    """Likelihoods above it count as it, so that sure answers do not compete."""
    margin: float = 0.0
    """How far below the mean still counts: 0 on SEED-Bench-R1, 0.01 on general video."""
    floor: float = 0.1
    """Accuracy that a rollout must exceed."""
    form: Literal["threshold", "dense"] = "threshold"
    """`dense` is the ablation DenseCons: weight · acc_i · p_i for every rollout."""
    accuracy: str = ""
    """The reward part that is acc; "" is the task's own score."""
    name: str = "care"
    needs: ClassVar[tuple[type, ...]] = (ReferenceLikelihood,)

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.accuracy,) if self.accuracy else ()

    def __call__(self, scored: ScoredGroup, clock: Clock, /) -> list[float | None]:
        """None for rollouts without accuracy or likelihood; they are absent from both means."""
        evidence: Sequence[ReferenceLikelihood] = scored.group.evidence[ReferenceLikelihood]
        p = [item.probability for item in evidence]
        given = scored.parts[self.accuracy] if self.accuracy else scored.score
        acc = [None if e.failure else a for a, e in zip(given, evidence, strict=True)]
        if self.form == "dense":
            return [None if a is None else a * q for a, q in zip(acc, p, strict=True)]
        mu = self.threshold(acc, p)
        return [
            None if a is None else a if self._is_right(a, acc) and self._is_likely(q, mu) else 0.0
            for a, q in zip(acc, p, strict=True)
        ]

    def threshold(self, acc: Sequence[float | None], p: Sequence[float]) -> float | None:
        """mu: the mean capped likelihood of the right ones, None where nobody is right."""
        right = [
            min(q, self.cap)
            for a, q in zip(acc, p, strict=True)
            if a is not None and self._is_right(a, acc)
        ]
        return math.fsum(right) / len(right) if right else None

    def _is_right(self, a: float, acc: Sequence[float | None]) -> bool:
        known = [x for x in acc if x is not None]
        return a > self.floor and a >= math.fsum(known) / len(known) - ROUNDING

    def _is_likely(self, p: float, mu: float | None) -> bool:
        return mu is not None and min(p, self.cap) >= mu - self.margin - ROUNDING
