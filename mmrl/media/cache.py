"""Decoded media on disk, shared by processes and runs, bounded in bytes.

One npy file an entry, written aside and renamed, so a reader sees a whole entry or none. The least
recently used entries go first. Nothing is pickled.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

_ABANDONED_S = 3600.0
"""Age [seconds] after which a half-written file belongs to a process that died."""
_HEADER_BYTES = 256
"""Generous size of an npy header."""


class ClipCache:
    """Arrays by key (a hex string, from `MediaStore`: content hash and plan) under one folder.

    The folder never holds more than `max_bytes` of entries, over all processes that use it; an
    array larger than that is not kept.
    """

    def __init__(self, root: str | Path, max_bytes: int) -> None:
        self.root = Path(root)
        self.max_bytes = max_bytes
        self.root.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> np.ndarray | None:
        """The array, or None; a damaged entry is removed and counts as absent."""
        path = self._path(key)
        try:
            array: np.ndarray = np.load(path, allow_pickle=False)
            os.utime(path)
        except FileNotFoundError:
            return None
        except (ValueError, EOFError, OSError):
            path.unlink(missing_ok=True)
            return None
        return array

    def put(self, key: str, array: np.ndarray) -> bool:
        """Keeps the array; False when it is larger than the whole cache or the disk is full."""
        size = array.nbytes + _HEADER_BYTES
        if size > self.max_bytes:
            return False
        aside = self.root / f".{os.getpid()}-{uuid.uuid4().hex}.part"
        try:
            with open(aside, "wb") as file:
                np.save(file, array, allow_pickle=False)
            with self._locked():
                self._make_room(aside.stat().st_size, aside.name)
                os.replace(aside, self._path(key))
        except OSError:
            aside.unlink(missing_ok=True)
            return False
        return True

    def has(self, key: str) -> bool:
        """Whether an entry lies there now (it may be gone a moment later)."""
        return self._path(key).exists()

    def num_bytes(self) -> int:
        """Bytes of all entries now."""
        return sum(size for _, size, _ in self._entries())

    def _path(self, key: str) -> Path:
        if not key.isalnum():
            raise ValueError(f"cache key {key!r} is not letters and digits")
        return self.root / f"{key}.npy"

    def _entries(self) -> list[tuple[float, int, str]]:
        """(last use, bytes, path) of whole entries; those that vanish meanwhile are left out."""
        found = []
        with os.scandir(self.root) as listing:
            for entry in listing:
                if not entry.name.endswith(".npy"):
                    continue
                try:
                    state = entry.stat()
                except FileNotFoundError:
                    continue
                found.append((state.st_mtime, state.st_size, entry.path))
        return found

    def _make_room(self, size: int, mine: str) -> None:
        entries = sorted(self._entries())
        held = sum(entry[1] for entry in entries)
        for _, bytes_held, path in entries:
            if held + size <= self.max_bytes:
                break
            Path(path).unlink(missing_ok=True)
            held -= bytes_held
        now = time.time()
        for part in self.root.glob(".*.part"):
            try:
                if part.name != mine and now - part.stat().st_mtime > _ABANDONED_S:
                    part.unlink(missing_ok=True)
            except FileNotFoundError:
                continue

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Holds the folder's lock, which the kernel frees when its holder dies."""
        import fcntl

        with open(self.root / ".lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
