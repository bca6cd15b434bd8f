"""The library's small random model of every family; pictures, clips and messages for tests.

All are made from seeds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmrl.policy.families import FAMILIES
from mmrl.policy.small import small_parts as build
from mmrl.policy.small import small_policy as policy

__all__ = ["FAMILY_NAMES", "build", "clip", "picture", "policy", "user"]

FAMILY_NAMES = tuple(family.name for family in FAMILIES)


def picture(seed: int, width: int = 60, height: int = 45) -> Image.Image:
    """Smooth coloured noise, so that resizing matters and rounding does not."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def clip(path: Path, *, frames: int = 12, fps: int = 4, size: tuple[int, int] = (64, 48)) -> Path:
    """An mp4 of a square that moves, one step a frame."""
    import cv2

    width, height = size
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    for i in range(frames):
        frame = np.full((height, width, 3), 40, dtype=np.uint8)
        frame[10:30, 4 + 3 * i : 20 + 3 * i] = (200, 10 * i, 60)
        writer.write(frame)
    writer.release()
    return path


def user(*content: Any) -> list[dict[str, Any]]:
    """One user message; strings are texts, pictures and paths of clips are media."""
    items: list[dict[str, Any]] = []
    for part in content:
        if isinstance(part, str):
            items.append({"type": "text", "text": part})
        elif isinstance(part, dict):
            items.append(part)
        elif isinstance(part, Path):
            items.append({"type": "video", "video": str(part)})
        else:
            items.append({"type": "image", "image": part})
    return [{"role": "user", "content": items}]
