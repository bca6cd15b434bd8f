"""Temporal-R1: one reward for what happens and one for when (arXiv 2506.01908).

    R = 0.5 · (w_sem · right + w_tmp · tIoU) + 0.5 · format

of which a sample has the parts that it can be judged by: a question of options `right` (0 or 1), a
span tIoU, an option whose row tells its span (grounded QA: "B. [1.5, 3.2]") both. Where several
letters are right, all of them must be named: no part of the answer is paid. The loss is EasyR1's
GRPO. Samples are chosen before by the spread of their scores: a stage `collect` with
`keep.min_std` (see `recipes/temporal_r1`).

Departures: the released code has spans alone; that both parts of grounded QA are added, and their
weights, are ours (the paper's are not known to us). Its form wants JSON with quoted numbers;
ours any span that lasts, and nothing beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import Field

from mmrl.errors import ConfigError, DataError
from mmrl.methods.base import register_method
from mmrl.methods.grpo import Grpo, ReductionName
from mmrl.parse.spans import parse_span, span_iou
from mmrl.rewards.builtin import (
    ANSWER_KIND,
    CHOICE,
    CHOICES,
    CHOICES_EXACT,
    FORMAT,
    SPAN_FORMAT,
    SPAN_IOU,
)
from mmrl.rewards.gold import gold_span
from mmrl.roles import Reward
from mmrl.tasks.base import Task
from mmrl.types import Rollout, Sample

SEMANTIC = frozenset(r.name for r in (CHOICE, CHOICES, CHOICES_EXACT, ANSWER_KIND))
"""Rewards that judge what happens."""


@dataclass(frozen=True)
class GroundedSpan:
    """Overlap in time of the answer's last span with the nearest of the row's spans.

    The row of a question of options has one span, or several, in `meta[column]`; None for a row
    without: it is judged by its option alone.
    """

    column: str = "span"

    def __call__(self, rollout: Rollout, sample: Sample, /) -> float | None:
        spans = sample.meta.get(self.column)
        if spans is None:
            return None
        several = isinstance(spans, Sequence) and not isinstance(spans, str)
        if not several or not spans:
            raise DataError(
                f'sample "{sample.id}": meta["{self.column}"] should be a span [start, end] in '
                f"seconds or a list of spans; it is {spans!r:.60}"
            )
        each = spans if isinstance(spans[0], Sequence) else [spans]
        golds = [gold_span(replace(sample, target=span)) for span in each]
        said = parse_span(rollout.parsed.answer or "")
        return max(span_iou(said, gold) for gold in golds) if said is not None else 0.0


@register_method
class TemporalR1(Grpo):
    """Temporal-R1 (arXiv 2506.01908)."""

    name: str = "temporal_r1"
    std_eps: float = Field(default=1e-6, ge=0.0)
    """EasyR1's."""
    beta: float = Field(default=0.01, ge=0.0)
    """Weight of the KL in the loss (code: low_var_kl, 1e-2)."""
    entropy_coef: float = Field(default=1e-3, ge=0.0)
    """Weight of the entropy bonus (code)."""
    reduction: ReductionName = "token_mean"
    """EasyR1's."""
    w_sem: float = Field(default=1.0, ge=0.0)
    """Weight of the right option, times 0.5 (ours)."""
    w_tmp: float = Field(default=1.0, ge=0.0)
    """Weight of the overlap in time, times 0.5 (ours)."""
    w_format: float = Field(default=0.5, ge=0.0)
    """Weight of the form (code: 0.5, as much as the answer)."""
    span_column: str = "span"
    """Column of a question of options that holds its span or spans in seconds (NExT-GQA: glue)."""

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        parts: list[Reward] = []
        form = FORMAT
        for reward in super().rewards(task):
            if reward.name in SEMANTIC:
                right = CHOICES_EXACT if reward.name == CHOICES.name else reward
                parts.append(replace(right, weight=0.5 * self.w_sem))
                grounded = GroundedSpan(self.span_column)
                parts.append(Reward(name="when", fn=grounded, weight=0.5 * self.w_tmp))
            elif reward.name == SPAN_IOU.name:
                parts.append(replace(reward, weight=0.5 * self.w_tmp))
                form = SPAN_FORMAT
            elif reward.name not in (FORMAT.name, SPAN_FORMAT.name):
                parts.append(reward)
        if not any(reward.name in (SPAN_IOU.name, *SEMANTIC) for reward in parts):
            raise ConfigError(
                f"{self.name} judges spans ({SPAN_IOU.name}) and options "
                f"({', '.join(sorted(SEMANTIC))}); task {task.name} has neither, but "
                f"{', '.join(r.name for r in task.rewards)}"
            )
        return (*parts, replace(form, weight=self.w_format))
