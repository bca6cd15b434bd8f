"""Two facts that a clip's container states in its first boxes: its own length and its rotation.

Read here because the readers behind `mmrl.media.video` do not tell them without decoding. Layouts:
ISO/IEC 14496-12 (mp4, mov), RFC 8794 (matroska, webm), RIFF (avi).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import BinaryIO

_MAX_BOXES = 10_000
_SEGMENT_ID = b"\x18\x53\x80\x67"


def missing_bytes(file: BinaryIO) -> int:
    """How many bytes the container says it has beyond the end of the file; 0 for a whole one."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(64)
    if head[:4] == b"RIFF":
        return max(0, struct.unpack("<I", head[4:8])[0] + 8 - size)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return max(0, _ebml_end(file, head) - size)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        end = 0
        for _, start, length in _boxes(file, 0, size):
            end = start + length
        return max(0, end - size)
    return 0


def mp4_rotation(file: BinaryIO, track_id: int) -> int | None:
    """Clockwise turn in degrees (0, 90, 180, 270) that shows a track upright; None if not said."""
    size = file.seek(0, 2)
    for kind, start, length in _boxes(file, 0, size):
        if kind != b"moov":
            continue
        for inner, at, long in _boxes(file, start, min(size, start + length)):
            if inner != b"trak":
                continue
            for leaf, begin, _ in _boxes(file, at, min(size, at + long)):
                if leaf == b"tkhd":
                    file.seek(begin)
                    found = _turn_of(file.read(92), track_id)
                    if found is not None:
                        return found
    return None


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(type, first byte of the body, length of the body) of each box in [start, end)."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        head = file.read(16)
        length, header = struct.unpack(">I", head[:4])[0], 8
        if length == 1 and len(head) == 16:
            length, header = struct.unpack(">Q", head[8:16])[0], 16
        elif length == 0:
            length = end - start
        if length < header:
            return
        yield head[4:8], start + header, length - header
        start += length


def _turn_of(tkhd: bytes, track_id: int) -> int | None:
    """The rotation of a track header with this id, from its 3x3 matrix."""
    wide = tkhd[:1] == b"\x01"
    id_at, matrix_at = (20, 52) if wide else (12, 40)
    if len(tkhd) < matrix_at + 36 or struct.unpack(">I", tkhd[id_at : id_at + 4])[0] != track_id:
        return None
    a, b = struct.unpack(">ii", tkhd[matrix_at : matrix_at + 8])
    if a == 0 and b == 0:
        return 0
    return round(math.degrees(math.atan2(b, a)) / 90) % 4 * 90


def _ebml_end(file: BinaryIO, head: bytes) -> int:
    """Offset of the end of the matroska segment; 0 when its length is not stated."""
    _, header_size, at = _vint(head, 4)
    at += header_size
    file.seek(at)
    segment = file.read(16)
    if segment[:4] != _SEGMENT_ID or len(segment) < 5:
        return 0
    unknown, length, used = _vint(segment, 4)
    return 0 if unknown else at + used + length


def _vint(data: bytes, at: int) -> tuple[bool, int, int]:
    """(length unknown, value, offset behind it) of an EBML variable-size integer."""
    first = data[at]
    width = 9 - first.bit_length() if first else 9
    if width > 8 or at + width > len(data):
        return True, 0, at + 1
    value = int.from_bytes(data[at : at + width], "big") & ((1 << (7 * width)) - 1)
    return value == (1 << (7 * width)) - 1, value, at + width
