"""Draws things as soft masks and pastes them on canvases; every drawing knows its tight box.

Handwritten digits are the 1,797 UCI pictures of 8 x 8 that scikit-learn carries (E. Alpaydin and
C. Kaynak, CC BY 4.0), cut into three disjoint ranges for the splits. Letters come
from the fonts inside OpenCV (other releases of it draw them otherwise), shapes are filled outlines:
nothing is read from the network or from font files.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmrl.errors import ConfigError, nearest

Mask = NDArray[np.float32]
Picture = NDArray[np.uint8]
Box = tuple[float, float, float, float]

DIGIT_RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"train": (0, 1297), "val": (1297, 1397), "test": (1397, 1797)}
)
"""Rows of the UCI set that each split may use; the writers come in order, so they differ too."""

COLOURS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (215, 45, 40),
        "green": (40, 165, 65),
        "blue": (45, 85, 215),
        "yellow": (230, 205, 45),
        "purple": (150, 60, 180),
        "white": (245, 245, 245),
    }
)
SHAPES = ("circle", "square", "triangle", "cross", "ring")
LETTERS = "ABCDEFGHKLMNPRSTUVXYZ"
INK_LEVEL = 0.35
"""A pixel belongs to a drawing's box where its mask is at least this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """One thing on a canvas: what it is and its tight box in pixels (x1, y1, x2, y2)."""

    kind: str
    name: str
    box: Box
    colour: str = ""


def generator(world: str, split: str, seed: int, index: int) -> np.random.Generator:
    """The generator of one sample: the same four arguments, the same numbers."""
    if split not in DIGIT_RANGES:
        raise ConfigError(f'no split "{split}".{nearest(split, DIGIT_RANGES)}')
    words = [seed, index, zlib.crc32(world.encode()), zlib.crc32(split.encode())]
    return np.random.default_rng(np.random.SeedSequence(words))


@lru_cache(maxsize=4)
def digit_bank(split: str) -> tuple[Mask, ...]:
    """Ten arrays [n, 8, 8] in [0, 1]: the handwritten digits 0 to 9 of a split."""
    from sklearn.datasets import load_digits

    low, high = DIGIT_RANGES[split]
    data = load_digits()
    images = (data.images[low:high] / 16.0).astype(np.float32)
    labels = data.target[low:high]
    return tuple(images[labels == d] for d in range(10))


def digit_mask(rng: np.random.Generator, split: str, digit: int, width: int, height: int) -> Mask:
    """A handwritten digit of the split, enlarged to height x width."""
    bank = digit_bank(split)[digit]
    glyph = bank[rng.integers(len(bank))]
    return np.clip(cv2.resize(glyph, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


@lru_cache(maxsize=256)
def _letter(letter: str, font: int, thickness: int) -> Mask:
    canvas = np.zeros((96, 96), np.uint8)
    cv2.putText(canvas, letter, (20, 70), font, 1.8, 255, thickness, cv2.LINE_AA)
    ys, xs = np.nonzero(canvas > 60)
    cut = canvas[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    return cut.astype(np.float32) / 255.0


def letter_mask(rng: np.random.Generator, letter: str, width: int, height: int) -> Mask:
    """A letter in one of three fonts, stretched to height x width."""
    fonts = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_DUPLEX)
    glyph = _letter(letter, fonts[rng.integers(3)], int(rng.integers(3, 7)))
    return np.clip(cv2.resize(glyph, (width, height), interpolation=cv2.INTER_AREA), 0, 1)


def shape_mask(shape: str, width: int, height: int) -> Mask:
    """A filled shape of height x width, drawn at four times the size and averaged."""
    w, h = 4 * width, 4 * height
    big = np.zeros((h, w), np.uint8)
    middle, half = (w // 2, h // 2), (w // 2 - 1, h // 2 - 1)
    if shape == "circle":
        cv2.ellipse(big, middle, half, 0, 0, 360, 255, -1)
    elif shape == "square":
        big[:] = 255
    elif shape == "triangle":
        corners = np.array([[w // 2, 0], [w - 1, h - 1], [0, h - 1]], np.int32)
        cv2.fillPoly(big, [corners], 255)
    elif shape == "cross":
        big[h // 3 : -(h // 3)] = 255
        big[:, w // 3 : -(w // 3)] = 255
    elif shape == "ring":
        cv2.ellipse(big, middle, half, 0, 0, 360, 255, -1)
        cv2.ellipse(big, middle, (half[0] * 3 // 5, half[1] * 3 // 5), 0, 0, 360, 0, -1)
    else:
        raise ConfigError(f'no shape "{shape}".{nearest(shape, SHAPES)}')
    return cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0


def tight_box(mask: Mask, x: int, y: int) -> Box:
    """The box of the mask's ink when its corner lies at (x, y); the far edges are exclusive."""
    ink = mask >= INK_LEVEL
    columns, rows = np.flatnonzero(ink.any(0)), np.flatnonzero(ink.any(1))
    return (
        float(x + columns[0]),
        float(y + rows[0]),
        float(x + columns[-1] + 1),
        float(y + rows[-1] + 1),
    )


def paste(
    canvas: NDArray[np.float32], mask: Mask, x: int, y: int, ink: NDArray[np.float32]
) -> None:
    """Blends `ink` (3 levels) into the canvas [H, W, 3] where the mask is, clipped at the edges."""
    height, width = canvas.shape[:2]
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + mask.shape[1], width), min(y + mask.shape[0], height)
    if x1 <= x0 or y1 <= y0:
        return
    part = mask[y0 - y : y1 - y, x0 - x : x1 - x, None]
    view = canvas[y0:y1, x0:x1]
    view += part * (ink - view)


def background(rng: np.random.Generator, side: int, level: float) -> NDArray[np.float32]:
    """A canvas [side, side, 3] around `level` with a faint slope and tint."""
    slope = rng.uniform(-18, 18, 2).astype(np.float32)
    ramp = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    field = level + slope[0] * ramp[:, None] + slope[1] * ramp[None, :]
    return field[..., None] + rng.uniform(-8, 8, 3).astype(np.float32)


def finish(rng: np.random.Generator, canvas: NDArray[np.float32], noise: float) -> Picture:
    """The canvas as 8-bit levels, with noise of that standard deviation."""
    if noise > 0:
        canvas = canvas + rng.normal(0, noise, canvas.shape[:2]).astype(np.float32)[..., None]
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def free_spot(
    rng: np.random.Generator,
    width: int,
    height: int,
    side: int,
    taken: list[Box],
    *,
    tries: int = 60,
) -> tuple[int, int] | None:
    """A corner (x, y) where width x height fits 1 pixel inside the canvas and off all `taken`."""
    for _ in range(tries):
        x = int(rng.integers(1, side - width))
        y = int(rng.integers(1, side - height))
        if all(x >= b[2] or x + width <= b[0] or y >= b[3] or y + height <= b[1] for b in taken):
            return x, y
    return None


def png_bytes(picture: Picture) -> bytes:
    """The RGB picture as PNG: the same pixels, the same bytes.

    By Pillow: OpenCV's encoder fails ("bad parameters to zlib") once decord has been loaded.
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", compress_level=3)
    return buffer.getvalue()


def number_text(value: float) -> str:
    """The shortest text that reads back as exactly this number; whole numbers without a point."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))
