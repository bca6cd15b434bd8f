"""Pictures of a report: those of the run folder, decoded in the guarded path, small, as data.

What a record names is confined to `rollouts/media` (`mmrl.media.confine`); no bytes reach the page
undecoded.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmrl.errors import MediaError
from mmrl.eval.report_marks import marks_svg
from mmrl.media.confine import confined_media
from mmrl.media.image import open_image, shrunk
from mmrl.media.plan import MediaBudget, VideoPlan
from mmrl.media.store import MediaStore
from mmrl.parse.visible import safe_html
from mmrl.types import MediaRef

LARGEST = 512
"""Longer side of an embedded picture [pixels]."""
FRAMES, FRAME_SIDE = 8, 160
"""Frames of a clip that are shown, and the longer side of each [pixels]."""
CLIP_LIMIT_S = 20.0
"""For decoding one clip."""
_SMALL = 200
_MEMORY_BYTES = 64 << 20


def opened_store() -> MediaStore:
    """A store that decodes the clips of a report in a process that can be killed."""
    return MediaStore(workers=1, timeout_s=CLIP_LIMIT_S, memory_bytes=_MEMORY_BYTES)


def media_html(
    folder: Path, rows: Sequence[Mapping[str, Any]], store: MediaStore, most: int = 4
) -> str:
    """The pictures and clips of a group's records, or what kept each from being shown.

    Pictures carry what the rollouts (the first strongest) and the reference draw on them.
    """
    media = rows[0].get("media") or ()
    shown = [
        _medium(folder, medium, marks_svg(rows, place), store)
        for place, medium in enumerate(media[:most])
    ]
    if len(media) > most:
        shown.append(f'<p class="dim">and {len(media) - most} more</p>')
    return "".join(shown)


def _medium(folder: Path, medium: Mapping[str, Any], marks: str, store: MediaStore) -> str:
    name = str(medium.get("file"))
    try:
        path = confined_media(name, folder.resolve() / "rollouts", ())
        if medium.get("kind") == "video":
            return _strip(path, store)
        image = _img(open_image(MediaRef(kind="image", path=path)), LARGEST)
        return f'<div class="drawn">{image}{marks}</div>'
    except MediaError as error:
        if error.reason in ("confined", "missing"):
            return f'<p class="dim">not in the run folder: {safe_html(name[-80:])}</p>'
        return f'<p class="dim">cannot be shown: {safe_html(error.reason)}</p>'


def _strip(path: Path, store: MediaStore) -> str:
    """Frames of a clip, each over its seconds."""
    ref = MediaRef(kind="video", path=path, options={"num_frames": FRAMES, "min_pixels": 1})
    plan = store.plan(ref, MediaBudget())
    if not isinstance(plan, VideoPlan):
        raise MediaError(f"{path.name}: not a clip", reason="not_a_video")
    shown = [
        f"<figure>{_img(Image.fromarray(np.asarray(pixels)), FRAME_SIDE)}"
        f"<figcaption>{second:.1f} s</figcaption></figure>"
        for pixels, second in zip(store.video(ref, plan), plan.seconds, strict=True)
    ]
    return f'<div class="strip">{"".join(shown)}</div>'


def _img(image: Image.Image, most: int) -> str:
    data, kind = small_picture(image, most)
    small = ' class="pixels"' if max(image.size) <= _SMALL else ""
    text = base64.b64encode(data).decode()
    return f'<img{small} alt="" src="data:image/{kind};base64,{text}">'


def small_picture(image: Image.Image, most: int = LARGEST) -> tuple[bytes, str]:
    """The picture's bytes and kind ("png" or "jpeg"), shrunk to at most `most` pixels a side."""
    image = shrunk(image, most)
    kind = "png" if max(image.size) <= _SMALL else "jpeg"
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, kind.upper(), quality=85)
    return buffer.getvalue(), kind
