"""Demonstrations for the warm start: charts answered by either way, the right one a little oftener.

The shipped model has learned which way suits which question (it is right in all of 128). That is
what this paper's decision reward has to teach, so most of it is unlearned in the start of all arms:
the way shown is the label's in 65 of 100, the answer is right by either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import overload

import mmrl
from mmrl.seeds import seed_of
from mmrl.tasks.base import TASKS
from mmrl.tasks.chart import gold_brief_answer

SEED = 777_777
"""Of the world's drawings: far from the seeds of the arms."""
LEANING = 0.65
"""Share of demonstrations that take the label's way."""
OTHER = {"high": "low", "low": "high"}


@dataclass(frozen=True)
class EitherWay(Sequence[mmrl.Sample]):
    """`size` charts, each with the completion of one way in `meta["completion"]`."""

    split: str
    size: int = 4096

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> mmrl.Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[mmrl.Sample]: ...

    def __getitem__(self, index: int | slice) -> mmrl.Sample | Sequence[mmrl.Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.size))]
        if not 0 <= index < self.size:
            raise IndexError(index)
        world = TASKS.get("chart_brief").world
        assert world is not None
        sample = world(index, split=self.split, seed=SEED, level="tiny")
        label = sample.meta["programmable"]
        way = label if seed_of(SEED, "way", index) % 100 < 100 * LEANING else OTHER[label]
        shown = replace(sample, meta={**sample.meta, "programmable": way})
        return replace(sample, meta={**sample.meta, "completion": gold_brief_answer(shown)})


@mmrl.register_dataset("either_way")
def either_way(split: str) -> Sequence[mmrl.Sample]:
    """Charts of the level tiny, each answered by code or by looking."""
    return EitherWay(split)
