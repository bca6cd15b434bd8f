"""Entropy bonus as a loss term of its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mmrl.errors import MethodError
from mmrl.types import Clock, Pack, PolicyOutput


def entropy_bonus(
    out: PolicyOutput, pack: Pack, advantages: torch.Tensor, clock: Clock, /
) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
    """Minus the entropy of each token in nats: a positive coefficient keeps the policy wide."""
    if out.entropy is None:
        raise MethodError(
            'the entropy bonus got no entropies: its Term should say needs={"entropy"}'
        )
    return -out.entropy, {}
