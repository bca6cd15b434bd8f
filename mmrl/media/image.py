"""Pictures: any of Pillow's formats to upright 8-bit RGB, or a MediaError with its reason.

Reasons: those of `mmrl.media.source`, `not_an_image`, `truncated`, `corrupt`, `too_large`, `mode`.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmrl.errors import MediaError
from mmrl.media.source import name_of, open_bytes
from mmrl.types import MediaRef

MAX_PIXELS = 89_478_485
"""Largest picture that is decoded [pixels]; Pillow's bound against decompression bombs
(256 MiB as RGB). A small file that claims more is refused from its header."""

_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DECODE_ERRORS = (
    OSError,
    SyntaxError,  # how Pillow reports a broken PNG chunk
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageHeader:
    """What a picture's header says; `size` is (width, height) in pixels after EXIF orientation."""

    size: tuple[int, int]
    orientation: int
    """EXIF orientation 1 to 8; 1 is upright."""
    mode: str
    format: str


def read_image_header(ref: MediaRef) -> ImageHeader:
    """Size and form of a picture, without decoding its pixels."""
    with _opened(ref) as image:
        orientation = _orientation(image)
        width, height = image.size
        return ImageHeader(
            size=(height, width) if orientation >= 5 else (width, height),
            orientation=orientation,
            mode=image.mode,
            format=image.format or "",
        )


def open_image(ref: MediaRef) -> Image.Image:
    """The picture, upright, RGB, 8 bits a channel; of an animation the first frame.

    Alpha is composited on white; 16-bit and float greys are scaled to 8 bits, not clipped.
    """
    with _opened(ref) as image:
        if image.format == "PNG":
            # loading skips the checksums of image data, so a flipped bit would pass
            with _opened(ref) as probe:
                _guarded(ref, probe.verify)
        orientation = _orientation(image)
        _guarded(ref, image.load)
        rgb = _to_rgb(image, ref)
    turn = _TRANSPOSE.get(orientation)
    return rgb if turn is None else rgb.transpose(turn)


def resize_image(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at (width, height), bicubic with antialiasing, as qwen_vl_utils resizes."""
    return image if image.size == size else image.resize(size, Image.Resampling.BICUBIC)


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """The picture with its longer side at most `side`; smaller ones as they are."""
    size = inside(image.size, side)
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def inside(size: tuple[int, int], side: int) -> tuple[int, int]:
    """(width, height) with the longer at most `side`, in the same proportion; never 0."""
    width, height = size
    scale = min(1.0, side / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


@contextmanager
def _opened(ref: MediaRef) -> Iterator[Image.Image]:
    file = open_bytes(ref)
    try:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(file)
        except Image.DecompressionBombError as error:
            raise MediaError(f"{name_of(ref)}: {error}", reason="too_large") from error
        except UnidentifiedImageError as error:
            raise MediaError(
                f"{name_of(ref)}: not a picture in a format that Pillow reads",
                reason="not_an_image",
            ) from error
        except _DECODE_ERRORS as error:
            raise MediaError(
                f"{name_of(ref)}: broken picture header: {error}", reason="corrupt"
            ) from error
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise MediaError(
                f"{name_of(ref)}: {width}x{height} pixels; at most {MAX_PIXELS:,} are decoded",
                reason="too_large",
            )
        if not width or not height:
            raise MediaError(f"{name_of(ref)}: a side of 0 pixels", reason="corrupt")
        yield image
    finally:
        file.close()


def _guarded(ref: MediaRef, action: object) -> None:
    try:
        action()  # type: ignore[operator]
    except Image.DecompressionBombError as error:
        raise MediaError(f"{name_of(ref)}: {error}", reason="too_large") from error
    except _DECODE_ERRORS as error:
        text = str(error)
        cut = "truncated" in text or isinstance(error, EOFError)
        raise MediaError(
            f"{name_of(ref)}: the picture's data cannot be decoded: {text}",
            reason="truncated" if cut else "corrupt",
        ) from error


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1 where the block is absent, unreadable or holds nonsense."""
    if not image.info.get("exif") and image.format not in ("TIFF", "MPO"):
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except _DECODE_ERRORS:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _to_rgb(image: Image.Image, ref: MediaRef) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image, ref)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        white = Image.new("RGB", with_alpha.size, (255, 255, 255))
        white.paste(with_alpha, mask=with_alpha.getchannel("A"))
        return white
    try:
        return image.convert("RGB")
    except ValueError as error:
        raise MediaError(
            f"{name_of(ref)}: colour mode {image.mode} has no way to RGB", reason="mode"
        ) from error


def _scaled(image: Image.Image, ref: MediaRef) -> Image.Image:
    """Grey of 16 bits, 32 bits or floats to 8 bits: full scale to 255.

    Full scale is 65535 for integers that fit 16 bits, else the largest value; floats in [0, 1] are
    shares, in [0, 255] grey levels, otherwise relative to the largest.
    """
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise MediaError(f"{name_of(ref)}: holds values that are no numbers", reason="corrupt")
    top = float(values.max(initial=0.0))
    if image.mode == "F":
        full = 1.0 if top <= 1 else max(255.0, top)
    else:
        full = 65535.0 if top <= 65535 else top
    grey = np.rint(np.clip(values, 0, None) * (255.0 / full)).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
