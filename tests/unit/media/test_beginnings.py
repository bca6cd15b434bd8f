"""Pictures and clips are told by their first bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mmrl.media.beginnings import HEAD_BYTES, form_of
from mmrl.media.write import write_video


@pytest.mark.parametrize("name", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WebP"])
def test_what_pillow_writes_is_told(name: str) -> None:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, name.upper())
    form = form_of(file.getvalue()[:HEAD_BYTES])
    assert form is not None and (form.name, form.kind) == (name, "image")


def test_a_clip_is_told_from_a_still_in_its_container() -> None:
    clip = form_of(write_video([np.zeros((16, 16, 3), np.uint8)] * 4, fps=4)[:HEAD_BYTES])
    assert clip is not None and (clip.kind, clip.suffix) == ("video", ".mp4")
    still = form_of(b"\0\0\0\x1cftypavif\0\0\0\0")
    assert still is not None and (still.kind, still.suffix) == ("image", ".heic")


@pytest.mark.parametrize(
    "head", [b"", b"\x89PN", b"<svg onload=x>", b"%!PS-Adobe-3.0", b"#EXTM3U\n", b"root:x:0:0:"]
)
def test_anything_else_is_no_medium(head: bytes) -> None:
    assert form_of(head) is None
