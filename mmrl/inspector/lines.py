"""Complete lines of a log that may be growing, cut back or replaced while it is read.

A `Place` says how far a file was read and what stood just before. When that no longer stands there
(a resumed run cut the log back and wrote on), the file is read anew. A line counts once its newline
is written; a half-written one waits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_LINE = 16 * 2**20
"""Bytes of a line; a longer one is no record of ours and is skipped, so memory stays flat."""
_MARK_BYTES = 512


@dataclass(frozen=True, slots=True)
class Place:
    """How far a file was read [bytes], and a digest of the bytes just before."""

    read: int = 0
    mark: bytes = b""


@dataclass(frozen=True, slots=True)
class Line:
    """A complete line without its newline; `raw` is None where it is longer than `MAX_LINE`."""

    offset: int
    length: int
    """Bytes with the newline: the next line begins at offset + length."""
    raw: bytes | None


def place_at(file: BinaryIO, read: int) -> Place:
    """The place behind the first `read` bytes."""
    start = max(0, read - _MARK_BYTES)
    file.seek(start)
    return Place(read, hashlib.blake2b(file.read(read - start), digest_size=16).digest())


def still_holds(file: BinaryIO, place: Place) -> bool:
    """Whether what was read up to there still stands there."""
    return place.read == 0 or place_at(file, place.read) == place


def lines_after(file: BinaryIO, start: int) -> Iterator[Line]:
    """The complete lines from byte `start` on, one in memory at a time."""
    file.seek(start)
    offset = start
    while True:
        raw = file.readline(MAX_LINE + 1)
        if raw.endswith(b"\n"):
            yield Line(offset, len(raw), raw[:-1])
            offset += len(raw)
        elif len(raw) > MAX_LINE:
            length = len(raw)
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_LINE + 1)
                length += len(raw)
            if not raw:
                return
            yield Line(offset, length, None)
            offset += length
        else:
            return
