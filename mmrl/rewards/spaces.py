"""From the coordinates in which a model answers to those of the reference."""

from __future__ import annotations

from mmrl.errors import DataError
from mmrl.parse.boxes import Box, CoordSpace, convert_box, coord_space
from mmrl.types import Rollout, Sample


def to_gold_space(
    box: Box, rollout: Rollout, sample: Sample, answer_space: CoordSpace | None, space: CoordSpace
) -> Box:
    """A box of the answer in the space of the reference."""
    named = answer_space or sample.meta.get("answer_space") or rollout.prompt.coord_space
    source = coord_space(named) if named is not None else space
    if source is space:
        return box
    pictures = [info for info in rollout.prompt.media if info.kind == "image"]
    if not pictures:
        raise DataError(
            f'sample "{sample.id}" answers in {source.value} and its reference is in '
            f"{space.value}: converting needs the size of a picture, and its prompt has none"
        )
    return convert_box(box, source, space, pictures[0].original_size, pictures[0].processed_size)
