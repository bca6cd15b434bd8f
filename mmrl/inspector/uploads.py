"""A picture or clip that somebody uploaded: sniffed, tried in a process that can be killed, held.

    upload = read_upload(path, folder)     # the file is gone; a MediaError says what is wrong
    upload.ref                             # what samples hold

Nothing of an upload is decoded here before another process (`mmrl.inspector.probe`, with limits on
time, memory and files) has read it through. Of a picture only that process's own PNG goes on.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import subprocess
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mmrl.errors import MediaError
from mmrl.media.beginnings import HEAD_BYTES, form_of
from mmrl.media.confine import open_plain
from mmrl.types import MediaRef

MAX_BYTES = 64 * 2**20
"""Of an upload; a longer clip can be cut, a larger picture shrunk."""
MAX_PIXELS = 36_000_000
"""Of a picture or a frame: a photo of 6,000 by 6,000."""
MAX_SECONDS = 600.0
"""Of a clip; the model sees a few dozen frames of it anyway."""
MOST_HELD = 512 * 2**20
"""Bytes of all uploads that are held."""
LIMIT_S = 60.0
"""For the trying process, its start on a busy machine included; it may compute a third of it."""
FORMATS = "PNG, JPEG, WebP, GIF, BMP; MP4, MOV, WebM, Matroska, AVI"

Kind = Literal["image", "video"]
_TAKEN = {"PNG", "JPEG", "GIF", "BMP", "WebP", "AVI", "MP4", "Matroska"}
"""Vector forms are not among them (PostScript would be run), nor playlists (they name files)."""


@dataclass(frozen=True, eq=False)
class Upload:
    """A medium that was read through once, in memory; `seconds` is the length of a clip."""

    kind: Kind
    data: bytes
    size: tuple[int, int]
    seconds: float = 0.0

    @property
    def ref(self) -> MediaRef:
        return MediaRef(kind=self.kind, data=self.data)


class Shelf:
    """Uploads that readers of the page hold, by a name that cannot be guessed; bounded as a whole,
    the oldest go first. Safe to share between threads."""

    def __init__(self, most_bytes: int = MOST_HELD) -> None:
        self._most = most_bytes
        self._held: OrderedDict[str, Upload] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, upload: Upload) -> str:
        """Holds an upload and returns its name."""
        name = secrets.token_hex(16)
        with self._lock:
            self._held[name] = upload
            while sum(len(u.data) for u in self._held.values()) > self._most and len(self) > 1:
                self._held.popitem(last=False)
        return name

    def get(self, name: str) -> Upload:
        """The upload of that name; a MediaError (`missing`) where it is held no more."""
        with self._lock:
            upload = self._held.get(name)
        if upload is None:
            raise MediaError("the upload is held no more; upload it again", reason="missing")
        return upload

    def drop(self, name: str) -> None:
        """Forgets an upload."""
        with self._lock:
            self._held.pop(name, None)

    def __len__(self) -> int:
        return len(self._held)


def read_upload(path: Path, folder: Path, *, limit_s: float = LIMIT_S) -> Upload:
    """What a file in `folder` (where uploads arrive) holds; it is removed, whatever it holds.

    A file elsewhere is neither read nor removed. Reasons: `confined`, `not_a_file`, `empty`,
    `too_large`, `too_long`, `not_media`, `timeout`, `crashed`, and those of `mmrl.media`.
    """
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise MediaError("the upload lies where no uploads arrive", reason="confined")
    try:
        data = _bytes_of(path)
    finally:
        with suppress(OSError):
            path.unlink()
        with suppress(OSError):  # the folder that the server made for it, if nothing else is there
            if path.parent.resolve() != folder.resolve():
                path.parent.rmdir()
    return try_upload(data, limit_s=limit_s)


def try_upload(data: bytes, *, limit_s: float = LIMIT_S) -> Upload:
    """The medium that these bytes are, once another process has read it through."""
    kind = _kind_of(data)
    head, rest = _probed(data, kind, limit_s)
    if head is None:
        raise MediaError(f"the upload was not read within {limit_s:g} s", reason="timeout")
    if not head.get("ok"):
        raise MediaError(str(head["message"]), reason=str(head["reason"]))
    width, height = (int(side) for side in head["size"])
    if kind == "image":
        return Upload("image", rest, (width, height))
    return Upload("video", data, (width, height), float(head["seconds"]))


def _bytes_of(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise MediaError("the upload is no file", reason="not_a_file")
            if found.st_size > MAX_BYTES:
                raise MediaError(
                    f"the upload has {found.st_size / 2**20:,.0f} MiB; at most "
                    f"{MAX_BYTES >> 20} are read",
                    reason="too_large",
                )
            data = file.read(MAX_BYTES + 1)
    except OSError as error:  # a link (they are not followed), or gone
        raise MediaError(
            f"the upload cannot be opened: {error.strerror}", reason="not_a_file"
        ) from None
    if len(data) > MAX_BYTES:
        raise MediaError("the upload grew while it was read", reason="too_large")
    if not data:
        raise MediaError("the upload is empty", reason="empty")
    return data


def _kind_of(data: bytes) -> Kind:
    """Picture or clip by the first bytes, never by the name."""
    form = form_of(data[:HEAD_BYTES])
    if form is not None and form.name in _TAKEN:
        return form.kind
    raise MediaError(
        f"the upload is none of {FORMATS}; it begins with {ascii(data[:12])[1:]}",
        reason="not_media",
    )


def _probed(data: bytes, kind: Kind, limit_s: float) -> tuple[dict[str, Any] | None, bytes]:
    """The answer of the trying process and what follows it; None where it took too long."""
    root = str(Path(__file__).resolve().parents[2])  # the folder of this package
    paths = [root, os.environ.get("PYTHONPATH", "")]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "mmrl.inspector.probe", kind],
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=limit_s,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(p for p in paths if p),
                "OMP_NUM_THREADS": "1",
            },
        )
    except subprocess.TimeoutExpired:
        return None, b""
    line, newline, rest = done.stdout.partition(b"\n")
    if not newline:
        raise MediaError(
            "the upload ended the process that read it: it asks for too much memory or computing",
            reason="crashed",
        )
    return json.loads(line), rest
