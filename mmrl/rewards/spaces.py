"""From the coordinates in which a model answers to those of the reference."""

from __future__ import annotations

from mmrl.errors import DataError
from mmrl.parse.boxes import Box, CoordSpace, convert_box, coord_space
from mmrl.rewards.gold import gold_space
from mmrl.types import MediaInfo, Rollout, Sample


def to_gold_space(
    box: Box, rollout: Rollout, sample: Sample, answer_space: CoordSpace | None, space: CoordSpace
) -> Box:
    """A box of the answer in the space of the reference."""
    source = space_of_answers(sample, rollout.prompt.coord_space, answer_space)
    if source is space:
        return box
    picture = _picture(rollout)
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
    if (picture := _picture(rollout)) is not None:
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


def _picture(rollout: Rollout) -> MediaInfo | None:
    return next((info for info in rollout.prompt.media if info.kind == "image"), None)
