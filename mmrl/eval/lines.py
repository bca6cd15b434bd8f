"""Complete lines of a log that may be growing, cut back or replaced while it is read.

A `Place` says how far a file was read and what stood just before. When that no longer stands there
(a resumed run cut the log back and wrote on), the file is read anew. A line counts once its newline
is written; a half-written one waits.

    log = Log(folder / "metrics.jsonl")
    records, was_rewritten = log.poll()     # calling again reads what is new
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mmrl.errors import DataError
from mmrl.media.confine import is_plain_file, open_plain

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


class Log:
    """A growing file of JSON records, each line parsed once; not for several threads at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = Place()

    def poll(self) -> tuple[list[dict[str, Any]], bool]:
        """Records that are new, and whether what was read before is no more (then all are).

        Lines that hold no record are passed over. Without a plain file there are none; one that
        cannot be read is a DataError.
        """
        if not is_plain_file(self.path):
            before, self._place = self._place, Place()
            return [], before.read > 0
        records = []
        try:
            with open_plain(self.path) as file:
                was_rewritten = not still_holds(file, self._place)
                read = 0 if was_rewritten else self._place.read
                for line in lines_after(file, read):
                    read = line.offset + line.length
                    record = parse_record(line.raw)
                    if record is not None:
                        records.append(record)
                self._place = place_at(file, read)
        except OSError as error:
            raise DataError(f"{self.path}: {error.strerror or error}") from None
        return records, was_rewritten


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The records of a log that may still be growing; none where there is no file yet.

    A last line that is half written is left out; an unreadable line before it is a DataError.
    """
    records: list[dict[str, Any]] = []
    wrong = ""
    try:
        with open_plain(path) as file:
            for number, line in enumerate(lines_after(file, 0, unfinished=True), start=1):
                if wrong and (line.raw is None or line.raw.strip()):
                    raise DataError(f"{path}:{wrong}; remove the line to read the rest")
                record = parse_record(line.raw)
                if record is not None:
                    records.append(record)
                elif not wrong:
                    told = "one that is too long" if line.raw is None else ascii(line.raw[:40])[1:]
                    wrong = (
                        f"{number}: a JSON object was wanted, not {told}, and this is not the last "
                        "line, which may be half written"
                    )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    return records


def parse_record(raw: bytes | None) -> dict[str, Any] | None:
    """The JSON object of a line, or None where it is not one."""
    try:
        record = json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def place_at(file: BinaryIO, read: int) -> Place:
    """The place behind the first `read` bytes."""
    start = max(0, read - _MARK_BYTES)
    file.seek(start)
    return Place(read, hashlib.blake2b(file.read(read - start), digest_size=16).digest())


def still_holds(file: BinaryIO, place: Place) -> bool:
    """Whether what was read up to there still stands there."""
    return place.read == 0 or place_at(file, place.read) == place


def lines_after(file: BinaryIO, start: int, *, unfinished: bool = False) -> Iterator[Line]:
    """The complete lines from byte `start` on, one in memory at a time.

    With `unfinished` also the last one where its newline is not written yet.
    """
    file.seek(start)
    offset = start
    while raw := file.readline(MAX_LINE + 1):
        kept: bytes | None = raw.removesuffix(b"\n")
        length = len(raw)
        if length > MAX_LINE:
            kept = None
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(MAX_LINE + 1)
                length += len(raw)
        if not raw.endswith(b"\n") and not unfinished:
            return
        yield Line(offset, length, kept)
        offset += length
