"""The index beside a run's rollouts: filters, sorting and pages over 100,000 of them at once.

    index = RolloutIndex(RunFiles("runs/quickstart"))
    while index.refresh(budget_s=1.0).more:      # a slice of time; the newest steps come first
        index.groups(Query(correct=False))       # answers with what is read so far
    index.group(12, "12.0")                      # the whole records of one group

sqlite holds what is filtered and sorted by; records are read from their files, where the index says
that they begin. Threads and processes may ask and refresh at once.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from mmrl.errors import DataError
from mmrl.eval.lines import MAX_LINE, parse_record
from mmrl.inspector.build import FILE_NAME, Progress, refresh_slice, whole
from mmrl.inspector.query import (
    GROUP_ORDER,
    Query,
    group_order,
    name_of,
    needs_groups,
    of_groups,
    of_rollouts,
    rollout_order,
)
from mmrl.inspector.rows import (
    Facets,
    GroupRow,
    Page,
    RolloutRow,
    Stored,
    find,
    group_rows,
    part_ids,
    rollout_rows,
)
from mmrl.inspector.runs import RunFiles
from mmrl.inspector.store import Store, is_broken
from mmrl.media.confine import open_plain

_T = TypeVar("_T")
_SLICE_S = 1.0


class RolloutIndex:
    """Answers questions about a run's rollouts; nothing is read before the first `refresh`.

    The file lies in the run's `rollouts` folder, or in the user's temporary folder where that
    cannot be written.
    """

    def __init__(self, run: RunFiles) -> None:
        self.run = run
        self._store = Store(run.rollouts)
        self._lock = threading.Lock()
        self._last = Progress(files=0, done=0, rollouts=0, bad_lines=0)

    def refresh(self, budget_s: float | None = None) -> Progress:
        """Reads what is new for about so many seconds (None: until all is read).

        `more` says whether something is left. While another thread refreshes, a call with a budget
        waits no longer than that and returns the progress last known.
        """
        if not self._lock.acquire(timeout=-1 if budget_s is None else max(budget_s, 0.0)):
            return self._last
        try:
            progress = self._slice(_SLICE_S if budget_s is None else budget_s)
            while budget_s is None and progress.more:
                before, progress = progress, self._slice(_SLICE_S)
                if progress.done <= before.done:  # what is left cannot be read
                    break
            return progress
        finally:
            self._lock.release()

    @property
    def path(self) -> Path | None:
        """The index file; None before the first `refresh` of a run with rollouts."""
        return self._store.path

    def facets(self) -> Facets:
        """Steps, stages, tasks, stop reasons, verdicts and parts that occur so far."""

        def of(db: sqlite3.Connection, table: str, column: str) -> tuple[Any, ...]:
            asked = f"SELECT DISTINCT {column} FROM {table} ORDER BY {column}"
            return tuple(row[0] for row in db.execute(asked))

        def ask(db: sqlite3.Connection) -> Facets:
            return Facets(
                steps=of(db, "groups", "step"),
                stages=of(db, "groups", "stage"),
                tasks=of(db, "groups", "task"),
                stops=of(db, "rollouts", "stop"),
                verdicts=of(db, "rollouts", "verdict"),
                parts=of(db, "part_names", "name"),
            )

        return self._ask(ask)

    def groups(self, query: Query) -> Page[GroupRow]:
        """The groups with a rollout that passes the filters, sorted by their means."""

        def ask(db: sqlite3.Connection) -> Page[GroupRow]:
            ids = part_ids(db, query)
            where, order = of_groups(query, ids), group_order(query, ids)
            found, total = find(db, "g.id FROM groups g", where, order, query)
            return Page(group_rows(db, found), total)

        return self._ask(ask)

    def rollouts(self, query: Query) -> Page[RolloutRow]:
        """The rollouts that pass the filters."""

        def ask(db: sqlite3.Connection) -> Page[RolloutRow]:
            ids = part_ids(db, query)
            where, order = of_rollouts(query, ids), rollout_order(query, ids)
            groups = " JOIN groups g ON g.id = r.group_id" if needs_groups(query) else ""
            found, total = find(db, f"r.id FROM rollouts r{groups}", where, order, query)
            return Page(rollout_rows(db, found), total)

        return self._ask(ask)

    def neighbours(
        self, query: Query, step: int, draw: str
    ) -> tuple[GroupRow | None, GroupRow | None]:
        """The groups before and behind one in the query's order, None at either end.

        Of a group that the query does not find: nothing before, and the first that it does find.
        """

        def ask(db: sqlite3.Connection) -> tuple[GroupRow | None, GroupRow | None]:
            ids = part_ids(db, query)
            where, order = of_groups(query, ids), group_order(query, ids)
            found = db.execute(
                "SELECT before, after FROM (SELECT g.step, g.draw, lag(g.id) OVER w AS before, "
                f"lead(g.id) OVER w AS after FROM groups g WHERE {where.text} "
                f"WINDOW w AS (ORDER BY {order.text})) WHERE step = ? AND draw = ?",
                (*where.values, *order.values, _step(step), name_of(draw)),
            ).fetchone()
            if found is None:
                first = db.execute(
                    f"SELECT g.id FROM groups g WHERE {where.text} ORDER BY {order.text} LIMIT 1",
                    (*where.values, *order.values),
                ).fetchone()
                found = (None, first[0] if first else None)
            rows = {id_: group_rows(db, [id_])[0] for id_ in found if id_ is not None}
            return rows.get(found[0]), rows.get(found[1])

        return self._ask(ask)

    def sample(self, sample: str) -> tuple[GroupRow, ...]:
        """Every group of a sample, by step: what Compare chooses from."""

        def ask(db: sqlite3.Connection) -> tuple[GroupRow, ...]:
            asked = f"SELECT g.id FROM groups g WHERE g.sample = ? ORDER BY {GROUP_ORDER}"
            return group_rows(db, [row[0] for row in db.execute(asked, (name_of(sample),))])

        return self._ask(ask)

    def group(self, step: int, draw: str) -> tuple[Stored, ...]:
        """The whole records of a group, in the order of its rollouts; DataError where it is gone.

        Each is checked to be the rollout that was asked for. A file that was written anew meanwhile
        is indexed first.
        """
        for _ in range(2):
            records, stale = self._read_group(_step(step), name_of(draw))
            if not stale:
                break
            self._slice(0.0, first=stale, anew=stale)
        if stale or not records:
            raise DataError(
                f"{self.run.name}: step {step} has no draw {ascii(draw)[:80]}; it may have been "
                "written anew since: look for its sample"
            )
        return records

    def close(self) -> None:
        """Closes the index file; it is opened again when it is needed."""
        self._store.close()

    def _read_group(self, step: int, draw: str) -> tuple[tuple[Stored, ...], set[str]]:
        """The records of a group, and the files in which something else stands."""

        def ask(db: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return db.execute(
                "SELECT f.name, r.offset, r.length, r.rank, r.line, r.rollout "
                "FROM groups g JOIN rollouts r ON r.group_id = g.id JOIN files f ON f.id = r.file "
                "WHERE g.step = ? AND g.draw = ? ORDER BY r.rollout, r.rank, r.offset",
                (step, draw),
            ).fetchall()

        out: list[Stored] = []
        stale: set[str] = set()
        for name, offset, length, rank, line, rollout in self._ask(ask):
            record = self._record(name, offset, length)
            same = record is not None and (
                record.get("step") == step
                and name_of(record.get("draw")) == draw
                and (whole(record.get("rollout")) or 0) == rollout
            )
            if record is None or not same:
                stale.add(name)
            else:
                out.append(Stored(record=record, rank=rank, line=line))
        return tuple(out), stale

    def _record(self, name: str, offset: int, length: int) -> dict[str, Any] | None:
        """The record at a place of a rollout file, or None where none stands there."""
        if not FILE_NAME.fullmatch(name) or not 0 < length <= MAX_LINE + 1:
            return None
        try:
            with open_plain(self.run.rollouts / name) as file:
                file.seek(offset)
                return parse_record(file.read(length))
        except (OSError, ValueError):
            return None

    def _slice(
        self, budget_s: float, *, first: Collection[str] = (), anew: Collection[str] = ()
    ) -> Progress:
        """One transaction of reading; a broken index is made anew."""
        for attempt in range(2):
            try:
                if not self._store.ensure():
                    return self._last
                with self._store.writing() as db:
                    folder = self.run.rollouts
                    self._last = refresh_slice(db, folder, budget_s, first=first, anew=anew)
                return self._last
            except sqlite3.Error as error:
                self._after(error, attempt)
            except OSError as error:
                raise DataError(f"{self.run.rollouts}: {error}") from None
        return self._last

    def _ask(self, question: Callable[[sqlite3.Connection], _T]) -> _T:
        """The answer; a broken index is made anew and asked again."""
        attempt = 0
        while True:
            try:
                self._store.ensure()
                with self._store.reading() as db:
                    return question(db)
            except sqlite3.Error as error:
                self._after(error, attempt)
            attempt += 1
            self._slice(_SLICE_S)

    def _after(self, error: sqlite3.Error, attempt: int) -> None:
        """Throws a broken index away once; anything else is told."""
        if attempt or not is_broken(error):
            where = self._store.path or self.run.rollouts
            raise DataError(f"the index {where}: {error}; delete it, it is made anew") from None
        self._store.rebuild()


def _step(step: int) -> int:
    """A step that SQLite can look for."""
    return step if whole(step) is not None else -1
