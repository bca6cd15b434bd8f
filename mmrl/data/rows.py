"""Raw rows by number, from any format, without holding a data set in memory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mmrl.errors import DataError

Row = Mapping[str, Any]
_CHUNK_BYTES = 1 << 20
_ROW_GROUPS_KEPT_BYTES = 256 << 20


class Rows(Protocol):
    """Random access to raw rows; `where(i)` is the file and line of row i."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Row: ...

    def where(self, index: int, /) -> str: ...


def cache_dir() -> Path:
    """`$MMRL_CACHE`, or `mmrl` in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "mmrl"
    return Path(os.environ.get("MMRL_CACHE", default)).expanduser()


class JsonlRows:
    """One JSON object a line, found by a byte-offset index on disk (16 bytes a row, memory-mapped).

    Empty lines are skipped. The index is kept under `cache_dir()` by path, size and time of change.
    The file is opened for each access: nothing is shared between processes or threads.
    """

    def __init__(self, path: Path, cache: Path | None = None) -> None:
        self.path = path
        self._index_file = line_index(path, cache or cache_dir() / "rows")

    @cached_property
    def _index(self) -> np.ndarray:
        """[N, 2] of int64: first byte and line number (from 1)."""
        if self._index_file.stat().st_size == 0:
            return np.zeros((0, 2), np.int64)
        return np.memmap(self._index_file, np.int64, mode="r").reshape(-1, 2)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_index_file": self._index_file}

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, index: int, /) -> Row:
        with self.path.open("rb") as file:
            file.seek(int(self._index[index, 0]))
            line = file.readline()
        return _json_object(line.decode("utf-8-sig", "strict"), self.where(index))

    def where(self, index: int, /) -> str:
        return f"{self.path}:{int(self._index[index, 1])}"


def line_index(path: Path, folder: Path) -> Path:
    """A file of (first byte, line number) pairs, one for each line of `path` that is not blank.

    Made in one pass over the file in chunks of 1 MB; written aside and renamed.
    """
    stat = path.stat()
    key = f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}"
    target = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.lines"
    if target.is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as out:
        try:
            with path.open("rb") as file:
                start, line = 0, 1
                carry_blank = True  # nothing but white space so far in the unfinished line
                position = 0
                while chunk := file.read(_CHUNK_BYTES):
                    data = np.frombuffer(chunk, np.uint8)
                    ends = np.flatnonzero(data == ord("\n"))
                    solid = np.concatenate(([0], np.cumsum(data > ord(" "))))
                    if len(ends):
                        before = np.concatenate(([0], ends[:-1] + 1))
                        filled = solid[ends] > solid[before]
                        filled[0] |= not carry_blank
                        starts = np.concatenate(([start], position + ends[:-1] + 1))
                        lines = np.arange(line, line + len(ends))
                        pairs = np.stack((starts, lines), axis=1)[filled]
                        pairs.astype(np.int64).tofile(out)
                        start, line = position + int(ends[-1]) + 1, line + len(ends)
                        carry_blank = bool(solid[-1] == solid[ends[-1] + 1])
                    else:
                        carry_blank &= bool(solid[-1] == 0)
                    position += len(chunk)
            if not carry_blank:
                np.array([[start, line]], np.int64).tofile(out)
            out.flush()
            os.replace(out.name, target)
        except BaseException:
            os.unlink(out.name)
            raise
    return target


class JsonRows:
    """A JSON list of objects; an object with one list inside is accepted. Held in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text("utf-8-sig")
        self._rows: list[Row] = []
        self._lines: list[int] = []
        decoder = json.JSONDecoder()
        at = _skip(text, 0)
        if text[at : at + 1] == "{":
            at = _list_inside(text, path)
        if text[at : at + 1] != "[":
            raise DataError(f"{path}:1: expected a list of objects")
        at, line, counted = _skip(text, at + 1), 1, 0
        while text[at : at + 1] not in ("]", ""):
            line, counted = line + text.count("\n", counted, at), at
            try:
                row, end = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
            if not isinstance(row, dict):
                raise DataError(f"{path}:{line}: expected an object, found {row!r:.60}")
            self._rows.append(row)
            self._lines.append(line)
            at = _skip(text, end)
            if text[at : at + 1] == ",":
                at = _skip(text, at + 1)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int, /) -> Row:
        return self._rows[index]

    def where(self, index: int, /) -> str:
        return f"{self.path}:{self._lines[index]}"


class ParquetRows:
    """Parquet files, a row group at a time; recent row groups are kept, up to 256 MB."""

    def __init__(self, paths: Sequence[Path]) -> None:
        import pyarrow.parquet as pq

        self.paths = tuple(paths)
        starts, groups, row = [], [], 0
        for file_number, path in enumerate(self.paths):
            metadata = pq.read_metadata(path)
            for group in range(metadata.num_row_groups):
                starts.append(row)
                groups.append((file_number, group))
                row += metadata.row_group(group).num_rows
        self._starts, self._groups, self._size = np.array(starts, np.int64), groups, row
        self._kept: OrderedDict[int, Any] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": OrderedDict()}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int, /) -> Row:
        which = int(np.searchsorted(self._starts, index, side="right")) - 1
        table = self._row_group(which)
        row: Row = table.slice(index - int(self._starts[which]), 1).to_pylist()[0]
        return row

    def where(self, index: int, /) -> str:
        which = int(np.searchsorted(self._starts, index, side="right")) - 1
        file_number, _ = self._groups[which]
        first = next(
            s for s, g in zip(self._starts, self._groups, strict=True) if g[0] == file_number
        )
        return f"{self.paths[file_number]}:row {index - int(first)}"

    def _row_group(self, which: int) -> Any:
        import pyarrow.parquet as pq

        if which not in self._kept:
            file_number, group = self._groups[which]
            with pq.ParquetFile(self.paths[file_number]) as file:
                self._kept[which] = file.read_row_group(group)
            while len(self._kept) > 1 and self._kept_bytes() > _ROW_GROUPS_KEPT_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(which)
        return self._kept[which]

    def _kept_bytes(self) -> int:
        return sum(int(table.nbytes) for table in self._kept.values())


class HfRows:
    """A `datasets.Dataset`, read as Arrow: pictures stay encoded bytes or paths."""

    def __init__(self, dataset: Any, name: str) -> None:
        self._dataset = dataset.with_format("arrow")
        self._name = name

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int, /) -> Row:
        row: Row = self._dataset[index].to_pylist()[0]
        return row

    def where(self, index: int, /) -> str:
        return f"{self._name}:row {index}"


class JoinedRows:
    """Several files one after the other."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self._parts = tuple(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int, /) -> Row:
        part, inside = self._find(index)
        return part[inside]

    def where(self, index: int, /) -> str:
        part, inside = self._find(index)
        return part.where(inside)

    def _find(self, index: int) -> tuple[Rows, int]:
        which = int(np.searchsorted(self._ends, index, side="right"))
        return self._parts[which], index - (int(self._ends[which - 1]) if which else 0)


def _json_object(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object, found {line.strip()[:60]}")
    return row


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _list_inside(text: str, path: Path) -> int:
    """Where the only list of a top-level object begins."""
    try:
        top = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    lists = [key for key, value in top.items() if isinstance(value, list)]
    if len(lists) != 1:
        raise DataError(
            f"{path}:1: expected a list of objects, or an object with one list inside; "
            f"the lists inside are {lists or 'none'}"
        )
    decoder, at = json.JSONDecoder(), _skip(text, 0) + 1
    while True:
        key, at = decoder.raw_decode(text, _skip(text, at))
        at = _skip(text, _skip(text, at) + 1)  # over the colon
        if key == lists[0]:
            return at
        _, at = decoder.raw_decode(text, at)
        at = _skip(text, at) + 1  # over the comma
