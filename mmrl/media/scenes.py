"""Where a clip changes scene: a jump between the colour histograms of neighbouring frames."""

from __future__ import annotations

import numpy as np

from mmrl.errors import MediaError
from mmrl.media.header import VideoHeader
from mmrl.media.readers import PyAVReader
from mmrl.media.source import name_of
from mmrl.types import MediaRef

THRESHOLD = 0.5
"""Correlation of hue-saturation histograms below which two frames are of different scenes."""
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
    before: np.ndarray | None = None
    for index, frame in PyAVReader().frames(ref, header, wanted):
        small = frame.to_ndarray(width=_SIDE, height=_SIDE, format="rgb24")
        tones = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)
        histogram = cv2.calcHist([tones], [0, 1, 2], None, [12, 8, 8], [0, 180, 0, 256, 0, 256])
        now = cv2.GaussianBlur(histogram.reshape(12, 64), (3, 3), 0)
        if before is not None:
            alike = cv2.compareHist(before, now, cv2.HISTCMP_CORREL)
            last = cuts[-1] if cuts else 0
            far = header.time_of(index) - header.time_of(last) >= MIN_SCENE_S
            if alike < THRESHOLD and far:
                cuts.append(index)
        before = now
    if before is None:
        raise MediaError(f"{name_of(ref)}: no frame to compare", reason="no_frames")
    return tuple(cuts)
