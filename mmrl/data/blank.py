"""Blank media: samples with nothing to see, a control that tells whether a task is looked at.

Every picture becomes a grey one of its size, every clip a grey one of its size, length and rate, so
that prompts keep their tokens. What a model learns or scores on them comes from the text alone.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache

import numpy as np

from mmrl.data.view import SampleView
from mmrl.media.image import read_image_header
from mmrl.media.video import read_video_header, write_video
from mmrl.tasks.drawing import png_bytes
from mmrl.types import MediaRef, Sample

GREY = 128


class Blank:
    """A view whose samples have blank media."""

    def __init__(self, view: SampleView) -> None:
        self._view, self.name, self.size = view, f"{view.name} (blank)", view.size

    def __getitem__(self, index: int, /) -> Sample:
        sample = self._view[index]
        return dataclasses.replace(sample, media=tuple(blank(m) for m in sample.media))

    def where(self, index: int, /) -> str:
        return self._view.where(index)


def blank(ref: MediaRef) -> MediaRef:
    """A grey medium in the place of this one; MediaError where its header cannot be read."""
    if ref.kind == "image":
        data = _picture(*read_image_header(ref).size)
    else:
        header = read_video_header(ref)
        width, height = (side + side % 2 for side in header.size)  # the codec needs even sides
        data = _clip(width, height, header.num_frames, header.fps)
    return dataclasses.replace(ref, path=None, data=data)


@lru_cache(maxsize=32)
def _picture(width: int, height: int) -> bytes:
    return png_bytes(np.full((height, width, 3), GREY, np.uint8))


@lru_cache(maxsize=32)
def _clip(width: int, height: int, num_frames: int, fps: float) -> bytes:
    return write_video(np.full((num_frames, height, width, 3), GREY, np.uint8), fps)
