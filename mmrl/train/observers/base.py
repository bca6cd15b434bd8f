"""What an observer may hear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrl.config.schema import Run
from mmrl.eval.run import Evaluation
from mmrl.train.loop import StepReport


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """The run as it starts or resumes."""

    run: Run
    folder: Path
    total_steps: int
    start_step: int
    resumed: bool


class Observer:
    """Does nothing; subclasses override what they care about."""

    def on_start(self, info: RunInfo) -> None: ...

    def on_step(self, report: StepReport) -> None: ...

    def on_eval(self, evaluation: Evaluation, seconds: float) -> None: ...

    def on_progress(self, what: str, done: int, total: int) -> None: ...

    def on_end(self, summary: Mapping[str, Any]) -> None: ...


def due(report: StepReport, every: int) -> bool:
    """Whether this step's rollouts are written (`log.rollouts_every`; 0 is never)."""
    return bool(every) and report.clock.step % every == 0 and bool(report.credited)
