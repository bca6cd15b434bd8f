"""KL to a reference as a loss term of its own, estimated on the sampled tokens.

With d = logp - reference (http://joschu.net/blog/kl-approx.html):

    k1 = d              unbiased value; as a loss its gradient is that of the likelihood alone
    k2 = d² / 2         biased value, but its gradient is that of the KL
    k3 = e^-d + d - 1   unbiased value, never negative (GRPO)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from mmrl.objective.ratio import TOKEN_LOG_BOUND
from mmrl.types import Clock, Pack, PolicyOutput

K3_BOUND = 10.0
"""Largest k3 of one token; beyond it the token has no gradient (bound of verl)."""

KlKind = Literal["k1", "k2", "k3"]


@dataclass(frozen=True)
class Kl:
    """Estimated KL(policy || reference) of each token; reads no advantages."""

    kind: KlKind = "k3"

    def __call__(
        self, out: PolicyOutput, pack: Pack, advantages: torch.Tensor, clock: Clock, /
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        kl = kl_estimate(self.kind, out.logp, pack.reference)
        return kl, {"kl": kl.detach()}


def kl_estimate(kind: KlKind, logp: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """The estimate of each token, shapes alike."""
    difference = logp - reference
    if kind == "k1":
        return difference
    if kind == "k2":
        return 0.5 * difference.square()
    back = (-difference).clamp(-TOKEN_LOG_BOUND, TOKEN_LOG_BOUND)
    return (torch.exp(back) - back - 1.0).clamp(max=K3_BOUND)
