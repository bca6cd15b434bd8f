"""Drawn samples in the place of rows that are not on this machine, for runs that only try parts.

A world stands in for a data set when its samples, read as rows of the data set's task, are judged
as rows must be: the gold answer earns the maximum of every reward and an empty one the minimum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmrl.data.check import check_target
from mmrl.data.load import task_name
from mmrl.data.spec import DatasetSpec
from mmrl.data.view import media_info
from mmrl.errors import ConfigError, DataError
from mmrl.media.store import MediaStore
from mmrl.tasks.base import TASKS
from mmrl.types import Sample

ROWS = 8
"""Samples of a stand-in."""
COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "answer_kinds": {"problem_type": "multiple choice"},
    "gui_fast": {"rate": 1.0},
}
"""What rows of a task say beside their target (a kind, a weight), and drawn samples do not."""


def rows_are_here(spec: DatasetSpec, split: str) -> bool:
    """Whether the files of a split lie where the specification says; the hub is not asked."""
    if spec.hub_id is not None:
        return False
    source = spec.source_path()
    if not source.exists():
        return False
    entries = spec.split_entries(split)
    return source.is_file() or all(any(source.glob(entry)) for entry in entries)


def stand_in(spec: DatasetSpec, seed: int = 0) -> tuple[str, tuple[Sample, ...]]:
    """(world, samples) of the world that fits the data set's task best.

    That is its own world, else among the worlds whose samples fit the one that shares most rewards
    with it, then one that shows the same kind of media. ConfigError where none fits.
    """
    name = task_name(spec)
    own = TASKS.get(name)
    wants_clip = bool(spec.fields.videos) or spec.layout == "video_r1"
    ranked: list[tuple[bool, float, bool, str]] = []
    for world in TASKS:
        if TASKS.get(world).world is None:
            continue
        (sample,) = draw(world, name, seed, 1)
        if fits(sample):
            mine, other = ({r.name for r in TASKS.get(t).rewards} for t in (name, world))
            shows_clip = any(ref.kind == "video" for ref in sample.media)
            likeness = len(mine & other) / len(mine | other)
            ranked.append((world == own.name, likeness, shows_clip == wants_clip, world))
    if not ranked:
        raise ConfigError(
            f"{spec.file}: its rows are not here and no world draws samples that task "
            f'"{spec.task}" can judge, so nothing can stand in for them.{spec.how_to_get()}'
        )
    best = max(ranked)[-1]
    return best, tuple(draw(best, name, seed, ROWS))


def draw(world: str, task: str, seed: int, num: int) -> list[Sample]:
    """The first training samples of a world, on its easiest level, as rows of another task."""
    source = TASKS.get(world)
    assert source.world is not None
    easiest = next(iter(source.levels.values()))
    options = {**source.world_options, **easiest}
    more = COLUMNS.get(task.partition(":")[0], {})
    drawn = [source.world(i, split="train", seed=seed, **options) for i in range(num)]
    return [dataclasses.replace(s, task=task, meta={**s.meta, **more}) for s in drawn]


def fits(sample: Sample) -> bool:
    """Whether the sample's task gives it a gold answer and rewards that as it must."""
    with MediaStore(workers=0) as store:
        infos = tuple(media_info(ref, store) for ref in sample.media)
    try:
        return not check_target(sample, TASKS.get(sample.task), infos)
    except DataError:  # the target is of another form
        return False
