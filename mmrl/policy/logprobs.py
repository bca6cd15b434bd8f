"""Log-probs of chosen tokens without ever holding the whole [tokens, vocabulary] matrix.

The language model head is applied to `chunk` hidden states at a time and, under autograd, again
in the backward: what lives beyond a chunk is one float a token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils.checkpoint import checkpoint

from mmrl.policy.space import SamplingSpace

CHUNK_TOKENS = 1024
"""Hidden states a chunk; at a vocabulary of 152k one float32 chunk is 0.6 GB."""


def chosen_logprobs(
    hidden_NH: torch.Tensor,
    head: Callable[[torch.Tensor], torch.Tensor],
    ids_N: torch.Tensor,
    space: SamplingSpace,
    *,
    kept_ids: Sequence[Sequence[int]] = (),
    entropy: bool = False,
    chunk: int = CHUNK_TOKENS,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Float32 log-prob [N] of `ids_N` under `space`, and the entropy [N] in nats if asked for.

    `head` maps hidden states [n, H] to logits [n, V]. `kept_ids` is empty or has one entry a
    token.
    """

    def block(start: int, hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        stop = start + len(hidden)
        kept = kept_ids[start:stop] if len(kept_ids) else ()
        return space.chosen(head(hidden), ids_N[start:stop], kept, entropy=entropy)

    logps, entropies = [], []
    for start in range(0, len(ids_N), chunk):
        part = hidden_NH[start : start + chunk]
        if torch.is_grad_enabled():
            logp, spread = checkpoint(block, start, part, use_reentrant=False)
        else:
            logp, spread = block(start, part)
        logps.append(logp)
        entropies.append(spread)
    if not logps:
        empty = hidden_NH.new_zeros(0, dtype=torch.float32)
        return empty, (empty if entropy else None)
    return torch.cat(logps), (torch.cat(entropies) if entropy else None)
