"""Rollouts, groups and packs by hand, for tests without a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mmrl.parse.completion import parse_completion
from mmrl.types import (
    Clock,
    Counts,
    Group,
    MediaInfo,
    Pack,
    PolicyOutput,
    Prompt,
    Rollout,
    Sample,
    ScoredGroup,
    Segment,
    StopReason,
)

CLOCK = Clock(step=0, stage="test", stage_step=0, stage_steps=10)


def a_sample(target: Any = None, **meta: Any) -> Sample:
    return Sample(id="s1", task="test", question="?", target=target, meta=meta)


def a_rollout(
    text: str = "",
    *,
    length: int | None = None,
    trainable: Sequence[bool] | None = None,
    truncated: bool = False,
    sizes: tuple[tuple[int, int], tuple[int, int]] | None = None,
) -> Rollout:
    """A rollout of `text`; `length` tokens (one a character unless given)."""
    flags = tuple(trainable) if trainable is not None else (True,) * (length or len(text))
    media = ()
    if sizes is not None:
        media = (
            MediaInfo(
                kind="image",
                digest="0",
                original_size=sizes[0],
                processed_size=sizes[1],
                num_tokens=1,
            ),
        )
    prompt = Prompt(messages=(), token_ids=(1,), media=media)
    num = len(flags)
    segment = Segment(token_ids=(5,) * num, sampled=True, logps=(-1.0,) * num, trainable=flags)
    return Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(segment,),
        text=text,
        offsets=tuple(range(num)),
        parsed=parse_completion(text),
        stop=StopReason.LENGTH if truncated else StopReason.EOS,
        policy_step=0,
    )


def answered(answer: str, **options: Any) -> Rollout:
    """A well-formed completion with that answer."""
    return a_rollout(f"<think>so</think><answer>{answer}</answer>", **options)


def a_group(
    rewards: Sequence[float | None],
    lengths: Sequence[int] | None = None,
    *,
    score: Sequence[float | None] | None = None,
    draw_id: str = "0.0",
    rollouts: Sequence[Rollout] | None = None,
    sample: Sample | None = None,
) -> ScoredGroup:
    """A scored group with those rewards; the score is the reward unless it is given."""
    lengths = lengths or [2] * len(rewards)
    rows = rollouts or [a_rollout(length=n, trainable=(True,) * n) for n in lengths]
    score = tuple(rewards if score is None else score)
    return ScoredGroup(
        group=Group(draw_id=draw_id, sample=sample or a_sample(), rollouts=tuple(rows)),
        parts={"r": tuple(rewards)},
        score=score,
        outcome=tuple(s is not None and s >= 0.5 for s in score),
        rewards=tuple(rewards),
    )


def alone(numbers: Any) -> Any:
    """The reduce of one process."""
    return numbers


def a_pack(
    lengths: Sequence[int],
    old: Sequence[Sequence[float]],
    *,
    advantages: Sequence[float] | None = None,
    reference: Sequence[Sequence[float]] | None = None,
    behaviour: Sequence[Sequence[float]] | None = None,
    width: int | None = None,
    groups: Sequence[int] | None = None,
) -> Pack:
    """A pack in float64 whose row r trains its first `lengths[r]` of `width` tokens."""
    width = width or max(len(row) for row in old)
    num = len(lengths)

    def flat(rows: Sequence[Sequence[float]]) -> torch.Tensor:
        return torch.tensor(rows, dtype=torch.float64).reshape(-1)

    old_N = flat(old)
    mask = torch.arange(width).repeat(num, 1) < torch.tensor(lengths)[:, None]
    given = torch.tensor(advantages if advantages else [0.0] * num, dtype=torch.float64)
    prompt = Prompt(messages=(), token_ids=(1,))
    return Pack(
        prompts=(prompt,),
        prompt_of_R=(0,) * num,
        group_of_R=torch.tensor(groups if groups else [0] * num),
        lengths_R=torch.full((num,), width),
        truncated_R=torch.zeros(num, dtype=torch.bool),
        token_ids=torch.zeros(num * width, dtype=torch.long),
        row_of_N=torch.arange(num).repeat_interleave(width),
        mask=mask.reshape(-1).double(),
        advantages={"main": given.repeat_interleave(width)},
        weights=torch.ones(num * width, dtype=torch.float64),
        behaviour=old_N if behaviour is None else flat(behaviour),
        old=old_N,
        reference=torch.zeros_like(old_N) if reference is None else flat(reference),
        sample_ids=tuple(f"s{r}" for r in range(num)),
    )


def counts_of(*packs: Pack) -> Counts:
    """Sizes of an update made of those packs."""
    live, tokens, rows, groups = 0, 0.0, 0, set()
    for pack in packs:
        rows += pack.num_rows
        for r in range(pack.num_rows):
            trained = float(pack.mask[pack.row_of_N == r].sum())
            tokens += trained
            if trained:
                live += 1
                groups.add(int(pack.group_of_R[r]))
    return Counts(tokens=tokens, rows=float(live), all_rows=float(rows), groups=float(len(groups)))


def output(logp: Sequence[Sequence[float]], entropy: Any = None) -> PolicyOutput:
    """The policy's log-probs as a leaf that wants a gradient."""
    leaf = torch.tensor(logp, dtype=torch.float64).reshape(-1).requires_grad_()
    return PolicyOutput(
        logp=leaf,
        entropy=None if entropy is None else torch.tensor(entropy, dtype=torch.float64).reshape(-1),
    )
