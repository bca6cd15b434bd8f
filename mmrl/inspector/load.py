"""A medium of a run as a picture, or as a few frames of a clip: bounded in size, upright.

Files are opened by the guarded readers of `mmrl.media` alone. Whether a path may be opened at all
is decided by who asks (`mmrl.inspector.runs`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from mmrl.media.decode import decode
from mmrl.media.header import VideoHeader, read_video_header
from mmrl.media.image import inside, open_image, shrunk
from mmrl.media.plan import VideoPlan
from mmrl.media.workers import DecodePool
from mmrl.types import MediaRef

PICTURE_SIDE = 1600
"""Longer side of a loaded picture at most [pixels]."""
FRAME_SIDE = 320
"""Longer side of a loaded frame at most [pixels]."""
MOST_FRAMES = 16


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of a clip in order, and the time of each in seconds."""

    images: tuple[Image.Image, ...]
    seconds: tuple[float, ...]


def load_medium(
    path: Path,
    kind: Literal["image", "video"],
    seconds: Sequence[float] = (),
    *,
    most: int = MOST_FRAMES,
    pool: DecodePool | None = None,
) -> Image.Image | Frames:
    """The picture, or at most `most` frames of the clip at those seconds (without any: evenly).

    `pool` decodes clips in processes that can be killed; without it they are decoded here, without
    a time limit. A MediaError says what cannot be read.
    """
    return load_ref(MediaRef(kind=kind, path=path), seconds, most=most, pool=pool)


def load_ref(
    ref: MediaRef,
    seconds: Sequence[float] = (),
    *,
    most: int = MOST_FRAMES,
    pool: DecodePool | None = None,
) -> Image.Image | Frames:
    """The same of a sample's medium; without seconds, a clip evenly within its span."""
    if ref.kind == "image":
        return shrunk(open_image(ref), PICTURE_SIDE)
    header = read_video_header(ref)
    if ref.span is not None and not len(seconds):
        start, end = (min(max(0.0, s), header.duration) for s in ref.span)
        seconds = np.linspace(start, end, most).tolist()
    plan = _plan(header, seconds, most)
    pixels = decode(ref, plan) if pool is None else pool.get(ref, plan)
    return Frames(tuple(Image.fromarray(frame) for frame in pixels), plan.seconds)


def evenly(num: int, most: int) -> list[int]:
    """At most `most` of the numbers below `num`, evenly, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, num - 1, min(num, most))}) if num else []


def _plan(header: VideoHeader, seconds: Sequence[float], most: int) -> VideoPlan:
    last = header.time_of(header.num_frames - 1)
    told = [min(max(0.0, float(s)), last) for s in seconds if math.isfinite(s)]
    if not told:
        told = [float(s) for s in np.linspace(0.0, last, most)]
    chosen = [told[i] for i in evenly(len(told), most)]
    indices = tuple(_index(header, s) for s in chosen)
    return VideoPlan(
        original_size=header.size,
        processed_size=inside(header.size, FRAME_SIDE),
        indices=indices,
        seconds=tuple(header.time_of(i) for i in indices),
        sample_fps=header.fps,
        source_fps=header.fps,
        num_source_frames=header.num_frames,
    )


def _index(header: VideoHeader, second: float) -> int:
    """The frame nearest to a time."""
    if header.timestamps is None:
        return min(header.num_frames - 1, round(second * header.fps))
    return int(np.abs(np.asarray(header.timestamps) - second).argmin())
