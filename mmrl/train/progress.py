"""Where a run is; all of it is in every checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Progress:
    """Steps, stages and evaluations so far, and what is still due at this step."""

    step: int = 0
    stage: int = 0
    stage_step: int = 0
    empty_steps: int = 0
    best: float | None = None
    best_step: int = -1
    evals_without_best: int = 0
    eval_pending: bool = False
    promote_pending: bool = False
    promote_in_a_row: int = 0
    """Promotion evaluations of this stage above its bound, up to the newest."""
    promote_value: float | None = None
    """What the newest of them measured."""
    stage_ended: str = ""
    """Why this stage ends before its last step, or empty."""
    stages: list[dict[str, Any]] = field(default_factory=list)
    """What became of each stage that has ended (`StageEnd.facts`)."""
    stopped: str = ""
    """Why the run ended early, or empty."""
    seconds_train: float = 0.0
    seconds_total: float = 0.0
    eval_steps: list[int] = field(default_factory=list)
