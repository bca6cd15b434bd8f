"""Where a clip changes scene: neighbouring frames, seen small, that differ nearly everywhere."""

from __future__ import annotations

import numpy as np

from mmrl.errors import MediaError
from mmrl.media.header import VideoHeader
from mmrl.media.readers import PyAVReader
from mmrl.media.source import name_of
from mmrl.types import MediaRef

LEVELS = 30.0
"""Mean difference of two neighbouring frames [levels of 255] above which the scene changed; fast
motion stays near 20, hard cuts lie near 50."""
ALIKE = 0.5
"""Correlation of colour histograms below which it changed too (cuts between dark scenes)."""
MIN_SCENE_S = 0.4
"""Shortest scene [seconds]: a flash is not a scene."""
_SIDE = 64
"""Frames are compared at this size [pixels]; a cut is visible there and noise is not."""
_MOST_COMPARED = 1800
"""Frames looked at in one clip; longer clips are looked at in steps."""


def find_cuts(ref: MediaRef, header: VideoHeader) -> tuple[int, ...]:
    """Indices of the first frames of new scenes (0 is none of them).

    In clips longer than 1,800 frames a cut is placed to within the step between compared frames.
    """
    import cv2

    step = max(1, -(-header.num_frames // _MOST_COMPARED))
    wanted = range(0, header.num_frames, step)
    cuts: list[int] = []
    before: tuple[np.ndarray, np.ndarray] | None = None
    for index, frame in PyAVReader().frames(ref, header, wanted):
        small = cv2.resize(
            frame.to_ndarray(format="rgb24"), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA
        )
        histogram = cv2.calcHist(
            [cv2.cvtColor(small, cv2.COLOR_RGB2HSV)],
            [0, 1, 2],
            None,
            [12, 8, 8],
            [0, 180, 0, 256, 0, 256],
        )
        colours = cv2.GaussianBlur(histogram.reshape(12, 64), (3, 3), 0)
        if before is not None:
            moved = float(np.abs(small.astype(np.int16) - before[0]).mean())
            alike = cv2.compareHist(before[1], colours, cv2.HISTCMP_CORREL)
            changed = moved > LEVELS or alike < ALIKE
            last = cuts[-1] if cuts else 0
            if changed and header.time_of(index) - header.time_of(last) >= MIN_SCENE_S:
                cuts.append(index)
        before = (small, colours)
    if before is None:
        raise MediaError(f"{name_of(ref)}: no frame to compare", reason="no_frames")
    return tuple(cuts)
