"""What may stand in a claims.yaml: sections, each field with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from mmrl.config.schema import DataEntry, Section

LEAST_ITEMS = 512
"""Items of an evaluation: with fewer, the noise of the items hides what seeds would show."""
LEAST_SEEDS = 5
"""Seeds of a result: the t interval of fewer is too wide to say anything."""


class PaperInfo(Section):
    """Which paper it is."""

    title: str
    arxiv: str


class EvaluationConfig(Section):
    """One evaluation of a trained model; the same items for all arms of a seed."""

    data: tuple[DataEntry, ...] = Field(min_length=1)
    """Shown in equal parts, or by `weight`."""
    items: int = Field(ge=1)
    """Items in all; at least 512."""
    samples: int = Field(default=4, ge=1)
    """Completions whose measures are averaged."""
    best_of: int | None = Field(default=None, ge=1)
    """Completions of which the best counts; None takes `samples`."""
    greedy: bool = True
    temperature: float = Field(default=1.0, gt=0)


class Claim(Section):
    """A difference between two arms that the paper says is there."""

    name: str
    claim: str
    kind: Literal["trained", "mechanism"]
    measure: str | None = None
    """EVALUATION.MEASURE, or measures.py:function of a trained model."""
    function: str | None = None
    """FILE.py:function; of a mechanism: seed -> value by arm."""
    arm: str
    against: str
    direction: Literal["up", "down"]
    """up: arm - against above 0 is what the paper says."""
    source: str
    added: str | None = Field(default=None, min_length=1)
    """When and why, of a claim made after its runs: "after the seeds, from their values"; it is
    told behind the verdict."""

    @property
    def key(self) -> str:
        """The measure's name in logs and tables."""
        return self.function or self.measure or ""

    @property
    def file(self) -> str | None:
        """The file of a function measure."""
        return self.key.partition(":")[0] if ":" in self.key else None


class ClaimsFile(Section):
    """The whole file; evaluations and arms are read one by one, so that messages name them."""

    paper: PaperInfo
    recipe: str = "tiny.yaml"
    seeds: int = Field(default=LEAST_SEEDS, ge=LEAST_SEEDS)
    """Seeds in a pair; at least 5."""
    start: str | None = None
    """An sft recipe, trained once; its model is where all arms start."""
    evaluations: dict[str, Any] = Field(default_factory=dict)
    arms: dict[str, Any]
    claims: tuple[Claim, ...] = Field(min_length=1)


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train: what it changes in the recipe."""

    name: str
    blank: bool = False
    """Trains on grey pictures."""
    untrained: bool = False
    """Is the start model itself."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
