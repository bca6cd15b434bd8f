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
    header: VideoHeader | None = None,
    readers: Sequence[VideoReader] | None = None,
    count: FallbackCount = fallbacks,
) -> Clip:
    """The frames of a plan at the clip's own size; only these are converted.

    A reader that cannot (`no_reader`) hands on to the next; damage is the clip's and final.
    """
    header = read_video_header(ref) if header is None else header
    wanted = sorted(set(plan.indices))
    if wanted[-1] >= header.num_frames:
        raise MediaError(
            f"{name_of(ref)}: the plan asks for frame {wanted[-1]}, "
            f"the clip has {header.num_frames}; was the file replaced?",
            reason="missing_frames",
        )
    order = readers_for(header) if readers is None else tuple(readers)
    said = []
    for reader in order:
        try:
            frames = reader.read(ref, header, wanted)
        except MediaError as error:
            if error.reason != "no_reader":
                raise
            said.append(str(error))
            continue
        width, height = header.size
        if frames.shape != (len(wanted), height, width, 3):
            said.append(
                f"{reader.name} gave {frames.shape}, wanted {(len(wanted), height, width, 3)}"
            )
            continue
        if reader is not order[0]:
            count.add(order[0].name, reader.name)
        if tuple(wanted) != plan.indices:
            place = {index: at for at, index in enumerate(wanted)}
            frames = frames[[place[index] for index in plan.indices]]
        return Clip(frames=frames, seconds=plan.seconds, indices=plan.indices, reader=reader.name)
    raise MediaError(f"{name_of(ref)}: no reader can: {'; '.join(said)}", reason="no_reader")
