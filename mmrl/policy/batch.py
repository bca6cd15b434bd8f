"""Rows to padded tensors: ids, mask from lengths (never from pad ids), explicit positions.

Shapes: B rows, L longest row; positions are [B, L], or [3, B, L] under M-RoPE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from mmrl.policy.vision import Vision
from mmrl.types import Prompt


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """`mask` is None where no row is padded, which lets attention skip it."""

    ids: torch.Tensor
    mask: torch.Tensor | None
    positions: torch.Tensor


def prompt_positions(prompt: Prompt, mrope: bool) -> torch.Tensor:
    """Positions of a prompt's tokens, [P] or [3, P]."""
    vision = prompt.vision
    if isinstance(vision, Vision) and vision.positions is not None:
        return vision.positions
    flat = torch.arange(len(prompt.token_ids))
    return flat.expand(3, -1) if mrope else flat


def next_position(prompt: Prompt, mrope: bool) -> int:
    """Position of the first completion token; the same on all three axes."""
    vision = prompt.vision
    if mrope and isinstance(vision, Vision) and vision.positions is not None:
        return int(vision.positions.max()) + 1
    return len(prompt.token_ids)


def assemble(
    rows: Sequence[tuple[Prompt, Sequence[int]]],
    *,
    mrope: bool,
    pad_id: int,
    side: Literal["left", "right"],
    device: torch.device,
) -> Batch:
    """Prompt and further tokens of each row, padded on one side to the longest."""
    lengths = [len(prompt.token_ids) + len(more) for prompt, more in rows]
    longest = max(lengths)
    ids = torch.full((len(rows), longest), pad_id)
    positions = torch.zeros((3, len(rows), longest) if mrope else (len(rows), longest)).long()
    for b, (prompt, more) in enumerate(rows):
        begin = longest - lengths[b] if side == "left" else 0
        ids[b, begin : begin + lengths[b]] = torch.tensor((*prompt.token_ids, *more))
        first = next_position(prompt, mrope)
        middle = begin + len(prompt.token_ids)
        end = begin + lengths[b]
        positions[..., b, begin:middle] = prompt_positions(prompt, mrope)
        positions[..., b, middle:end] = torch.arange(first, first + len(more))
    mask = None
    if min(lengths) < longest:
        column = torch.arange(longest)
        length = torch.tensor(lengths).unsqueeze(1)
        mask = (column >= longest - length) if side == "left" else (column < length)
        mask = mask.long().to(device)
    return Batch(ids=ids.to(device), mask=mask, positions=positions.to(device))


def length_groups(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Indices in groups of similar length whose padded size is at most `max_tokens`.

    A single row longer than that is a group of its own. Shortest first.
    """
    groups: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if groups and (len(groups[-1]) + 1) * lengths[i] <= max_tokens:
            groups[-1].append(i)
        else:
            groups.append([i])
    return groups
