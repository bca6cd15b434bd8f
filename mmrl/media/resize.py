"""Frames of a clip to another size, as torchvision's bicubic resize with antialiasing gives them.

torchvision resizes clips in float32 and rounds once; Pillow's 8-bit resize rounds twice and differs
by one level. Pillow's float mode has the same kernel (a = -0.5) and the same order of passes.
"""

from __future__ import annotations

import numpy as np
from PIL import Image


def resize_frames(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 [F, H, W, 3] at (width, height) = `size`; rounded half to even, held in [0, 255]."""
    width, height = size
    if frames.shape[1:3] == (height, width):
        return frames
    resized = np.empty((len(frames), height, width, 3), dtype=np.uint8)
    for at, frame in enumerate(frames):
        planes = frame.astype(np.float32)
        for channel in range(3):
            plane = Image.fromarray(np.ascontiguousarray(planes[:, :, channel]))
            scaled = np.asarray(plane.resize(size, Image.Resampling.BICUBIC))
            resized[at, :, :, channel] = np.rint(scaled).clip(0, 255)
    return resized
