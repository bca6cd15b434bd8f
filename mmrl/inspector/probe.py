"""The process that reads an upload first: `python -m mmrl.inspector.probe image|video`.

The medium comes on stdin. Out comes a line of JSON (`ok`, `size`, `seconds`, or `reason`,
`message`), and behind it the picture as PNG: upright, RGB, without anything else of the file. It
may compute for seconds, hold so much memory and write no file; who started it kills it when it
takes too long.
"""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from contextlib import suppress
from typing import Any, Literal

from mmrl.errors import MediaError
from mmrl.inspector.load import Frames, load_ref
from mmrl.inspector.uploads import MAX_PIXELS, MAX_SECONDS
from mmrl.media.header import read_video_header
from mmrl.media.image import open_image, read_image_header
from mmrl.media.source import name_of
from mmrl.types import MediaRef

CPU_S = 20
MEMORY_BYTES = 3 << 30
_FRAMES = 4
"""Frames of a clip that are decoded, the first and the last among them."""


def probe(ref: MediaRef) -> tuple[dict[str, Any], bytes]:
    """The answer about a medium, and the picture as PNG (nothing of a clip)."""
    try:
        return _picture(ref) if ref.kind == "image" else (_clip(ref), b"")
    except MediaError as error:
        message = str(error).replace(name_of(ref), "the upload")
        return {"ok": False, "reason": error.reason, "message": message}, b""
    except MemoryError:
        message = "the upload asks for too much memory"
        return {"ok": False, "reason": "too_large", "message": message}, b""


def _picture(ref: MediaRef) -> tuple[dict[str, Any], bytes]:
    _refuse_large(read_image_header(ref).size)
    image = open_image(ref)
    out = io.BytesIO()
    image.save(out, "png", compress_level=1)
    return {"ok": True, "size": image.size}, out.getvalue()


def _clip(ref: MediaRef) -> dict[str, Any]:
    header = read_video_header(ref)
    _refuse_large(header.size)
    if header.duration > MAX_SECONDS:
        raise MediaError(
            f"the clip lasts {header.duration:,.0f} s; at most {MAX_SECONDS:.0f} are taken",
            reason="too_long",
        )
    frames = load_ref(ref, most=_FRAMES)
    assert isinstance(frames, Frames)
    return {"ok": True, "size": header.size, "seconds": header.duration}


def _refuse_large(size: tuple[int, int]) -> None:
    if size[0] * size[1] > MAX_PIXELS:
        raise MediaError(
            f"the upload has {size[0]:,} x {size[1]:,} pixels; at most {MAX_PIXELS:,} are taken",
            reason="too_large",
        )


def main() -> None:
    """Answers once."""
    for limit, value in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # some systems do not know all of them
            resource.setrlimit(limit, (value, value))
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # decoders print
    kind: Literal["image", "video"] = "image" if sys.argv[1] == "image" else "video"
    head, rest = probe(MediaRef(kind=kind, data=sys.stdin.buffer.read()))
    channel.write(json.dumps(head).encode() + b"\n" + rest)
    channel.flush()


if __name__ == "__main__":
    main()
