"""The loop: one visible step.

It knows roles and never a method by name. Files, the console and trackers are observers: they get
frozen values and return nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from mmrl.methods.base import Method
from mmrl.roles import Action, Reduce
from mmrl.seeds import seed_of
from mmrl.train.collector import Batch
from mmrl.train.learner import Learner
from mmrl.train.metrics import batch_metrics
from mmrl.train.ranks import Ranks
from mmrl.train.rows import rows_of_demonstrations, rows_of_groups
from mmrl.types import Clock, CreditedGroup, ScoredGroup


class Collects(Protocol):
    def next(self, clock: Clock, /) -> Batch: ...

    def look_ahead(self) -> None: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class StepReport:
    """What a step did: numbers for logs, and the groups for whoever wants to look."""

    clock: Clock
    metrics: Mapping[str, float]
    seconds: Mapping[str, float]
    batch: Batch
    credited: tuple[CreditedGroup, ...]
    actions: tuple[Action, ...]
    is_empty: bool
    """No group of any rank was left to train on."""


class Steps(Protocol):
    """Steps through a stage of any kind."""

    def step(self, clock: Clock, /) -> StepReport: ...


class Loop:
    """Steps through one stage."""

    def __init__(
        self,
        *,
        method: Method | None,
        collector: Collects,
        learner: Learner,
        models: Any,
        ranks: Ranks,
        seed: int,
        look_ahead: bool = True,
    ) -> None:
        self.method, self.collector, self.learner = method, collector, learner
        self.models, self.ranks, self.seed = models, ranks, seed
        self.look_ahead = look_ahead
        self._seconds: dict[str, float] = {}

    def step(self, clock: Clock) -> StepReport:
        """Collect, credit, learn, let companions follow, report."""
        torch.manual_seed(seed_of(self.seed, "step", clock.step, self.ranks.index))
        self._seconds = {}
        with self._phase("rollout"):
            batch = self.collector.next(clock)
        if self.look_ahead:
            self.collector.look_ahead()
        with self._phase("learn"):
            credited = assign(batch.groups, self.method, self.ranks.reduce, clock)
            rows = rows_of_demonstrations(batch.demonstrations)
            if self.method is not None:
                rows += rows_of_groups(credited, mask_truncated=self.method.mask_truncated)
            learned = self.learner.learn(rows, clock)
        with self._phase("companions"):
            actions = tuple(
                action
                for companion in (self.method.companions if self.method else ())
                for action in companion.after_step(batch.everyone, self.models, clock)
            )
        self.models.forget()
        metrics = {
            **batch_metrics(batch),
            **self.models.reward_figures(),
            **learned,
            "learning_rate": self.learner.optimizer.learning_rate(clock),
        }
        return StepReport(
            clock=clock,
            metrics=metrics,
            seconds=self._seconds,
            batch=batch,
            credited=tuple(credited),
            actions=actions,
            is_empty=not batch.everyone and not self._total(len(batch.demonstrations)),
        )

    def _total(self, number: int) -> int:
        return int(self.ranks.reduce({"n": float(number)})["n"])

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._seconds[name] = time.perf_counter() - start


def assign(
    groups: Sequence[ScoredGroup], method: Method | None, reduce: Reduce, clock: Clock
) -> list[CreditedGroup]:
    """Advantages and token weights of a step's groups, by the method's parts."""
    if method is None:
        return []
    credits = {"main": method.credit, **method.more_credit}
    named = {name: credit(groups, reduce, clock) for name, credit in credits.items()}
    return [
        CreditedGroup(
            scored=scored,
            advantages={name: tuple(values[i]) for name, values in named.items()},
            weights=tuple(tuple(w) for w in method.token_weights(scored)),
        )
        for i, scored in enumerate(groups)
    ]
