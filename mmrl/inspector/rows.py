"""What the index answers with: groups and rollouts in brief, pages, whole records, choices."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from mmrl.errors import ConfigError, nearest
from mmrl.inspector.query import Query, Sql, name_of

_T = TypeVar("_T")
_MARKS = 900
_NO_PARTS: Mapping[str, float | None] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """A group in brief; means are over its rollouts that have the value, None where none has."""

    step: int
    draw: str
    rank: int
    stage: str
    task: str
    sample: str
    num: int
    """Rollouts of the group."""
    num_correct: int | None
    reward: float | None
    score: float | None
    num_tokens: float | None
    low: float | None
    high: float | None
    """Lowest and highest reward."""
    spread: float
    parts: Mapping[str, float | None] = field(default_factory=lambda: _NO_PARTS)


@dataclass(frozen=True, kw_only=True)
class RolloutRow:
    """A rollout in brief; `rank` and `line` (from 0) say where its tokens are in the table."""

    step: int
    draw: str
    rollout: int
    rank: int
    line: int
    stage: str
    task: str
    sample: str
    correct: bool | None
    verdict: str
    stop: str
    num_tokens: int | None
    score: float | None
    reward: float | None
    advantage: float | None
    spread: float
    """Of its group."""
    parts: Mapping[str, float | None] = field(default_factory=lambda: _NO_PARTS)


@dataclass(frozen=True)
class Page(Generic[_T]):
    """Rows from `query.offset` on, and how many there are in all."""

    rows: tuple[_T, ...]
    total: int


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A whole record as it stands in its file; `rank` and `line` find its tokens."""

    record: Mapping[str, Any]
    rank: int
    line: int


@dataclass(frozen=True, kw_only=True)
class Facets:
    """What there is to choose from, each in order."""

    steps: tuple[int, ...]
    stages: tuple[str, ...]
    tasks: tuple[str, ...]
    stops: tuple[str, ...]
    verdicts: tuple[str, ...]
    parts: tuple[str, ...]


_GROUP_FIELDS = (
    *("step", "draw", "rank", "stage", "task", "sample", "num", "num_correct"),
    *("reward", "score", "num_tokens", "low", "high", "spread"),
)
_GROUP_COLUMNS = (
    "g.id, g.step, g.draw, g.rank, g.stage, g.task, g.sample, g.num, g.correct, "
    "g.reward, g.score, g.num_tokens, g.low, g.high, g.spread"
)
_ROLLOUT_FIELDS = (
    *("step", "draw", "rollout", "rank", "line", "stage", "task", "sample"),
    *("correct", "verdict", "stop", "num_tokens", "score", "reward", "advantage", "spread"),
)
_ROLLOUT_COLUMNS = (
    "r.id, r.step, r.draw, r.rollout, r.rank, r.line, r.stage, r.task, r.sample, r.correct, "
    "r.verdict, r.stop, r.num_tokens, r.score, r.reward, r.advantage, g.spread"
)


def part_ids(db: sqlite3.Connection, query: Query) -> dict[str, int]:
    """Part name -> its number, for the parts of a query; ConfigError for one that is not there."""
    found: dict[str, int] = {}
    for name in query.part_names:
        asked = "SELECT id FROM part_names WHERE name = ?"
        row = db.execute(asked, (name_of(name),)).fetchone()
        if row is None:
            known = [r[0] for r in db.execute("SELECT name FROM part_names")]
            raise ConfigError(f"no reward part {ascii(name)[:80]}.{nearest(name, known)}")
        found[name] = row[0]
    return found


def find(
    db: sqlite3.Connection, source: str, where: Sql, order: Sql, query: Query
) -> tuple[list[int], int]:
    """Numbers of the rows on a page, and how many there are in all.

    `source` is "COLUMN FROM TABLES". Texts are searched once: what is found is counted beside it,
    which costs more where much is found, but less than to read all texts again.
    """
    column, _, tables = source.partition(" FROM ")
    counted = f"SELECT count(*) FROM {tables} WHERE {where.text}"
    total: int | None = None
    if not query.text:
        total = db.execute(counted, where.values).fetchone()[0]
    beside = "" if total is not None else ", count(*) OVER ()"
    found = db.execute(
        f"SELECT {column}{beside} FROM {tables} WHERE {where.text} "
        f"ORDER BY {order.text} LIMIT ? OFFSET ?",
        (*where.values, *order.values, query.limit, query.offset),
    ).fetchall()
    if total is None and found:
        total = found[0][1]
    if total is None:
        total = db.execute(counted, where.values).fetchone()[0] if query.offset else 0
    return [row[0] for row in found], int(total)


def group_rows(db: sqlite3.Connection, ids: Sequence[int]) -> tuple[GroupRow, ...]:
    """The groups of these numbers, in their order."""
    out: list[GroupRow] = []
    for some in _portions(ids):
        found = db.execute(
            f"SELECT {_GROUP_COLUMNS} FROM groups g WHERE g.id IN ({_marks(some)})", some
        )
        by_id = {row[0]: row[1:] for row in found}
        parts = _parts_of(db, "group_parts", "group_id", some)
        for id_ in some:
            values = dict(zip(_GROUP_FIELDS, by_id[id_], strict=True))
            out.append(GroupRow(**values, parts=parts[id_]))
    return tuple(out)


def rollout_rows(db: sqlite3.Connection, ids: Sequence[int]) -> tuple[RolloutRow, ...]:
    """The rollouts of these numbers, in their order."""
    found = db.execute(
        f"SELECT {_ROLLOUT_COLUMNS} FROM rollouts r JOIN groups g ON g.id = r.group_id "
        f"WHERE r.id IN ({_marks(ids)})",
        tuple(ids),
    )
    by_id = {row[0]: row[1:] for row in found}
    parts = _parts_of(db, "parts", "rollout", ids)
    out = []
    for id_ in ids:
        values = dict(zip(_ROLLOUT_FIELDS, by_id[id_], strict=True))
        if values["correct"] is not None:
            values["correct"] = bool(values["correct"])
        out.append(RolloutRow(**values, parts=parts[id_]))
    return tuple(out)


def _parts_of(
    db: sqlite3.Connection, table: str, column: str, ids: Sequence[int]
) -> dict[int, dict[str, float | None]]:
    """Row number -> its parts by name, in the order of names."""
    out: dict[int, dict[str, float | None]] = {id_: {} for id_ in ids}
    found = db.execute(
        f"SELECT p.{column}, n.name, p.value FROM {table} p JOIN part_names n ON n.id = p.name "
        f"WHERE p.{column} IN ({_marks(ids)}) ORDER BY n.name",
        tuple(ids),
    )
    for id_, name, value in found:
        out[id_][name] = value
    return out


def _portions(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """As many at a time as any SQLite takes question marks."""
    return (ids[i : i + _MARKS] for i in range(0, len(ids), _MARKS))


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))
