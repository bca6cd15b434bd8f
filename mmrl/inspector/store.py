"""The sqlite file of an index: where it lies, what is in it, when it is thrown away.

An index can always be made again from the rollout files. So one that is broken, of another version,
copied from elsewhere, or that holds anything but our tables (a view, a trigger) is deleted. Readers
and the writer do not wait for each other (write-ahead log).
"""

from __future__ import annotations

import hashlib
import os
import queue
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

VERSION = 1
NAME = ".index.sqlite"
_BESIDE = ("", "-wal", "-shm", "-journal")
_BUSY_S = 30.0
_IDLE = 8
"""Connections kept for the next reader."""

_SCHEMA = (
    "CREATE TABLE about (version INTEGER, place TEXT)",
    "CREATE TABLE files (id INTEGER PRIMARY KEY, name TEXT UNIQUE, size INTEGER, mtime INTEGER, "
    "inode INTEGER, read INTEGER, mark BLOB, lines INTEGER, bad INTEGER)",
    "CREATE TABLE groups (id INTEGER PRIMARY KEY, file INTEGER, step INTEGER, rank INTEGER, "
    "first INTEGER, draw TEXT, stage TEXT, task TEXT, sample TEXT, num INTEGER, correct INTEGER, "
    "reward REAL, score REAL, num_tokens REAL, advantage REAL, low REAL, high REAL, spread REAL)",
    "CREATE TABLE rollouts (id INTEGER PRIMARY KEY, file INTEGER, group_id INTEGER, step INTEGER, "
    "rank INTEGER, offset INTEGER, length INTEGER, line INTEGER, rollout INTEGER, stage TEXT, "
    "task TEXT, draw TEXT, sample TEXT, correct INTEGER, verdict TEXT, stop TEXT, "
    "num_tokens INTEGER, score REAL, reward REAL, advantage REAL)",
    "CREATE TABLE part_names (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
    "CREATE TABLE parts (rollout INTEGER, name INTEGER, value REAL, PRIMARY KEY (rollout, name)) "
    "WITHOUT ROWID",
    "CREATE TABLE group_parts (group_id INTEGER, name INTEGER, value REAL, "
    "PRIMARY KEY (group_id, name)) WITHOUT ROWID",
    "CREATE TABLE texts (rollout INTEGER PRIMARY KEY, folded BLOB)",
    "CREATE INDEX rollouts_in_order ON rollouts (step, rank, offset)",
    "CREATE INDEX rollouts_of_group ON rollouts (group_id, rollout)",
    "CREATE INDEX rollouts_of_file ON rollouts (file)",
    "CREATE INDEX groups_in_order ON groups (step, rank, first)",
    "CREATE INDEX groups_of_file ON groups (file, draw)",
    "CREATE INDEX groups_of_sample ON groups (sample, step)",
    "CREATE INDEX names_of_groups ON groups (task, stage)",
    "CREATE INDEX stops_of_rollouts ON rollouts (stop, verdict)",
)


class Store:
    """Connections to one index file; safe to share between threads and processes."""

    def __init__(self, rollouts: Path) -> None:
        self.rollouts = rollouts
        self.path: Path | None = None
        self._place = ""
        self._lock = threading.RLock()
        self._age = 0
        self._idle: queue.SimpleQueue[tuple[int, sqlite3.Connection]] = queue.SimpleQueue()

    def ensure(self) -> bool:
        """Opens the file, or makes it; False while there is no folder of rollouts.

        A file that was deleted or replaced meanwhile (a run started afresh) is opened anew.
        """
        with self._lock:
            if self.path is not None and _place(self.path) == self._place:
                return True
            self._forget()
            if not _is_folder(self.rollouts):
                return False
            for path in (self.rollouts / NAME, elsewhere(self.rollouts)):
                if self._open(path):
                    return True
            raise sqlite3.OperationalError(f"no place for an index of {self.rollouts}")

    def rebuild(self) -> None:
        """Throws the index away: the next `ensure` makes an empty one."""
        with self._lock:
            if self.path is not None:
                remove(self.path)
            self._forget()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for one reader; an empty index while there is no file."""
        with self._lock:
            path, age = self.path, self._age
        connection = self._taken(age) or _connect(path)
        try:
            yield connection
        finally:
            if path is not None and age == self._age and self._idle.qsize() < _IDLE:
                self._idle.put((age, connection))
            else:
                connection.close()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that writes: committed at the end, undone where something fails."""
        connection = _connect(self.path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        finally:
            connection.close()

    def close(self) -> None:
        """Closes what no reader holds."""
        with self._lock:
            self._forget()

    def _open(self, path: Path) -> bool:
        """Opens or makes an index at a path; False where it cannot be written."""
        if not os.access(path.parent, os.W_OK) or any(_is_strange(path, end) for end in _BESIDE):
            return False
        for _ in range(2):
            try:
                _prepare(path)
            except sqlite3.Error as error:
                if not is_broken(error):
                    return False
                remove(path)
                continue
            self.path, self._place = path, _place(path)
            return True
        return False

    def _taken(self, age: int) -> sqlite3.Connection | None:
        while True:
            try:
                born, connection = self._idle.get_nowait()
            except queue.Empty:
                return None
            if born == age:
                return connection
            connection.close()

    def _forget(self) -> None:
        self.path, self._place = None, ""
        self._age += 1
        while (connection := self._taken(-1)) is not None:
            connection.close()


class Foreign(sqlite3.DatabaseError):
    """An index that is not of this version, place or form."""


def is_broken(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is no index of ours, and not that it is busy."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, Foreign) or (
        code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    )


def remove(path: Path) -> None:
    """Deletes an index with the files that sqlite keeps beside it."""
    for end in _BESIDE:
        path.with_name(path.name + end).unlink(missing_ok=True)


def elsewhere(rollouts: Path) -> Path:
    """The place of an index whose run folder cannot be written: a private temporary folder."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"mmrl-index-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != user):
        folder = Path(tempfile.mkdtemp(prefix="mmrl-index-"))
    name = hashlib.sha256(os.fsencode(rollouts)).hexdigest()[:24]
    return folder / f"{name}.sqlite"


def _prepare(path: Path) -> None:
    """Makes the tables where there are none; Foreign where there are others."""
    connection = _connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        there = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not there:
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES (?, ?)", (VERSION, _place(path)))
        found = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master")} - {None}
        if found != set(_SCHEMA):
            raise Foreign(f"{path}: other tables than ours")
        about = connection.execute("SELECT version, place FROM about").fetchall()
        if about != [(VERSION, _place(path))]:
            raise Foreign(f"{path}: of another version, or copied here")
        connection.execute("COMMIT")
    finally:
        connection.close()


def _connect(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        ":memory:" if path is None else path,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -16384")  # KiB a connection: memory stays flat
    if path is None:
        for statement in _SCHEMA:
            connection.execute(statement)
    return connection


def _place(path: Path) -> str:
    """What tells this file from a copy of it."""
    try:
        found = path.lstat()
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_strange(path: Path, end: str) -> bool:
    """Whether something other than a plain file stands where sqlite would write."""
    try:
        return not stat.S_ISREG(path.with_name(path.name + end).lstat().st_mode)
    except FileNotFoundError:
        return False
