"""Importance ratios, with every log-ratio clamped before it is exponentiated."""

from __future__ import annotations

from typing import Literal

import torch

from mmrl.objective.segments import row_means
from mmrl.types import Pack

TOKEN_LOG_BOUND = 20.0
"""Largest log-ratio of one token; e^20 is far outside of every clip (bound of verl)."""
SEQUENCE_LOG_BOUND = 10.0
"""Largest mean log-ratio of a sequence (bound of verl's GSPO)."""

RatioScope = Literal["token", "sequence"]


def token_ratio(logp_N: torch.Tensor, old_N: torch.Tensor) -> torch.Tensor:
    """exp(logp - old) of each token."""
    return torch.exp((logp_N - old_N).clamp(-TOKEN_LOG_BOUND, TOKEN_LOG_BOUND))


def sequence_ratio(logp_N: torch.Tensor, pack: Pack) -> torch.Tensor:
    """exp(mean over the row's trained tokens of logp - old), repeated for each token [N].

    The gradient of token t is that of its own log-prob times the ratio (GSPO-token form, arXiv
    2507.18071, eq. 14): with one advantage a row and a mean over its tokens this is the gradient
    of GSPO itself.
    """
    mean_R = row_means((logp_N - pack.old).detach(), pack)
    log_ratio_N = logp_N - logp_N.detach() + mean_R[pack.row_of_N]
    return torch.exp(log_ratio_N.clamp(-SEQUENCE_LOG_BOUND, SEQUENCE_LOG_BOUND))


def ratio_of(scope: RatioScope, logp_N: torch.Tensor, pack: Pack) -> torch.Tensor:
    """The ratio policy / old of that scope, one number a token [N]."""
    if scope == "sequence":
        return sequence_ratio(logp_N, pack)
    return token_ratio(logp_N, pack.old)
