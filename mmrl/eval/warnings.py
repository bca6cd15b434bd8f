"""Warnings of a run, as its step and evaluation records come in.

zero_spread             more and more groups whose rewards are all equal: nothing to learn from
entropy                 falls to nothing: the policy says one thing only
length                  completions blow up, or shrink to nothing, and the score gains nothing
format_without_score    tags are learned, the task is not
reward_without_score    the reward rises while the score (held out, or of the rollouts) falls
grad_norm               the gradient explodes, or updates are skipped for one that is not finite
kl                      the policy runs away from its reference, or from itself within a step
truncated               many completions are cut before they answer

What each takes to fire stands in `mmrl.eval.signs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mmrl.eval.series import is_number
from mmrl.eval.signs import SIGNS, Series


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A sign that was seen: its name, what it means in words, where it was first seen."""

    name: str
    message: str
    step: int
    stage: str
    over: bool = False
    """Whether it had gone by the end of its stage."""


class Alarms:
    """Follows a run record by record; every sign is told once a stage, when it is first seen.

    It looks after every step from the 20th on, after every 20th part of a long stage: the work
    stays small (about 130 looks in 5,000 steps).
    """

    def __init__(self) -> None:
        self._series: Series | None = None
        self._now: set[str] = set()
        self._told: dict[str, Alarm] = {}
        self._before: list[Alarm] = []
        self._last_eval: list[Mapping[str, Any]] = []

    @property
    def seen(self) -> list[Alarm]:
        """All alarms so far, in order; those that have gone since are marked."""
        return [*self._before, *self._current()]

    def add(self, record: Mapping[str, Any]) -> list[Alarm]:
        """Takes a record of metrics.jsonl (step or eval); returns the alarms that are new."""
        if not is_number(record.get("step")):
            return []
        if record.get("kind") == "eval":
            self._last_eval = [record]
            if self._series is None:
                return []
            self._series.evals.append(record)
            return self.look()
        if record.get("kind") != "step":
            return []
        series = self._stage(str(record.get("stage", "")))
        series.add(record)
        num = len(series.steps)
        return self.look() if num >= 20 and num % max(1, num // 20) == 0 else []

    def look(self) -> list[Alarm]:
        """Reads all signs of the running stage; returns those that were never seen in it."""
        series = self._series
        if series is None or not series.steps:
            return []
        found = {name: text for name, sign in SIGNS.items() if (text := sign(series))}
        self._now = set(found)
        new = [
            Alarm(name=name, message=text, step=series.steps[-1], stage=series.stage)
            for name, text in found.items()
            if name not in self._told
        ]
        self._told |= {alarm.name: alarm for alarm in new}
        return new

    def _stage(self, name: str) -> Series:
        if self._series is None or self._series.stage != name:
            if self._series is not None:
                self.look()
            self._before += self._current()
            self._told, self._now = {}, set()
            self._series = Series(name, evals=list(self._last_eval))
        return self._series

    def _current(self) -> list[Alarm]:
        return [replace(a, over=a.name not in self._now) for a in self._told.values()]


def alarms_of(records: Iterable[Mapping[str, Any]]) -> list[Alarm]:
    """All alarms of a run's records in their order, as they would have been told."""
    alarms = Alarms()
    for record in records:
        alarms.add(record)
    alarms.look()
    return alarms.seen
