"""Clipped policy-gradient objectives: PPO/GRPO, dual clip, two-sided clip, GSPO, CISPO, plain.

Per-token losses [N] on flat tensors. Token weights are not applied here: they belong to whoever
adds up the loss. Metrics are per token too, to be averaged over the mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from mmrl.objective.ratio import RatioScope, ratio_of
from mmrl.types import Clock, Pack, PolicyOutput

Metrics = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Clipped:
    """-min(c·A, clip(c, 1 - low, 1 + high)·A) with c = policy / old (PPO, arXiv 1707.06347)."""

    low: float = 0.2
    high: float = 0.2
    dual: float | None = None
    """Where A < 0 the loss is at most -A·dual (dual clip, arXiv 1912.09729; verl uses 3)."""
    delta: float | None = None
    """Unclipped ratio at most this, for both signs of A (two-sided clip, arXiv 2505.07291)."""
    ratio: RatioScope = "token"
    """Ratio of each token, or of the whole sequence (GSPO)."""

    def __call__(
        self, out: PolicyOutput, pack: Pack, advantages: torch.Tensor, clock: Clock, /
    ) -> tuple[torch.Tensor, Metrics]:
        ratio = ratio_of(self.ratio, out.logp, pack)
        clipped = ratio.clamp(1.0 - self.low, 1.0 + self.high)
        free = ratio if self.delta is None else ratio.clamp(max=self.delta)
        loss = torch.maximum(-advantages * free, -advantages * clipped)
        if self.dual is not None:
            bounded = torch.minimum(loss, -advantages * self.dual)
            loss = torch.where(advantages < 0, bounded, loss)
        return loss, clip_metrics(ratio, out, pack, advantages, 1.0 - self.low, 1.0 + self.high)


@dataclass(frozen=True, kw_only=True)
class Cispo:
    """-sg(clip(c, 1 - low, 1 + high))·A·logp: every token keeps a gradient (arXiv 2506.13585).

    `low` of 1 or more is no lower bound. TRL's `epsilon_high` is the bound itself: its 5.0 is
    `high` 4.0 here.
    """

    low: float = 1.0
    high: float = 4.0

    def __call__(
        self, out: PolicyOutput, pack: Pack, advantages: torch.Tensor, clock: Clock, /
    ) -> tuple[torch.Tensor, Metrics]:
        ratio = ratio_of("token", out.logp, pack).detach()
        weight = ratio.clamp(1.0 - self.low, 1.0 + self.high)
        loss = -weight * advantages * out.logp
        low, high = 1.0 - self.low, 1.0 + self.high
        return loss, clip_metrics(ratio, out, pack, advantages, low, high, both_signs=True)


@dataclass(frozen=True)
class Reinforce:
    """-A·logp: the plain policy gradient, right for one update on fresh rollouts."""

    def __call__(
        self, out: PolicyOutput, pack: Pack, advantages: torch.Tensor, clock: Clock, /
    ) -> tuple[torch.Tensor, Metrics]:
        ratio = ratio_of("token", out.logp, pack).detach()
        return -advantages * out.logp, {"ratio": ratio, "kl_old": _kl(out, pack)}


def clip_metrics(
    ratio: torch.Tensor,
    out: PolicyOutput,
    pack: Pack,
    advantages: torch.Tensor,
    low: float,
    high: float,
    *,
    both_signs: bool = False,
) -> dict[str, torch.Tensor]:
    """The ratio, where its gradient was cut on either side (0 or 1), and the KL from old.

    Below `low` only tokens with a negative advantage are cut, above `high` only with a positive
    one, unless the objective clips `both_signs`.
    """
    ratio = ratio.detach()
    below, above = ratio < low, ratio > high
    if not both_signs:
        below, above = below & (advantages < 0), above & (advantages > 0)
    return {
        "ratio": ratio,
        "clip_low": below.to(ratio.dtype),
        "clip_high": above.to(ratio.dtype),
        "kl_old": _kl(out, pack),
    }


def _kl(out: PolicyOutput, pack: Pack) -> torch.Tensor:
    """old - logp of each token: its mean estimates KL(old || policy)."""
    return (pack.old - out.logp).detach()
