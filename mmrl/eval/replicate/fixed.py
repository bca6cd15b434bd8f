"""Completions that are written out, for claims about a method's arithmetic (`mechanism.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from mmrl.methods.base import Method
from mmrl.tasks.base import Task
from mmrl.train.score import Scorer
from mmrl.types import Clock, Group, Prompt, Rollout, Sample, ScoredGroup

CLOCK = Clock(step=0, stage="fixed", stage_step=0, stage_steps=1)
_PROMPT = Prompt(messages=(), token_ids=())


def fixed_rollout(task: Task, text: str) -> Rollout:
    """A finished completion that nobody sampled, as the task reads it."""
    return Rollout.written(text, task.parse(text), _PROMPT)


def fixed_group(task: Task, sample: Sample, texts: Sequence[str], name: str = "") -> Group:
    """The texts as a group of one sample; `name` tells apart groups of equal samples."""
    rollouts = tuple(fixed_rollout(task, text) for text in texts)
    return Group(draw_id=name or sample.id, sample=sample, rollouts=rollouts)


def fixed_scores(method: Method, task: Task, groups: Sequence[Group]) -> list[ScoredGroup]:
    """What the method's rewards and bonuses make of groups that hold their evidence."""
    scorer = Scorer(
        rewards={task.name: method.rewards}, bonuses=method.bonuses, combine=method.combine
    )
    return scorer(groups, CLOCK)


def fixed_advantages(method: Method, task: Task, groups: Sequence[Group]) -> list[list[float]]:
    """Advantages of every rollout of every group, as on one rank."""
    credited = method.credit(fixed_scores(method, task, groups), dict, CLOCK)
    return [[float(a) for a in advantages] for advantages in credited]  # type: ignore[arg-type]
