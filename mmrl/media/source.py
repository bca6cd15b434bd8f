"""Where the bytes of a medium lie: checked before any reader opens them, hashed once.

Reasons given here: `missing`, `not_a_file`, `permission`, `empty`.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import threading
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO

from mmrl.errors import MediaError
from mmrl.types import MediaRef

_READ_BYTES = 1 << 20
_MAX_REMEMBERED = 1 << 18
_digests: OrderedDict[tuple[str, int, int, int], str] = OrderedDict()
_lock = threading.Lock()


def name_of(ref: MediaRef) -> str:
    """The path, or the number of bytes, for messages."""
    return str(ref.path) if ref.path is not None else f"<{len(ref.data or b'')} bytes in memory>"


def stat_file(path: Path) -> os.stat_result:
    """`os.stat` of a readable, non-empty regular file, or a MediaError that says what is there."""
    try:
        found = path.stat()
    except PermissionError as error:
        raise MediaError(f"{path}: no permission to look at it", reason="permission") from error
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "a link to nothing" if path.is_symlink() else "no such file"
        raise MediaError(f"{path}: {what}", reason="missing") from error
    except (OSError, ValueError) as error:
        # a link that loops, a name too long, or one with a zero byte
        raise MediaError(f"{path!s}: {error}", reason="missing") from error
    if not stat.S_ISREG(found.st_mode):
        raise MediaError(f"{path}: wanted a file, found something else", reason="not_a_file")
    if found.st_size == 0:
        raise MediaError(f"{path}: the file is empty", reason="empty")
    if not os.access(path, os.R_OK):
        raise MediaError(f"{path}: no permission to read it", reason="permission")
    return found


def check(ref: MediaRef) -> int:
    """Number of bytes of the medium; a MediaError when there are none to read."""
    if ref.path is not None:
        return stat_file(Path(ref.path)).st_size
    if not ref.data:
        raise MediaError("a medium given as bytes holds none", reason="empty")
    return len(ref.data)


def open_bytes(ref: MediaRef) -> BinaryIO:
    """A seekable binary file over the medium; the caller closes it."""
    check(ref)
    if ref.path is not None:
        return open(ref.path, "rb")
    return io.BytesIO(ref.data or b"")


def digest(ref: MediaRef) -> str:
    """SHA-256 (hex) of the medium's bytes, remembered by path, size and time of change."""
    if ref.path is None:
        check(ref)
        return hashlib.sha256(ref.data or b"").hexdigest()
    found = stat_file(Path(ref.path))
    key = (os.path.abspath(ref.path), found.st_size, found.st_mtime_ns, found.st_ino)
    with _lock:
        if key in _digests:
            return _digests[key]
    hasher = hashlib.sha256()
    with open(ref.path, "rb") as file:
        while block := file.read(_READ_BYTES):
            hasher.update(block)
    with _lock:
        _digests[key] = hasher.hexdigest()
        if len(_digests) > _MAX_REMEMBERED:
            _digests.popitem(last=False)
    return hasher.hexdigest()
