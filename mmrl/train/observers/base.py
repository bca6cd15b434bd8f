"""What an observer may hear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrl.config.schema import Run, StageConfig
from mmrl.eval.run import Evaluation
from mmrl.train.loop import StepReport
from mmrl.train.promotion import Promotion


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """The run as it starts or resumes."""

    run: Run
    folder: Path
    total_steps: int
    start_step: int
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class StageEnd:
    """A stage that has come to its end."""

    config: StageConfig
    step: int
    """Steps of the run so far."""
    steps: int
    """Steps that the stage took."""
    ended: str
    """Why before its last step: "promoted", "every sample was drawn", or empty."""
    value: float | None
    """What the newest evaluation of its promotion rule measured."""
    counts: Mapping[str, int]
    """Samples kept and failed, of a collect stage."""
    total_steps: int
    """Of the whole run, as known by now."""

    def facts(self) -> dict[str, Any]:
        """The stage's entry in summary.json."""
        rule = self.config.promote
        facts: dict[str, Any] = {
            "name": self.config.name,
            "kind": self.config.kind,
            "steps": self.steps,
            "of": self.config.steps,
            "ended": self.ended,
            **self.counts,
        }
        if rule is not None:
            facts |= {"promoted": self.ended == "promoted", "measure": rule.measure}
            facts |= {"above": rule.above, "value": self.value}
        return facts


class Observer:
    """Does nothing; subclasses override what they care about."""

    def on_start(self, info: RunInfo) -> None: ...

    def on_step(self, report: StepReport) -> None: ...

    def on_eval(self, evaluation: Evaluation, seconds: float) -> None: ...

    def on_promotion(self, promotion: Promotion, seconds: float) -> None: ...

    def on_stage(self, end: StageEnd) -> None: ...

    def on_progress(self, what: str, done: int, total: int) -> None: ...

    def on_end(self, summary: Mapping[str, Any]) -> None: ...


def due(report: StepReport, every: int) -> bool:
    """Whether this step's rollouts are written (`log.rollouts_every`; 0 is never)."""
    return bool(every) and report.clock.step % every == 0 and bool(report.credited)
