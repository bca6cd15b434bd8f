"""From the coordinates in which a model answers to those of the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmrl.errors import DataError
from mmrl.parse.boxes import Box, CoordSpace, convert_box, coord_space, is_proper_box
from mmrl.parse.objects import BOX_KEYS, POINT_KEYS, parse_things
from mmrl.rewards.gold import gold_boxes, gold_points, gold_space, holds_points
from mmrl.types import MediaInfo, Prompt, Rollout, Sample

_DIGITS = {CoordSpace.NORM_1: 3}
"""Decimals that are written; none in the other spaces."""


def to_gold_space(
    box: Box, rollout: Rollout, sample: Sample, answer_space: CoordSpace | None, space: CoordSpace
) -> Box:
    """A box of the answer in the space of the reference."""
    source = space_of_answers(sample, rollout.prompt.coord_space, answer_space)
    if source is space:
        return box
    picture = _picture(rollout.prompt)
    if picture is None:
        raise DataError(
            f'sample "{sample.id}" answers in {source.value} and its reference is in '
            f"{space.value}: converting needs the size of a picture, and its prompt has none"
        )
    return convert_box(box, source, space, picture.original_size, picture.processed_size)


def space_of_answers(
    sample: Sample, family_space: str | None, forced: CoordSpace | None = None
) -> CoordSpace:
    """The space in which answers are written.

    `forced`, else `meta["answer_space"]`, else the space of the model's family, else that of the
    reference.
    """
    named = forced or sample.meta.get("answer_space") or family_space
    if named is None:
        return gold_space(sample)
    try:
        return coord_space(named)
    except DataError as error:
        raise DataError(f'sample "{sample.id}", meta["answer_space"]: {error}') from None


def picture_extent(rollout: Rollout, sample: Sample) -> tuple[float, float]:
    """Width and height of the first picture in units of the reference's space.

    Pixels need the picture's size: the prompt's, else `meta["width"]` and `meta["height"]`.
    """
    space = gold_space(sample)
    match space:
        case CoordSpace.NORM_1:
            return 1.0, 1.0
        case CoordSpace.NORM_100:
            return 100.0, 100.0
        case CoordSpace.NORM_1000:
            return 1000.0, 1000.0
    if (picture := _picture(rollout.prompt)) is not None:
        resized = space is CoordSpace.ABS_RESIZED
        width, height = picture.processed_size if resized else picture.original_size
        return float(width), float(height)
    size = sample.meta.get("width"), sample.meta.get("height")
    if all(isinstance(side, int | float) and 0 < side < 1e9 for side in size):
        return float(size[0]), float(size[1])  # type: ignore[arg-type]
    raise DataError(
        f'sample "{sample.id}": a distance in pixels needs the size of a picture; its prompt has '
        'none and meta no "width" and "height"'
    )


def as_answered(sample: Sample, prompt: Prompt) -> Sample:
    """The sample with its boxes and points as this prompt's model writes them.

    They are converted to the space of answers and rounded (whole numbers, three decimals in
    norm_1); a box that would get flat keeps its exact numbers. The same sample where nothing is to
    be converted.
    """
    if sample.meta.get("coord_space") is None:
        return sample
    space, written = gold_space(sample), space_of_answers(sample, prompt.coord_space)
    picture = _picture(prompt)
    if space is written or picture is None:
        return sample
    sizes = picture.original_size, picture.processed_size

    def moved(values: Sequence[float]) -> list[float]:
        if len(values) == 2:
            return moved((*values, *values))[:2]
        exact = convert_box((values[0], values[1], values[2], values[3]), space, written, *sizes)
        x1, y1, x2, y2 = (round(v, _DIGITS.get(written, 0)) for v in exact)
        flat = is_proper_box(exact) and not is_proper_box((x1, y1, x2, y2))
        return list(exact) if flat else [x1, y1, x2, y2]

    meta = {**sample.meta, "coord_space": written.value, "answer_space": written.value}
    boxes = sample.meta.get("boxes")
    if isinstance(boxes, list | tuple):
        meta["boxes"] = [moved(box) for box in boxes]
    return replace(sample, target=_target(sample, moved), meta=meta)


def _target(sample: Sample, moved: Callable[[Sequence[float]], list[float]]) -> Any:
    target = sample.target
    if isinstance(target, str) and (things := parse_things(target)):
        target = [
            {
                **({"bbox_2d": thing.box} if thing.box else {}),
                **({"point_2d": thing.points[0]} if thing.points else {}),
                **({"label": thing.label} if thing.label else {}),
            }
            for thing in things
        ]
    if isinstance(target, list | tuple) and target and isinstance(target[0], Mapping):
        keys = {*BOX_KEYS, *POINT_KEYS}
        return [{k: moved(v) if k in keys else v for k, v in item.items()} for item in target]
    if isinstance(target, int | float) or (isinstance(target, str) and "," not in target):
        return target  # a count, or "none"
    if holds_points(sample):
        return [moved(point) for point in gold_points(sample)]
    return [moved(box) for box in gold_boxes(sample)]


def _picture(prompt: Prompt) -> MediaInfo | None:
    return next((info for info in prompt.media if info.kind == "image"), None)
