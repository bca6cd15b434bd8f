"""The list of media that are not decoded again, as JSON lines.

A line holds digest, kind, path, reason, message, when. A plain file that a person may read and
prune; appended to by every process of a run.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from pathlib import Path

from mmrl.errors import MediaError
from mmrl.media.source import digest, name_of
from mmrl.types import MediaRef

PASSING = frozenset({"missing", "permission", "not_a_file", "no_store", "no_reader", "cancelled"})
"""Reasons that may be gone tomorrow although the bytes are the same: never listed."""


class Quarantine:
    """Known bad media by kind and content hash (a clip taken for a picture stays a good clip).

    Without a path the list lives in memory only.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else Path(path)
        self._lock = threading.Lock()
        self._listed: dict[tuple[str, str], tuple[str, str]] = {}
        self._read_bytes = 0

    def check(self, ref: MediaRef) -> None:
        """Raises the MediaError under which the medium is listed, if it is."""
        with self._lock:
            self._catch_up()
            if not self._listed:
                return
        found = self._listed.get((ref.kind, digest(ref)))
        if found is not None:
            reason, message = found
            where = "" if self.path is None else f" (listed in {self.path})"
            raise MediaError(f"{name_of(ref)}: in quarantine{where}: {message}", reason=reason)

    def add(self, ref: MediaRef, error: MediaError) -> None:
        """Lists the medium, unless its reason may pass."""
        if error.reason in PASSING:
            return
        try:
            key = (ref.kind, digest(ref))
        except MediaError:
            return
        with self._lock:
            self._catch_up()
            if key in self._listed:
                return
            self._listed[key] = (error.reason, str(error))
            if self.path is None:
                return
            line = {
                "digest": key[1],
                "kind": ref.kind,
                "path": name_of(ref),
                "reason": error.reason,
                "message": str(error),
                "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, (json.dumps(line) + "\n").encode())
            finally:
                os.close(handle)

    def counts(self) -> dict[str, int]:
        """Number of listed media by reason."""
        with self._lock:
            self._catch_up()
            return dict(Counter(reason for reason, _ in self._listed.values()))

    def _catch_up(self) -> None:
        """Reads what other processes appended since."""
        if self.path is None or not self.path.exists():
            return
        if self.path.stat().st_size <= self._read_bytes:
            return
        with open(self.path, "rb") as file:
            file.seek(self._read_bytes)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read_bytes += len(line)
                try:
                    row = json.loads(line)
                    key = (row["kind"], row["digest"])
                    self._listed[key] = (row["reason"], row.get("message", ""))
                except (ValueError, KeyError, TypeError):
                    continue
