"""One trained arm, as the functions of a paper's measures.py see it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmrl.config.load import load_recipe
from mmrl.eval.run import Evaluation
from mmrl.train.assemble import load_models
from mmrl.train.models import Doors
from mmrl.train.run import quiet_libraries
from mmrl.types import Sample


@dataclass(frozen=True, kw_only=True)
class Trained:
    """An arm after its run. A measure is `def name(trained: Trained) -> float`.

    A measure that has nothing to say of a model (no item of the kind) returns NaN: that seed is
    left out of the pairs, and the table says so.
    """

    arm: str
    seed: int
    folder: Path
    """Run folder: config.yaml, metrics.jsonl, rollouts/. An untrained arm has the config only."""
    model: Path
    """Checkpoint folder of the trained (or start) model."""
    evaluations: Mapping[str, Evaluation]
    """By name: items with values, texts, target, question."""
    samples: Mapping[str, Sequence[Sample]] = field(default_factory=dict)
    """The samples of each evaluation, in the order in which they were shown."""

    def by_step(self, metric: str, stage: str | None = None) -> list[float]:
        """A figure of metrics.jsonl at every training step, of one stage or of all, in order."""
        lines = (self.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [row for row in map(json.loads, lines) if row["kind"] == "step"]
        return [row[metric] for row in rows if metric in row and stage in (None, row["stage"])]

    @contextmanager
    def models(self) -> Iterator[Doors]:
        """The loaded model's doors, to sample or score anew; closed at the end."""
        with open_doors(self.folder, self.model) as doors:
            yield doors


@contextmanager
def open_doors(folder: Path, model: Path) -> Iterator[Doors]:
    """The doors of a run's model, set up as its config.yaml says.

    Plug-ins are those that this process has imported: a copied recipe has none beside it.
    """
    given: dict[str, Any] = {"policy.model": str(model), "policy.lora": None, "plugins": []}
    loaded = load_recipe(folder / "config.yaml", given)
    quiet_libraries()
    doors = load_models(loaded)
    try:
        yield doors
    finally:
        doors.close()
