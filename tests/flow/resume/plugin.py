"""Plug-in of the resume test: a method with an EMA companion, and a kill at a named moment.

`MMRL_TEST_KILL=<moment>:<n>` ends the process by SIGKILL the n-th time that the moment comes.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

from mmrl.data.collected import Collected
from mmrl.eval import run as eval_run
from mmrl.methods.base import Method, register_method
from mmrl.methods.grpo import Grpo
from mmrl.policy.companions import Ema
from mmrl.roles import Decision, GateAction
from mmrl.tasks.base import Task
from mmrl.train import checkpoint, collect, collector, loop, session
from mmrl.train.observers import files
from mmrl.types import ScoredGroup

_seen: Counter[str] = Counter()
_wanted, _, _number = os.environ.get("MMRL_TEST_KILL", "").partition(":")


def moment(name: str) -> None:
    """Dies here if this is the moment that was asked for."""
    _seen[name] += 1
    if name == _wanted and _seen[name] == int(_number):
        Path(os.environ["MMRL_TEST_HIT"]).write_text(name)
        os.kill(os.getpid(), signal.SIGKILL)


def without_the_first(scored: ScoredGroup) -> Decision:
    """Drops the first draw of every step, so that every step has to refill."""
    if scored.group.draw_id.endswith(".0"):
        return Decision(action=GateAction.DROP, reason="first")
    return Decision()


@register_method
class WithEma(Grpo):
    """GRPO with an exponential mean of the weights beside it, and a refill in every step."""

    name: str = "resume_probe"

    def build(self, task: Task) -> Method:
        built = super().build(task)
        return replace(built, companions=(Ema(decay=0.9),), gate=without_the_first)


def _before(owner, name: str, what: str) -> None:
    inner = getattr(owner, name)

    def wrapped(*args, **kwargs):
        moment(what)
        return inner(*args, **kwargs)

    setattr(owner, name, wrapped)


def _after(owner, name: str, what: str) -> None:
    inner = getattr(owner, name)

    def wrapped(*args, **kwargs):
        result = inner(*args, **kwargs)
        moment(what)
        return result

    setattr(owner, name, wrapped)


_before(checkpoint, "_write", "checkpoint_half_written")
_after(checkpoint, "_flush_folder", "checkpoint_renamed")
_after(eval_run, "_item", "evaluating")
_after(Ema, "after_step", "ema_updated")
_after(collector.Collector, "_round", "round_scored")
_before(session.Session, "_keep_best", "evaluation_logged")
_after(session.Session, "_run_stage", "stage_border")
_before(files.RolloutFiles, "on_step", "metrics_written")
_before(loop, "rows_of_demonstrations", "step_collected")
_after(files.MetricsFile, "on_promotion", "promotion_logged")
_after(collect.CollectLoop, "_append", "collected_written")
_before(Collected, "__getitem__", "collected_read")

_next = collector.Collector.next


def _next_with_refill(self, clock):
    inner, rounds = self._round, 0

    def counted(draws, clock):
        nonlocal rounds
        rounds += 1
        if rounds > 1:
            moment("refill")
        return inner(draws, clock)

    self._round = counted
    try:
        return _next(self, clock)
    finally:
        self._round = inner


collector.Collector.next = _next_with_refill
