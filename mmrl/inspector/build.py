"""Reads rollout files into the index, the newest step first, in slices of time.

Per file the index remembers size, time of change, inode and how far it was read. A file that grew
is read on, one that was replaced or cut is read anew, one that vanished is dropped; a half-written
last line waits. Records stream: one line and a few hundred rows are in memory at a time.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
import stat
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mmrl.eval.lines import Place, lines_after, parse_record, place_at, still_holds
from mmrl.inspector.query import folded, name_of
from mmrl.media.confine import open_plain

FILE_NAME = re.compile(r"step-([0-9]{1,12})(?:\.rank([0-9]{1,6}))?\.jsonl")
_BATCH = 500
_LARGEST = 2**63 - 1

_GROUPS = """
INSERT OR REPLACE INTO groups
SELECT group_id, file, min(step), min(rank), min(offset), min(draw), min(stage), min(task),
  min(sample), count(*), sum(correct), avg(reward), avg(score), avg(num_tokens), avg(advantage),
  min(reward), max(reward),
  CASE WHEN count(reward) > 1 THEN max(reward) - min(reward) ELSE 0.0 END
FROM rollouts WHERE file = ? GROUP BY group_id
"""
_GROUP_PARTS = """
INSERT OR REPLACE INTO group_parts
SELECT r.group_id, p.name, avg(p.value)
FROM rollouts r JOIN parts p ON p.rollout = r.id WHERE r.file = ? GROUP BY r.group_id, p.name
"""
_OF_FILE = "(SELECT id FROM rollouts WHERE file = ?)"
_DROPS = (
    f"DELETE FROM texts WHERE rollout IN {_OF_FILE}",
    f"DELETE FROM parts WHERE rollout IN {_OF_FILE}",
    "DELETE FROM group_parts WHERE group_id IN (SELECT id FROM groups WHERE file = ?)",
    "DELETE FROM groups WHERE file = ?",
    "DELETE FROM rollouts WHERE file = ?",
    "DELETE FROM files WHERE id = ?",
)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How much of a run is in its index."""

    files: int
    """Rollout files there are."""
    done: int
    """Of these, read as they stand."""
    rollouts: int
    bad_lines: int
    """Complete lines that hold no rollout."""

    @property
    def more(self) -> bool:
        return self.done < self.files


class _Known(NamedTuple):
    """What the index remembers of a file."""

    id: int
    size: int
    mtime: int
    inode: int
    read: int
    mark: bytes
    lines: int
    bad: int


def refresh_slice(
    db: sqlite3.Connection,
    folder: Path,
    budget_s: float,
    *,
    first: Collection[str] = (),
    anew: Collection[str] = (),
) -> Progress:
    """Reads what changed for about `budget_s` seconds, one file at least, in an open transaction.

    Files named in `first` come before the newest steps; those in `anew` are read again whatever is
    remembered of them.
    """
    end = time.monotonic() + budget_s
    columns = ", ".join(_Known._fields)
    known = {row[0]: _Known(*row[1:]) for row in db.execute(f"SELECT name, {columns} FROM files")}
    there = _there(folder)
    for name in known.keys() - there.keys():
        _drop(db, known[name].id)
    todo = [n for n, s in there.items() if n in anew or n not in known or _changed(known[n], s)]
    todo.sort(key=lambda n: (n not in first, n not in anew, _by_age(n)))
    writer = _Writer(db)
    done = len(there) - len(todo)
    for name in todo:
        old = known.get(name)
        try:
            file = open_plain(folder / name)
        except OSError:  # it vanished, or may not be read: it stays to be read
            continue
        with file:
            writer.read(name, file, None if name in anew else old, old)
        done += 1
        if time.monotonic() > end:
            break
    return progress_of(db, files=len(there), done=done)


def progress_of(db: sqlite3.Connection, *, files: int, done: int) -> Progress:
    """Progress with the counts that the index has."""
    rollouts = db.execute("SELECT count(*) FROM rollouts").fetchone()[0]
    bad = db.execute("SELECT coalesce(sum(bad), 0) FROM files").fetchone()[0]
    return Progress(files=files, done=done, rollouts=rollouts, bad_lines=bad)


class _Writer:
    """Puts files into the index; holds the numbers that come next."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._next = {
            table: db.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()[0]
            for table in ("files", "groups", "rollouts", "part_names")
        }
        self._part_ids: dict[str, int] = {
            name: id_ for id_, name in db.execute("SELECT id, name FROM part_names")
        }

    def read(self, name: str, file: BinaryIO, at: _Known | None, old: _Known | None) -> None:
        """Reads a file on from where it was left (`at`), or anew in place of what was (`old`)."""
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            return
        grown = (
            at is not None
            and at.inode == found.st_ino
            and found.st_size > at.size
            and still_holds(file, Place(at.read, at.mark))
        )
        if not grown:
            if old is not None:
                _drop(self.db, old.id)
            at = None
        file_id = at.id if at else self.number("files")
        rows = _Rows(self, file_id, _rank(name), seen=at is not None)
        read, lines, bad = (at.read, at.lines, at.bad) if at else (0, 0, 0)
        for line in lines_after(file, read):
            read = line.offset + line.length
            record = parse_record(line.raw)
            if record is None or not rows.add(record, line.offset, line.length, lines):
                bad += 1
            lines += 1
        rows.flush()
        self.db.execute(_GROUPS, (file_id,))
        self.db.execute(_GROUP_PARTS, (file_id,))
        self.db.execute(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (file_id, name, found.st_size, found.st_mtime_ns, found.st_ino, read,
             place_at(file, read).mark, lines, bad),
        )  # fmt: skip

    def part_id(self, name: str) -> int:
        """The number of a part, given when it is first seen."""
        name = name_of(name)
        if name not in self._part_ids:
            self._part_ids[name] = self.number("part_names")
            self.db.execute("INSERT INTO part_names VALUES (?, ?)", (self._part_ids[name], name))
        return self._part_ids[name]

    def number(self, table: str) -> int:
        """The number of the next row of a table."""
        self._next[table] += 1
        return int(self._next[table])


class _Rows:
    """Rows of one file on their way into the tables."""

    def __init__(self, writer: _Writer, file_id: int, rank: int, *, seen: bool) -> None:
        self.writer, self.db, self.file_id, self.rank = writer, writer.db, file_id, rank
        self._groups: dict[tuple[int, str], int] = {}
        self._seen: set[tuple[int, int]] = set()
        if seen:
            of_file = "SELECT step, draw, group_id, rollout FROM rollouts WHERE file = ?"
            for step, draw, group, rollout in self.db.execute(of_file, (file_id,)):
                self._groups[step, draw] = group
                self._seen.add((group, rollout))
        self._clear()

    def add(self, record: Mapping[str, Any], offset: int, length: int, line: int) -> bool:
        """Takes a record; False where it is no rollout's. A group that a gate kept several times
        lies as often in the file and counts once."""
        step = whole(record.get("step"))
        if step is None or "draw" not in record or not isinstance(record.get("text"), str):
            return False
        draw = name_of(record["draw"])
        group = self._groups.get((step, draw))
        if group is None:
            group = self._groups[step, draw] = self.writer.number("groups")
        rollout = whole(record.get("rollout")) or 0
        if (group, rollout) in self._seen:
            return True
        self._seen.add((group, rollout))
        id_ = self.writer.number("rollouts")
        advantage = record.get("advantage")
        correct = record.get("correct")
        names = (name_of(record.get(k)) for k in ("stage", "task", "draw", "sample"))
        self._rollouts.append(
            (id_, self.file_id, group, step, self.rank, offset, length, line, rollout, *names,
             int(correct) if isinstance(correct, bool) else None,
             name_of(record.get("verdict")), name_of(record.get("stop")),
             whole(record.get("num_tokens")), real(record.get("score")),
             real(record.get("reward")),
             real(advantage.get("main") if isinstance(advantage, dict) else advantage))
        )  # fmt: skip
        parts = record.get("parts")
        for name, value in parts.items() if isinstance(parts, dict) else ():
            self._parts.append((id_, self.writer.part_id(name), real(value)))
        question = record.get("question")
        # the byte between the two is in no UTF-8 text, so nothing is found across it
        asked = folded(question) if isinstance(question, str) else b""
        self._texts.append((id_, folded(record["text"]) + b"\xff" + asked))
        if len(self._rollouts) >= _BATCH:
            self.flush()
        return True

    def flush(self) -> None:
        """Writes what has gathered."""
        self.db.executemany(f"INSERT INTO rollouts VALUES ({_marks(20)})", self._rollouts)
        self.db.executemany(f"INSERT OR REPLACE INTO parts VALUES ({_marks(3)})", self._parts)
        self.db.executemany(f"INSERT INTO texts VALUES ({_marks(2)})", self._texts)
        self._clear()

    def _clear(self) -> None:
        self._rollouts: list[tuple[Any, ...]] = []
        self._parts: list[tuple[Any, ...]] = []
        self._texts: list[tuple[Any, ...]] = []


def real(value: Any) -> float | None:
    """A finite number as SQLite holds it; None for anything else."""
    if not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def whole(value: Any) -> int | None:
    """An integer of 64 bits; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST:
        return None
    return value


def _there(folder: Path) -> dict[str, os.stat_result]:
    """The rollout files of a folder; links and anything but plain files are left out."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if FILE_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return found
    return found


def _changed(known: _Known, found: os.stat_result) -> bool:
    state = (known.size, known.mtime, known.inode)
    return state != (found.st_size, found.st_mtime_ns, found.st_ino)


def _drop(db: sqlite3.Connection, file_id: int) -> None:
    for statement in _DROPS:
        db.execute(statement, (file_id,))


def _by_age(name: str) -> tuple[int, int]:
    """Newest step first, then by rank."""
    found = FILE_NAME.fullmatch(name)
    assert found is not None
    return -int(found[1]), int(found[2] or 0)


def _rank(name: str) -> int:
    return _by_age(name)[1]


def _marks(number: int) -> str:
    return ", ".join("?" * number)
