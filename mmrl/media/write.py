"""Drawn clips to mp4, by OpenCV: the same frames give the same bytes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmrl.errors import MediaError


def write_video(
    frames: np.ndarray | Sequence[np.ndarray], fps: float, path: str | Path | None = None
) -> bytes:
    """The clip as the bytes of an mp4 (MPEG-4 part 2), also written to `path` when given.

    `frames` are uint8 RGB [F, H, W, 3] with even sides, which the codec needs. Lossy: flat colours
    move by a few levels.
    """
    clip = np.asarray(frames)
    if clip.ndim != 4 or clip.shape[-1] != 3 or clip.dtype != np.uint8 or not len(clip):
        raise MediaError(
            f"write_video: wanted uint8 [F, H, W, 3] with F > 0, came {clip.dtype} {clip.shape}",
            reason="write",
        )
    height, width = clip.shape[1:3]
    if height % 2 or width % 2:
        raise MediaError(
            f"write_video: {width}x{height} pixels; the codec needs even sides", reason="write"
        )
    import cv2

    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "clip.mp4")
        writer = cv2.VideoWriter(target, cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
        if not writer.isOpened():
            raise MediaError("write_video: this OpenCV has no MPEG-4 encoder", reason="write")
        for frame in clip:
            writer.write(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2BGR))
        writer.release()
        data = Path(target).read_bytes()
    if path is not None:
        goal = Path(path)
        aside = goal.with_name(f".{goal.name}.{os.getpid()}")
        aside.write_bytes(data)
        os.replace(aside, goal)
    return data
