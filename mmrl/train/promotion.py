"""When a stage has reached what it was for: a measure above a bound, several times in a row."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from mmrl.config.load import LoadedRun
from mmrl.config.schema import PromoteConfig
from mmrl.errors import nearest
from mmrl.eval.run import Evaluation


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """What one evaluation of a stage's promotion rule found."""

    stage: str
    evaluation: Evaluation
    rule: PromoteConfig
    value: float
    in_a_row: int
    """Evaluations above the bound up to this one, without one between that was not."""

    @property
    def step(self) -> int:
        return self.evaluation.step

    @property
    def is_promoted(self) -> bool:
        return self.in_a_row >= self.rule.times


def judge(
    loaded: LoadedRun, index: int, rule: PromoteConfig, evaluation: Evaluation, in_a_row: int
) -> Promotion:
    """The newest evaluation against the rule of stage `index`; `in_a_row` were above before it.

    A measure that lies on the bound is not above it. ConfigError for a measure that is not there.
    """
    if rule.measure not in evaluation.estimates:
        known = evaluation.estimates
        raise loaded.located(
            f"stages.{index}.promote.measure",
            f'no measure "{rule.measure}"; there are {", ".join(sorted(known))}.'
            + nearest(rule.measure, known),
        )
    value = evaluation.estimates[rule.measure].mean
    return Promotion(
        stage=loaded.run.stages[index].name,
        evaluation=evaluation,
        rule=rule,
        value=value,
        in_a_row=in_a_row + 1 if value > rule.above else 0,
    )


def promotion_record(found: Promotion) -> dict[str, Any]:
    """Its line in metrics.jsonl; of another kind than the run's evaluations, so not among them."""
    return {
        "kind": "promotion",
        "step": found.step,
        "stage": found.stage,
        "measure": found.rule.measure,
        "value": found.value if math.isfinite(found.value) else None,
        "above": found.rule.above,
        "in_a_row": found.in_a_row,
        "times": found.rule.times,
        "promoted": found.is_promoted,
        "items": len(found.evaluation.items),
        "skipped": len(found.evaluation.skipped),
    }
