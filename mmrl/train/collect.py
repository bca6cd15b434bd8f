"""Stages of kind `collect`: sample, score, sort into kept and failed, and write both down.

Nothing trains. A sample is kept when low < its pass rate < high and the standard deviation of its
score is at least `min_std`; all others have failed. Later stages read both files as data.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from mmrl.config.schema import CollectConfig, KeepConfig
from mmrl.data.collected import Origin
from mmrl.methods.base import unit_weights
from mmrl.seeds import seed_of
from mmrl.sources.once import Once, Place
from mmrl.train.collector import Collector
from mmrl.train.folder import RunFolder
from mmrl.train.loop import StepReport
from mmrl.train.metrics import batch_metrics
from mmrl.train.ranks import Ranks
from mmrl.train.staged import FAILED, KEPT
from mmrl.types import Clock, CreditedGroup, ScoredGroup


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What decides about a sample; both are None where no completion could be scored."""

    pass_rate: float | None
    """Share of right completions among those that could be scored."""
    std: float | None
    """Population standard deviation of their scores."""


def figures(scored: ScoredGroup) -> Figures:
    """Pass rate and spread of a group's task scores (shaped rewards are not read)."""
    known = [(s, o) for s, o in zip(scored.score, scored.outcome, strict=True) if s is not None]
    if not known:
        return Figures(pass_rate=None, std=None)
    return Figures(
        pass_rate=sum(o for _, o in known) / len(known),
        std=statistics.pstdev([s for s, _ in known]),
    )


def is_kept(found: Figures, keep: KeepConfig) -> bool:
    """low < pass rate < high and std >= min_std; what could not be scored is not kept.

    >>> is_kept(Figures(pass_rate=0.5, std=0.5), KeepConfig())
    True
    """
    if found.pass_rate is None or found.std is None:
        return False
    return (
        (keep.low is None or found.pass_rate > keep.low)
        and (keep.high is None or found.pass_rate < keep.high)
        and (keep.min_std is None or found.std >= keep.min_std)
    )


def right_completions(scored: ScoredGroup, most: int) -> list[dict[str, Any]]:
    """Text and token ids of the first `most` different right completions that came to their end."""
    found: dict[str, dict[str, Any]] = {}
    for rollout, right in zip(scored.group.rollouts, scored.outcome, strict=True):
        if right and not rollout.truncated:
            said = {"text": rollout.text, "token_ids": list(rollout.token_ids)}
            found.setdefault(rollout.text, said)
    return list(found.values())[:most]


class CollectLoop:
    """Steps through a collect stage; each appends to its files, which a resume cuts back."""

    def __init__(
        self,
        *,
        collector: Collector,
        source: Once,
        origin: Callable[[Place], Origin],
        config: CollectConfig,
        models: Any,
        ranks: Ranks,
        seed: int,
        folder: RunFolder,
        stage: str,
        look_ahead: bool = True,
    ) -> None:
        self.collector, self.source, self.origin = collector, source, origin
        self.config, self.models, self.ranks, self.seed = config, models, ranks, seed
        self.look_ahead = look_ahead
        self.files = {half: folder.collected(stage, half) for half in (KEPT, FAILED)}
        if ranks.is_first:
            for path in self.files.values():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()

    def step(self, clock: Clock) -> StepReport:
        """Draws, samples, scores, sorts, writes; reports as a step that trains nothing."""
        torch.manual_seed(seed_of(self.seed, "step", clock.step, self.ranks.index))
        start = time.perf_counter()
        with self.models.at_temperature(self.config.temperature):
            batch = self.collector.next(clock)
        batch = replace(batch, num_draws=len(self.source.places))
        halves = self._sort(batch.everyone, clock)
        if self.ranks.is_first:
            for half, records in halves.items():
                self._append(half, records)
        if self.look_ahead:
            self.collector.look_ahead()
        self.models.forget()
        num = len(batch.everyone)
        metrics = {**batch_metrics(batch), **self.models.reward_figures()}
        if num:
            metrics["kept"] = len(halves[KEPT]) / num
        return StepReport(
            clock=clock,
            metrics=metrics,
            seconds={"rollout": time.perf_counter() - start},
            batch=batch,
            credited=tuple(map(_without_credit, batch.groups)),
            actions=(),
            is_empty=not num,
        )

    def _sort(self, groups: Sequence[ScoredGroup], clock: Clock) -> dict[str, list[dict[str, Any]]]:
        halves: dict[str, list[dict[str, Any]]] = {KEPT: [], FAILED: []}
        for scored in groups:
            found = figures(scored)
            half = KEPT if is_kept(found, self.config.keep) else FAILED
            place = int(scored.group.draw_id.rpartition(".")[2])
            record: dict[str, Any] = {
                "id": scored.group.sample.id,
                "task": scored.group.sample.task,
                "step": clock.step,
                "origin": self.origin(self.source.places[place]).to_json(),
                "pass_rate": found.pass_rate,
                "std": found.std,
                "score": list(scored.score),
            }
            if half == KEPT and self.config.form == "demonstrations":
                record["demonstrations"] = right_completions(scored, self.config.per_sample)
            halves[half].append(record)
        return halves

    def _append(self, half: str, records: Sequence[dict[str, Any]]) -> None:
        with self.files[half].open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)


def _without_credit(scored: ScoredGroup) -> CreditedGroup:
    """The group as rollout files show it: advantages of 0, since nothing trains on it."""
    nothing = (0.0,) * len(scored.group)
    weights = tuple(tuple(w) for w in unit_weights(scored))
    return CreditedGroup(scored=scored, advantages={"main": nothing}, weights=weights)
