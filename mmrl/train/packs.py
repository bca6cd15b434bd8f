"""Rows -> packs: what goes through the model together, within a token budget and evenly full.

A prompt counts once in a pack, however many of its rows are there (with each row for a model that
cannot share prefixes). The rows of a group stay
together while they fit; a larger group is split by rows and its prompt repeated, which changes
nothing, because reductions divide by the counts of the whole update, taken before any splitting.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby

import torch

from mmrl.policy.pack import bare_pack, num_tokens
from mmrl.train.rows import Row
from mmrl.types import Pack


def packs_of(
    rows: Sequence[Row],
    tokens_per_pack: int,
    *,
    shares_prefix: bool = True,
    whole_groups: bool = False,
) -> list[list[Row]]:
    """Packs of rows, each of about the same number of tokens and at most `tokens_per_pack`.

    `whole_groups` never splits a group (an objective sees all of it): such a pack may be larger,
    as is that of a single row over the budget. Rows keep their order within a pack.
    """
    units: list[list[Row]] = []
    for _, group in groupby(rows, key=lambda r: r.group):
        chunk = list(group)
        if whole_groups or num_tokens(chunk, shares_prefix) <= tokens_per_pack:
            units.append(chunk)
        else:
            units.extend(_split(chunk, tokens_per_pack, shares_prefix))
    sizes = [num_tokens(unit, shares_prefix) for unit in units]
    bins = _balanced(sizes, tokens_per_pack)
    return [[row for i in sorted(members) for row in units[i]] for members in bins]


def _split(rows: Sequence[Row], budget: int, shares_prefix: bool) -> list[list[Row]]:
    """The fewest parts of a group that fit, each behind the prompts again, evenly full."""
    parts = 2
    while parts < len(rows):
        bins = _spread([len(r.token_ids) for r in rows], parts)
        pieces = [[rows[i] for i in sorted(members)] for members in bins if members]
        if all(num_tokens(piece, shares_prefix) <= budget for piece in pieces):
            return pieces
        parts += 1
    return [[row] for row in rows]


def _balanced(sizes: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in the fewest bins that an even spread fills; what is over the budget goes alone."""
    alone = [[i] for i, size in enumerate(sizes) if size > budget]
    rest = [i for i, size in enumerate(sizes) if size <= budget]
    count = math.ceil(sum(sizes[i] for i in rest) / budget)
    while True:
        bins = [[rest[i] for i in b] for b in _spread([sizes[i] for i in rest], count)]
        if all(sum(sizes[i] for i in members) <= budget for members in bins):
            return sorted((sorted(b) for b in (*alone, *bins) if b), key=lambda b: b[0])
        count += 1


def _spread(sizes: Sequence[int], count: int) -> list[list[int]]:
    """Indices in `count` bins: the largest first, each into the emptiest bin."""
    bins: list[list[int]] = [[] for _ in range(count)]
    filled = [0] * count
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        least = min(range(count), key=lambda b: (filled[b], b))
        bins[least].append(i)
        filled[least] += sizes[i]
    return bins


def make_pack(rows: Sequence[Row], device: torch.device | str) -> Pack:
    """The tensors of some rows; `old` starts as the sampler's log-probs, the reference as zeros."""

    def flat(lists: Iterable[Sequence[float]]) -> torch.Tensor:
        values = [x for numbers in lists for x in numbers]
        return torch.tensor(values, dtype=torch.float32, device=device)

    names = sorted({name for r in rows for name in r.advantages})
    behaviour = flat(r.behaviour for r in rows)
    return replace(
        bare_pack(
            rows,
            groups=[r.group for r in rows],
            names=[r.sample_id for r in rows],
            device=device,
        ),
        mask=flat(r.mask for r in rows),
        advantages={name: flat(r.advantages[name] for r in rows) for name in names},
        weights=flat(r.weights for r in rows),
        behaviour=behaviour,
        old=behaviour.clone(),
    )
