"""Credited groups and demonstrations -> rows -> packs within a token budget.

A row is one completion behind its prompt. Rows of a group stay together while they fit; a group
over the budget is split by rows, which changes nothing because reductions divide by the counts of
the whole update, taken before any splitting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from mmrl.types import (
    Advantage,
    Counts,
    CreditedGroup,
    Demonstration,
    Pack,
    Prompt,
)

Reduce = Callable[[Mapping[str, float]], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One completion with all that the learner needs of it; lists have one entry a token."""

    prompt: Prompt
    sample_id: str
    group: int
    token_ids: tuple[int, ...]
    mask: tuple[float, ...]
    advantages: Mapping[str, tuple[float, ...]]
    weights: tuple[float, ...]
    behaviour: tuple[float, ...]
    kept_ids: tuple[tuple[int, ...], ...] = ()
    truncated: bool = False

    @property
    def num_tokens(self) -> int:
        """Prompt and completion tokens."""
        return len(self.prompt.token_ids) + len(self.token_ids)


def rows_of_groups(groups: Sequence[CreditedGroup], *, mask_truncated: bool = False) -> list[Row]:
    """One row a scorable rollout, in order; `mask_truncated` leaves out cut-off completions."""
    rows = []
    for index, credited in enumerate(groups):
        scored = credited.scored
        for g, rollout in enumerate(scored.group.rollouts):
            if scored.rewards[g] is None or not rollout.token_ids:
                continue
            length = len(rollout.token_ids)
            silent = mask_truncated and rollout.truncated
            rows.append(
                Row(
                    prompt=rollout.prompt,
                    sample_id=scored.group.sample.id,
                    group=index,
                    token_ids=rollout.token_ids,
                    mask=tuple(float(t and not silent) for t in rollout.trainable),
                    advantages={
                        name: broadcast(values[g], length)
                        for name, values in credited.advantages.items()
                    },
                    weights=credited.weights[g],
                    behaviour=rollout.logps,
                    kept_ids=rollout.kept_ids,
                    truncated=rollout.truncated,
                )
            )
    return rows


def rows_of_demonstrations(demonstrations: Sequence[Demonstration]) -> list[Row]:
    """One row a demonstration; its weight becomes the weight of its tokens."""
    return [
        Row(
            prompt=d.prompt,
            sample_id=d.sample.id,
            group=index,
            token_ids=d.token_ids,
            mask=tuple(float(t) for t in d.trainable),
            advantages={},
            weights=(d.weight,) * len(d.token_ids),
            behaviour=(0.0,) * len(d.token_ids),
        )
        for index, d in enumerate(demonstrations)
    ]


def broadcast(advantage: Advantage, length: int) -> tuple[float, ...]:
    """One advantage a token: a number is repeated, a list must fit."""
    if isinstance(advantage, tuple):
        if len(advantage) != length:
            raise ValueError(f"{len(advantage)} token advantages for {length} tokens")
        return advantage
    return (float(advantage),) * length


def count(rows: Iterable[Row], reduce: Reduce) -> Counts:
    """Sizes of a whole update over all ranks; rows without a trainable token do not count."""
    rows = list(rows)
    live = [r for r in rows if any(r.mask)]
    sums = reduce(
        {
            "tokens": float(sum(sum(r.mask) for r in live)),
            "rows": float(len(live)),
            "all_rows": float(len(rows)),
            "groups": float(len({r.group for r in live})),
        }
    )
    return Counts(**sums)


def packs_of(rows: Sequence[Row], tokens_per_pack: int) -> Iterator[list[Row]]:
    """Rows in order, cut where the next group (or, in a large group, row) would not fit."""
    pack: list[Row] = []
    used = 0
    for chunk in _groups(rows):
        size = sum(r.num_tokens for r in chunk)
        pieces = [chunk] if size <= tokens_per_pack else [[r] for r in chunk]
        for piece in pieces:
            cost = sum(r.num_tokens for r in piece)
            if pack and used + cost > tokens_per_pack:
                yield pack
                pack, used = [], 0
            pack.extend(piece)
            used += cost
    if pack:
        yield pack


def _groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in rows:
        if chunk and row.group != chunk[0].group:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def make_pack(rows: Sequence[Row], device: torch.device | str) -> Pack:
    """The tensors of some rows; equal prompts (by identity) are held once."""
    prompts: list[Prompt] = []
    place: dict[int, int] = {}
    for row in rows:
        if id(row.prompt) not in place:
            place[id(row.prompt)] = len(prompts)
            prompts.append(row.prompt)

    def flat(lists: Iterable[Sequence[float]], dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor([x for values in lists for x in values], dtype=dtype, device=device)

    lengths = torch.tensor([len(r.token_ids) for r in rows], device=device)
    names = {name for r in rows for name in r.advantages}
    behaviour = flat((r.behaviour for r in rows), torch.float32)
    any_kept = any(r.kept_ids for r in rows)
    return Pack(
        prompts=tuple(prompts),
        prompt_of_R=tuple(place[id(r.prompt)] for r in rows),
        group_of_R=torch.tensor([r.group for r in rows], device=device),
        lengths_R=lengths,
        truncated_R=torch.tensor([r.truncated for r in rows], device=device),
        token_ids=flat((r.token_ids for r in rows), torch.long),
        row_of_N=torch.repeat_interleave(torch.arange(len(rows), device=device), lengths),
        mask=flat((r.mask for r in rows), torch.float32),
        advantages={n: flat((r.advantages[n] for r in rows), torch.float32) for n in sorted(names)},
        weights=flat((r.weights for r in rows), torch.float32),
        behaviour=behaviour,
        old=behaviour.clone(),
        reference=torch.zeros_like(behaviour),
        kept_ids=tuple(k for r in rows for k in (r.kept_ids or ((),) * len(r.token_ids)))
        if any_kept
        else (),
        sample_ids=tuple(r.sample_id for r in rows),
    )
