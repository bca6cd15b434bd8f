"""Sums and means over the rows of flat token tensors, without padding.

Legend: N completion token of a pack, R row.
"""

from __future__ import annotations

import torch

from mmrl.types import Pack


def masked(per_token_N: torch.Tensor, pack: Pack) -> torch.Tensor:
    """`per_token_N` with zeros at tokens that are not trained, whatever stands there."""
    return torch.where(pack.mask > 0, per_token_N, torch.zeros_like(per_token_N))


def row_sums(per_token_N: torch.Tensor, pack: Pack) -> torch.Tensor:
    """Sum over the trained tokens of each row, [R]; 0 for a row without any."""
    sums_R = per_token_N.new_zeros(pack.num_rows)
    return sums_R.index_add(0, pack.row_of_N, masked(per_token_N, pack))


def row_sizes(pack: Pack, like: torch.Tensor) -> torch.Tensor:
    """Trained tokens of each row, [R], at least 1 so that it can divide; dtype of `like`."""
    return row_sums(torch.ones_like(like), pack).clamp(min=1.0)


def row_means(per_token_N: torch.Tensor, pack: Pack) -> torch.Tensor:
    """Mean over the trained tokens of each row, [R]; 0 for a row without any."""
    return row_sums(per_token_N, pack) / row_sizes(pack, per_token_N)
