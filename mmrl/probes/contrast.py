"""Scores of contrast groups, as evidence for the rollouts that they are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmrl.rewards.contrast import ContrastScore
from mmrl.roles import Models
from mmrl.tasks.base import TASKS
from mmrl.types import Clock, Group


@dataclass(frozen=True, kw_only=True)
class ContrastScores:
    """The task's score of each contrast rollout; the same evidence for a whole group."""

    provides: type = ContrastScore

    def __call__(
        self, groups: Sequence[Group], models: Models, clock: Clock, /
    ) -> list[list[ContrastScore]]:
        return [[_scores(group)] * len(group) for group in groups]


def _scores(group: Group) -> ContrastScore:
    scores = []
    for other in group.contrast:
        score = TASKS.get(other.sample.task).score
        found = [score(rollout, other.sample) for rollout in other.rollouts]
        scores += [value for value in found if value is not None]
    return ContrastScore(scores=tuple(scores))
