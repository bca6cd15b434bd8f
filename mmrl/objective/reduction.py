"""From per-token losses to a scalar, by sizes of the whole optimizer update.

Every reduction is a sum over this pack's tokens divided by a size of the whole update (`Counts`,
over all packs and ranks), so k packs give exactly the loss and gradient of one. A row without a
trained token is absent: it adds nothing and is not counted (verl and OpenRLHF do so, TRL counts
it). Names in other code: token_mean is TRL's "dapo" and verl's "token-mean"; sequence_mean is TRL's
"grpo" and verl's "seq-mean-token-mean"; SequenceSumNorm is "dr_grpo", "seq-mean-token-sum-norm".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mmrl.objective.segments import row_means, row_sums
from mmrl.types import Counts, Pack


def token_mean(per_token_N: torch.Tensor, pack: Pack, counts: Counts, /) -> torch.Tensor:
    """Σ over tokens / trained tokens of the update: long answers weigh more (DAPO)."""
    return row_sums(per_token_N, pack).sum() / max(counts.tokens, 1.0)


def sequence_mean(per_token_N: torch.Tensor, pack: Pack, counts: Counts, /) -> torch.Tensor:
    """Mean over rows of the mean over their tokens: every answer weighs the same (GRPO)."""
    return row_means(per_token_N, pack).sum() / max(counts.rows, 1.0)


def sequence_sum(per_token_N: torch.Tensor, pack: Pack, counts: Counts, /) -> torch.Tensor:
    """Mean over rows of the sum over their tokens."""
    return row_sums(per_token_N, pack).sum() / max(counts.rows, 1.0)


@dataclass(frozen=True)
class SequenceSumNorm:
    """Mean over rows of the sum over tokens, over a constant length (Dr.GRPO, arXiv 2503.20783)."""

    length: int
    """Tokens; a constant of the run such as the sampler's limit, never a length of the batch."""

    def __call__(self, per_token_N: torch.Tensor, pack: Pack, counts: Counts, /) -> torch.Tensor:
        return sequence_sum(per_token_N, pack, counts) / self.length
