"""The start of GRIT's miniature: a model that counts with boxes half of the time.

`grit_habits` are drawn shapes to count, each demonstrated in one of two ways: places by row and
column, or a box a thing. The model that ships always writes boxes here, which would leave nothing
to learn; a real one sometimes does when it is asked to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import mmrl
from mmrl.tasks.base import TASKS
from mmrl.tasks.grounding import cell_of
from mmrl.types import Sample

SEED = 5879
"""Of the demonstrations' drawings: no arm and no evaluation draws with it."""
NUM = 100_000


class Habits(Sequence[Sample]):
    """Samples with a completion: places where the number is even, boxes where it is odd."""

    def __init__(self, split: str) -> None:
        self.split = split

    def __len__(self) -> int:
        return NUM

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]
        if not 0 <= index < NUM:
            raise IndexError(index)
        task = TASKS.get("grounded_count")
        assert task.world is not None
        sample = task.world(index, split=self.split, seed=SEED, others=(0, 0))
        said = task.gold(sample) if index % 2 else by_places(sample)
        return replace(sample, meta={**sample.meta, "completion": said})


def by_places(sample: Sample) -> str:
    """The completion that counts by row and column, without a box."""
    places = ", ".join("row {} col {}".format(*cell_of(box)) for box in sample.meta["boxes"])
    return f"<think>{places}</think><answer>{sample.target}</answer>"


@mmrl.register_dataset("grit_habits")
def grit_habits(split: str) -> Sequence[Sample]:
    return Habits(split)
