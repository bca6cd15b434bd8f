"""Clips: the frames of a plan, by the first reader that can, counted when it was not the first.

Reasons of a MediaError: those of `mmrl.media.source`, `container` (no reader knows the format),
`no_video`, `no_frames`, `truncated`, `too_large`, `corrupt`, `missing_frames`, `no_reader`.
A damaged clip is refused: frames that a decoder patched up are not the clip's.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmrl.errors import MediaError
from mmrl.media.header import VideoHeader, read_video_header
from mmrl.media.plan import VideoPlan
from mmrl.media.readers import VideoReader, readers_for
from mmrl.media.resize import resize_frames
from mmrl.media.source import name_of
from mmrl.media.write import write_video
from mmrl.types import MediaRef

__all__ = [
    "Clip",
    "FallbackCount",
    "VideoHeader",
    "fallbacks",
    "read_frames",
    "read_video_header",
    "write_video",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clip:
    """Decoded frames uint8 [F, H, W, 3], upright RGB, in the plan's order; seconds as told."""

    frames: np.ndarray
    seconds: tuple[float, ...]
    indices: tuple[int, ...]
    reader: str = ""


class FallbackCount:
    """How often which reader stood in for another, `{"pyav->decord": n}`; safe with threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, wanted: str, used: str) -> None:
        with self._lock:
            self._counts[f"{wanted}->{used}"] += 1

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._counts)


fallbacks = FallbackCount()
"""Of this process; a decoding pool reports those of its workers itself."""


def read_frames(
    ref: MediaRef,
    plan: VideoPlan,
    *,
    resized: bool = False,
    header: VideoHeader | None = None,
    readers: Sequence[VideoReader] | None = None,
    count: FallbackCount = fallbacks,
) -> Clip:
    """The frames of a plan, at the clip's own size or, `resized`, at the plan's.

    Only these frames are converted, and each is resized before the next is decoded. A reader that
    cannot (`no_reader`) hands on to the next; damage is the clip's and final.
    """
    header = read_video_header(ref) if header is None else header
    wanted = sorted(set(plan.indices))
    if wanted[-1] >= header.num_frames:
        raise MediaError(
            f"{name_of(ref)}: the plan asks for frame {wanted[-1]}, "
            f"the clip has {header.num_frames}; was the file replaced?",
            reason="missing_frames",
        )
    size = plan.processed_size if resized else header.size
    place = {index: at for at, index in enumerate(wanted)}
    order = readers_for(header) if readers is None else tuple(readers)
    said = []
    for reader in order:
        try:
            frames = _collect(ref, header, reader, wanted, size)
        except MediaError as error:
            if error.reason != "no_reader":
                raise
            said.append(str(error))
            continue
        if reader is not order[0]:
            count.add(order[0].name, reader.name)
        if tuple(wanted) != plan.indices:
            frames = frames[[place[index] for index in plan.indices]]
        return Clip(frames=frames, seconds=plan.seconds, indices=plan.indices, reader=reader.name)
    raise MediaError(f"{name_of(ref)}: no reader can: {'; '.join(said)}", reason="no_reader")


def _collect(
    ref: MediaRef,
    header: VideoHeader,
    reader: VideoReader,
    wanted: Sequence[int],
    size: tuple[int, int],
) -> np.ndarray:
    """Frames [F, H, W, 3] of one reader at (width, height) = `size`, upright sizes checked."""
    frames = np.empty((len(wanted), size[1], size[0], 3), dtype=np.uint8)
    got = 0
    for got, picture in enumerate(reader.read(ref, header, wanted), start=1):
        if picture.shape != (header.size[1], header.size[0], 3):
            raise MediaError(
                f"{name_of(ref)}: {reader.name} gave a frame of {picture.shape[1::-1]} pixels, "
                f"the header says {header.size}",
                reason="no_reader",
            )
        frames[got - 1] = resize_frames(picture[None], size)[0]
    if got != len(wanted):
        raise MediaError(
            f"{name_of(ref)}: {reader.name} gave {got} of {len(wanted)} frames",
            reason="no_reader",
        )
    return frames
