"""The media of a record with overlays drawn on them, as `data:` URIs that a page can hold.

Every picture is decoded, bounded in size and encoded again; the browser never names a file.
"""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from PIL import Image

from mmrl.errors import MediaError
from mmrl.inspector.draw import Layer, draw_picture, draw_strip
from mmrl.inspector.load import Frames, load_medium
from mmrl.inspector.runs import RunFiles
from mmrl.media.workers import DecodePool
from mmrl.tasks.overlay import Overlay

MOST_MEDIA = 8
"""Media of a sample that are shown."""
_KEPT = 12
"""Loaded media that are remembered: 12 pictures of 1,600 pixels are 92 MB at most."""

Loaded = Image.Image | Frames


class Pictures:
    """Loads media of runs through the guarded readers; safe to share between threads."""

    def __init__(self, pool: DecodePool) -> None:
        self._pool = pool
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], Loaded] = OrderedDict()

    def load(self, run: RunFiles, medium: Any) -> Loaded:
        """The picture or frames that an entry of a record's `media` names; else a MediaError."""
        if not isinstance(medium, Mapping) or not isinstance(medium.get("file"), str):
            raise MediaError("the record names no media file", reason="confined")
        path = run.media_path(medium["file"])
        kind: Literal["image", "video"] = "video" if medium.get("kind") == "video" else "image"
        seconds = _seconds(medium.get("seconds"))
        found = path.stat()
        key = (path, found.st_size, found.st_mtime_ns, kind, seconds)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        loaded = load_medium(path, kind, seconds, pool=self._pool)
        with self._lock:
            self._kept[key] = loaded
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return loaded


def drawn(
    loaded: Loaded,
    gold: Overlay | None,
    layers: Sequence[Layer],
    *,
    number: int = 0,
    side: int = 512,
    frame: int = 128,
    most: int = 16,
) -> Image.Image:
    """Medium number `number` with its marks: a picture, or a strip of at most `most` frames."""
    if isinstance(loaded, Frames):
        return draw_strip(loaded, gold, layers, medium=number, side=frame, most=most)
    return draw_picture(loaded, gold, layers, medium=number, side=side)


def data_uri(image: Image.Image, *, quality: int = 88) -> str:
    """The picture as a `data:image/webp` address."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def media_of(record: Mapping[str, Any]) -> list[Any]:
    """The media entries of a record, at most `MOST_MEDIA`."""
    media = record.get("media")
    return media[:MOST_MEDIA] if isinstance(media, list) else []


def overlay_of(record: Mapping[str, Any], key: str = "overlay") -> Overlay | None:
    """What an answer (or the reference: `gold_overlay`) draws; None where nothing is drawn."""
    value = record.get(key)
    return Overlay.from_json(value) if isinstance(value, Mapping) else None


def _seconds(given: Any) -> tuple[float, ...]:
    if not isinstance(given, list):
        return ()
    return tuple(float(s) for s in given[:10_000] if type(s) in (int, float) and abs(s) < 1e9)
