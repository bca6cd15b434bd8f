"""Correction of rollouts whose sampler was not quite the learner: weights old / behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from mmrl.objective.ratio import token_ratio
from mmrl.roles import Objective
from mmrl.types import Clock, Pack, PolicyOutput


@dataclass(frozen=True, kw_only=True)
class Corrected:
    """`inner` with each token's loss times clip(old / behaviour, floor, cap), without gradient.

    Truncated importance sampling, for samplers that compute otherwise than the learner. With
    `drop` a token outside of [floor, cap] weighs nothing instead (IcePop).
    """

    inner: Objective
    cap: float
    floor: float = 0.0
    drop: bool = False

    def __call__(
        self, out: PolicyOutput, pack: Pack, advantages: torch.Tensor, clock: Clock, /
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        loss, metrics = self.inner(out, pack, advantages, clock)
        raw = token_ratio(pack.old, pack.behaviour).detach()
        outside = (raw < self.floor) | (raw > self.cap)
        weight = raw.clamp(self.floor, self.cap)
        if self.drop:
            weight = torch.where(outside, torch.zeros_like(raw), raw)
        cut = {"importance": weight, "importance_cut": outside.to(raw.dtype)}
        return loss * weight, {**metrics, **cut}
