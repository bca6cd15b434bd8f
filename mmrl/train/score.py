"""Groups -> scored groups: rewards, the task's own score, bonuses, and their combination.

A part that is None for every rollout of a group does not apply to it and is left out of the sum; a
part that is None for some of them makes those unscorable, so that no two rewards of a group are
sums over different parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from mmrl.rewards.registry import Starts, check_value
from mmrl.roles import Bonus, Combine, Reward
from mmrl.tasks.base import TASKS, Task
from mmrl.types import Clock, Group, ScoredGroup


class Isolated(Protocol):
    """Runs user rewards elsewhere: `submit` at once, `result` when it is needed."""

    def submit(self, reward: Reward, group: Group, clock: Clock, /) -> Any: ...

    def result(self, handle: Any, /) -> tuple[Sequence[float | None], Sequence[str | None]]: ...


class Scorer:
    """Applies a method's rewards to finished groups."""

    def __init__(
        self,
        *,
        rewards: Mapping[str, Sequence[Reward]],
        bonuses: Sequence[Bonus],
        combine: Combine,
        isolated: Isolated | None = None,
    ) -> None:
        """`rewards` are the parts of each task, by task name."""
        self.rewards = rewards
        self.bonuses = tuple(bonuses)
        self.combine = combine
        self.isolated = isolated
        self._early: dict[str, dict[str, Any]] = {}

    def start(self, group: Group, clock: Clock) -> None:
        """Begins to judge a group whose rewards need no evidence, while others are sampled.

        What runs elsewhere (users' rewards, programs) is sent off; `__call__` waits for it.
        """
        self._early[group.draw_id] = self._submit(group, clock)

    def __call__(self, groups: Sequence[Group], clock: Clock) -> list[ScoredGroup]:
        early, self._early = self._early, {}
        waiting = [
            early[group.draw_id] if group.draw_id in early else self._submit(group, clock)
            for group in groups
        ]
        return [
            self._score(group, handles, clock)
            for group, handles in zip(groups, waiting, strict=True)
        ]

    def _submit(self, group: Group, clock: Clock) -> dict[str, Any]:
        for reward in self.rewards[group.sample.task]:
            if not reward.isolated and isinstance(reward.fn, Starts):
                reward.fn.start(group)
        if self.isolated is None:
            return {}
        return {
            reward.name: self.isolated.submit(reward, group, clock)
            for reward in self.rewards[group.sample.task]
            if reward.isolated
        }

    def _score(self, group: Group, handles: Mapping[str, Any], clock: Clock) -> ScoredGroup:
        task = TASKS.get(group.sample.task)
        parts: dict[str, tuple[float | None, ...]] = {}
        failures: dict[str, tuple[str | None, ...]] = {}
        weights: dict[str, float] = {}
        for reward in self.rewards[group.sample.task]:
            weights[reward.name] = reward.weight
            if reward.name in handles and self.isolated is not None:
                values, reasons = self.isolated.result(handles[reward.name])
                parts[reward.name] = tuple(values)
                if any(reasons):
                    failures[reward.name] = tuple(reasons)
            else:
                parts[reward.name] = tuple(
                    check_value(reward, group.sample, v) for v in _apply(reward, group, clock)
                )
        score = tuple(_task_score(task, group, g) for g in range(len(group)))
        scored = ScoredGroup(
            group=group,
            parts=parts,
            score=score,
            outcome=tuple(s is not None and s >= task.threshold for s in score),
            rewards=(None,) * len(group),
            failures=failures,
        )
        for bonus in self.bonuses:
            parts[bonus.name] = tuple(bonus(scored, clock))
            weights[bonus.name] = getattr(bonus, "weight", 1.0)
        rewards = self._combine(scored, weights, clock)
        return replace(scored, rewards=rewards, weights=weights)

    def _combine(
        self, scored: ScoredGroup, weights: Mapping[str, float], clock: Clock
    ) -> tuple[float | None, ...]:
        applies = {n: v for n, v in scored.parts.items() if any(x is not None for x in v)}
        rewards: list[float | None] = []
        for g, score in enumerate(scored.score):
            values = {name: column[g] for name, column in applies.items()}
            if not values or any(v is None for v in values.values()):
                rewards.append(None)
                continue
            weighted = {n: weights[n] * v for n, v in values.items() if v is not None}
            rewards.append(float(self.combine(weighted, score or 0.0, scored.group.sample, clock)))
        return tuple(rewards)


def _apply(reward: Reward, group: Group, clock: Clock) -> list[float | None]:
    return [
        reward(
            rollout,
            group.sample,
            {kind: values[g] for kind, values in group.evidence.items()},
            clock,
        )
        for g, rollout in enumerate(group.rollouts)
    ]


def _task_score(task: Task, group: Group, g: int) -> float | None:
    return task.score(group.rollouts[g], group.sample)
