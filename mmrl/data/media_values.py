"""What a media column holds, as references: paths under the media folder, or encoded bytes."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from mmrl.errors import DataError, nearest
from mmrl.types import MediaRef

Kind = Literal["image", "video"]
_OPTIONS = (
    "min_pixels", "max_pixels", "total_pixels", "fps", "num_frames", "min_frames", "max_frames",
    "strategy",
)  # fmt: skip
_RENAMED = {"nframes": "num_frames"}
_SPAN = ("video_start", "video_end")


def media_refs(value: Any, kind: Kind, root: Path, where: str) -> tuple[MediaRef, ...]:
    """References for a column's value: one medium, a list of them, or nothing.

    A medium is a path, encoded bytes, a `data:` URI, a Hugging Face `{"bytes", "path"}`, or a
    message part as qwen-vl-utils has it (`{"video": path, "fps": 2.0, "video_start": 3.0}`).
    """
    if value is None or value == "":
        return ()
    items = value if isinstance(value, (list, tuple)) else [value]
    return tuple(_one(item, kind, root, where) for item in items)


def confined(path: str, root: Path, where: str) -> Path:
    """`path` under `root`; one that climbs out of it (`..`) is refused.

    An absolute path outside of `root` is read as starting at `root`, as data sets write them
    ("/NExTQA/videos/1.mp4"). Links inside the folder may lead anywhere: they are the user's own.
    """
    root = Path(os.path.normpath(root.absolute()))
    text = path.removeprefix("file://")
    inside = Path(os.path.normpath(text if os.path.isabs(text) else root / text))
    if inside.is_relative_to(root):
        return inside
    if os.path.isabs(text):
        inside = Path(os.path.normpath(root / text.lstrip("/")))
        if inside.is_relative_to(root):
            return inside
    raise DataError(
        f'{where}: media path "{path}" leaves the media folder {root}; '
        "set `media_root` to a folder that holds all media"
    )


def _one(item: Any, kind: Kind, root: Path, where: str) -> MediaRef:
    if isinstance(item, bytes):
        return MediaRef(kind=kind, data=item)
    if isinstance(item, str):
        return _text(item, kind, root, where)
    if isinstance(item, Mapping):
        if item.get("bytes") is not None:
            return MediaRef(kind=kind, data=item["bytes"])
        if isinstance(item.get("path"), str):
            return _text(item["path"], kind, root, where)
        if isinstance(item.get(kind), str):
            return _part(item, kind, root, where)
    raise DataError(
        f"{where}: cannot read {item!r:.80} as {kind}; known are a path, encoded bytes, a data: "
        f'URI, {{"bytes", "path"}} and {{"{kind}": path, …}}'
    )


def _text(text: str, kind: Kind, root: Path, where: str) -> MediaRef:
    if text.startswith("data:"):
        try:
            return MediaRef(kind=kind, data=base64.b64decode(text.partition(",")[2], validate=True))
        except binascii.Error as error:
            raise DataError(f"{where}: {kind} is a data: URI that is not base64: {error}") from None
    if text.startswith(("http://", "https://")):
        raise DataError(
            f'{where}: {kind} "{text:.80}" lies on a server; download it and name the file'
        )
    return MediaRef(kind=kind, path=confined(text, root, where))


def _part(item: Mapping[str, Any], kind: Kind, root: Path, where: str) -> MediaRef:
    options: dict[str, Any] = {}
    for key, value in item.items():
        name = _RENAMED.get(key, key)
        if key in (kind, "type", *_SPAN) or value is None:
            continue
        if name not in _OPTIONS:
            raise DataError(f'{where}: {kind} option "{key}".{nearest(key, _OPTIONS)}')
        options[name] = value
    ref = _text(item[kind], kind, root, where)
    span = None
    if item.get("video_start") is not None or item.get("video_end") is not None:
        end = item.get("video_end")
        span = (float(item.get("video_start") or 0.0), float("inf") if end is None else float(end))
    return MediaRef(kind=kind, path=ref.path, data=ref.data, span=span, options=options)
