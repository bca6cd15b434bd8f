"""What a file is by its first bytes, never by its name: the forms of pictures and clips we know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HEAD_BYTES = 16
"""Of a file; enough to tell every form below."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form of media; `suffix` is how files of it are named."""

    name: str
    kind: Literal["image", "video"]
    suffix: str


_HEIF = Form("HEIF", "image", ".heic")
_BEGINNINGS = (
    (0, b"\x89PNG\r\n\x1a\n", Form("PNG", "image", ".png")),
    (0, b"\xff\xd8\xff", Form("JPEG", "image", ".jpg")),
    (0, b"GIF8", Form("GIF", "image", ".gif")),
    (0, b"BM", Form("BMP", "image", ".bmp")),
    (0, b"II*\0", Form("TIFF", "image", ".tiff")),
    (0, b"MM\0*", Form("TIFF", "image", ".tiff")),
    (8, b"WEBP", Form("WebP", "image", ".webp")),
    (8, b"AVI ", Form("AVI", "video", ".avi")),
    (4, b"ftyp", Form("MP4", "video", ".mp4")),  # and MOV
    (0, b"\x1a\x45\xdf\xa3", Form("Matroska", "video", ".mkv")),  # and WebM
    (0, b"OggS", Form("Ogg", "video", ".ogv")),
    (0, b"FLV\x01", Form("FLV", "video", ".flv")),
    (0, b"\0\0\x01\xba", Form("MPEG programme stream", "video", ".mpg")),
    (0, b"\x47\x40", Form("MPEG transport stream", "video", ".ts")),
)
_STILL_BRANDS = (b"heic", b"heix", b"mif1", b"avif", b"avis")


def form_of(head: bytes) -> Form | None:
    """The form of media that begins with these bytes (`HEAD_BYTES` of them tell), or None.

    >>> form_of(b"GIF89a").kind, form_of(b"%!PS")
    ('image', None)
    """
    for at, magic, form in _BEGINNINGS:
        if head[at : at + len(magic)] == magic:
            return _HEIF if magic == b"ftyp" and head[8:12] in _STILL_BRANDS else form
    return None
