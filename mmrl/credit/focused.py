"""Weights for tokens at which the rollouts of a group disagree (TW-GRPO, arXiv 2505.24718).

    w_t = 1 + (alpha - 1) * (D_t - min D) / (max D - min D + 1e-8),   D_t = mean divergence at t

The same weight at position t for all rollouts of a group; alpha 1 is none, below 1 turns it round.

Departures: D is the KL from the mean of the rollouts that are still going on (`TokenStats`). The
published one sums e^d - d - 1 over the vocabulary without probabilities, so that its tail rules,
and puts a uniform distribution where a rollout has ended, so that the ends of long rollouts look
weighty where nobody disagrees. Weights have mean 1 over the group's tokens unless `mean_one` is
off: else they raise the learning rate. They are numbers, no gradient flows through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmrl.types import ScoredGroup, TokenStats

EPS = 1e-8


def focused_weights(divergence_T: Sequence[float], alpha: float) -> list[float]:
    """Weights 1 (least divergence) to alpha (most) of the positions of a group."""
    if not divergence_T:
        return []
    least, most = min(divergence_T), max(divergence_T)
    return [1 + (alpha - 1) * (d - least) / (most - least + EPS) for d in divergence_T]


@dataclass(frozen=True, kw_only=True)
class Focused:
    """Token weights from the divergence between the rollouts of a group."""

    alpha: float = 1.7
    mean_one: bool = True
    needs: tuple[type, ...] = (TokenStats,)

    def __call__(self, scored: ScoredGroup, /) -> list[list[float]]:
        lengths = [len(rollout.token_ids) for rollout in scored.group.rollouts]
        stats: Sequence[TokenStats] = scored.group.evidence[TokenStats]
        at_T: list[list[float]] = [[] for _ in range(max(lengths, default=0))]
        for one in stats:
            for t, divergence in enumerate(one.divergence):
                at_T[t].append(divergence)
        weights_T = focused_weights([sum(d) / len(d) for d in at_T], self.alpha)
        total = sum(sum(weights_T[:n]) for n in lengths)
        scale = sum(lengths) / total if self.mean_one and total else 1.0
        return [[scale * w for w in weights_T[:n]] for n in lengths]
