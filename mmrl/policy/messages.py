"""Messages in the form of `qwen_vl_utils` and the chat templates, made uniform.

A content item is text, or a picture or clip given as a path, `file://` address, base64 data URI,
encoded bytes, PIL image or `MediaRef`. After `normalise` every medium is a `MediaRef`.
"""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mmrl.errors import PolicyError, nearest
from mmrl.policy.vision import Kind
from mmrl.types import MediaRef

Messages = Sequence[Mapping[str, Any]]

_OPTIONS = {
    "min_pixels": "min_pixels",
    "max_pixels": "max_pixels",
    "total_pixels": "total_pixels",
    "fps": "fps",
    "nframes": "num_frames",
    "num_frames": "num_frames",
    "min_frames": "min_frames",
    "max_frames": "max_frames",
    **{k: k for k in ("strategy", "spacing", "seed", "resized_height", "resized_width")},
}
_SPAN = ("video_start", "video_end")
_ROLES = ("system", "user", "assistant", "tool")


def normalise(messages: Messages) -> tuple[dict[str, Any], ...]:
    """The same messages with every medium as `{"type": kind, "media": MediaRef}`."""
    if not messages:
        raise PolicyError("encode needs at least one message, got none")
    return tuple(_message(m, i) for i, m in enumerate(messages))


def media_of(messages: Messages) -> list[MediaRef]:
    """The media of normalised messages, in reading order."""
    return [
        item["media"]
        for message in messages
        if not isinstance(message["content"], str)
        for item in message["content"]
        if item["type"] != "text"
    ]


def _message(message: Mapping[str, Any], index: int) -> dict[str, Any]:
    where = f"messages[{index}]"
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise PolicyError(f"{where}.role is {role!r}; a role is one of {', '.join(_ROLES)}")
    if isinstance(content, str):
        return {**message, "content": content}
    if not isinstance(content, Sequence):
        raise PolicyError(
            f"{where}.content is a {type(content).__name__}; wanted a text or a list of items"
        )
    items = [_item(item, f"{where}.content[{i}]") for i, item in enumerate(content)]
    return {**message, "content": items}


def _item(item: Any, where: str) -> dict[str, Any]:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    named = (k for k in ("image", "video", "text") if k in item)
    kind: str | None = item.get("type") or next(named, None)
    if kind == "text":
        return {"type": "text", "text": str(item["text"])}
    if kind not in ("image", "video"):
        raise PolicyError(
            f"{where}.type is {kind!r}; an item is text, image or video."
            + nearest(str(kind), ("text", "image", "video"))
        )
    if isinstance(item.get("media"), MediaRef):
        ref = item["media"]
        if ref.kind != kind:
            raise PolicyError(f"{where} has type {kind}, its media refers to a {ref.kind}")
        return {"type": kind, "media": ref}
    if kind not in item:
        raise PolicyError(f"{where} has type {kind} but neither {kind!r} nor 'media'")
    unknown = set(item) - {"type", kind} - set(_OPTIONS) - set(_SPAN)
    if unknown:
        name = sorted(unknown)[0]
        raise PolicyError(
            f"{where}.{name}: no such setting of a {kind}."
            + nearest(name, (kind, "media", *_OPTIONS, *_SPAN))
        )
    options = {_OPTIONS[k]: v for k, v in item.items() if k in _OPTIONS}
    span = None
    if any(item.get(k) is not None for k in _SPAN):
        start, end = item.get("video_start"), item.get("video_end")
        span = (float(start or 0.0), math.inf if end is None else float(end))
    sort: Kind = "image" if kind == "image" else "video"
    path, data = _source(item[sort], sort, where)
    ref = MediaRef(kind=sort, path=path, data=data, span=span, options=options)
    return {"type": sort, "media": ref}


def _source(value: Any, kind: Kind, where: str) -> tuple[Path | None, bytes | None]:
    if isinstance(value, Path):
        return value, None
    if isinstance(value, (bytes, bytearray)):
        return None, bytes(value)
    if isinstance(value, Image.Image) and kind == "image":
        buffer = io.BytesIO()
        value.save(buffer, format="PNG", compress_level=1)
        return None, buffer.getvalue()
    if isinstance(value, str):
        if value.startswith("file://"):
            return Path(value[len("file://") :]), None
        if value.startswith("data:"):
            _, found, encoded = value.partition("base64,")
            try:
                return None, base64.b64decode(encoded if found else "", validate=True)
            except binascii.Error as error:
                raise PolicyError(f"{where}: the data URI is not base64 ({error})") from error
        if value.startswith(("http://", "https://")):
            raise PolicyError(
                f"{where}: {value} is an address on the web; download it first and give its path"
            )
        return Path(value), None
    raise PolicyError(
        f"{where}.{kind} is a {type(value).__name__}; wanted a path, file:// address, base64 data "
        f"URI, bytes{' or PIL image' if kind == 'image' else ''}"
    )
