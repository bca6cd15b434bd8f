"""What is asked of a run's rollouts, and the SQL that finds it.

    Query(task="digit_box", correct=False, parts={"format": (1.0, None)}, sort="part/box_iou")

Every value that a user gives is an SQL parameter; sort keys come from a fixed table, names of parts
are looked up first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mmrl.errors import ConfigError, nearest

PART = "part/"
"""A sort key `part/NAME` is that reward part."""
MAX_LIMIT = 500
_LARGEST = 2**63 - 1

_ROLLOUT_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "step": "r.step",
        "reward": "r.reward",
        "score": "r.score",
        "num_tokens": "r.num_tokens",
        "advantage": "r.advantage",
        "spread": "g.spread",
    }
)
_GROUP_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "step": "g.step",
        "reward": "g.reward",
        "score": "g.score",
        "num_tokens": "g.num_tokens",
        "advantage": "g.advantage",
        "spread": "g.spread",
    }
)
SORT_KEYS = tuple(_ROLLOUT_KEYS)
ROLLOUT_ORDER = "r.step, r.rank, r.offset"
GROUP_ORDER = "g.step, g.rank, g.first"

Range = tuple[float | None, float | None]
"""From, to; both ends belong to it, None is open."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which rollouts, in which order; a filter left at None lets all through.

    Names are compared whole. A value that a rollout does not have passes no filter on it (old runs
    do not say what is correct) and comes last in either order; ties stand in the order of step,
    rank and file. ConfigError for a sort key that does not exist, and numbers out of range.
    """

    steps: int | tuple[int | None, int | None] | None = None
    """One step, or from and to."""
    stage: str | None = None
    task: str | None = None
    sample: str | None = None
    correct: bool | None = None
    stop: str | None = None
    verdict: str | None = None
    num_tokens: Range = (None, None)
    parts: Mapping[str, Range] = field(default_factory=lambda: MappingProxyType({}))
    """Part name -> range of its value."""
    zero_spread: bool = False
    """Only groups whose rewards are all equal."""
    text: str = ""
    """Is in the completion or the question, whatever the case of its letters."""
    sort: str = "step"
    """One of `SORT_KEYS`, or "part/NAME". Of a group: the mean over all its rollouts."""
    descending: bool = False
    offset: int = 0
    limit: int = 20

    def __post_init__(self) -> None:
        if self.sort not in SORT_KEYS and not self.sort.startswith(PART):
            known = [*SORT_KEYS, f"{PART}NAME"]
            raise ConfigError(f'sort by "{_short(self.sort)}".{nearest(self.sort, known)}')
        if not 1 <= self.limit <= MAX_LIMIT:
            raise ConfigError(f"limit: wanted 1 to {MAX_LIMIT} rows; got {self.limit}")
        if not 0 <= self.offset <= _LARGEST:
            raise ConfigError(f"offset: wanted a row number; got {self.offset}")
        numbers = [*self.step_range, *self.num_tokens, *(e for r in self.parts.values() for e in r)]
        for number in numbers:
            if number is not None and math.isnan(number):
                raise ConfigError("a range ends at a number; got nan")

    @property
    def step_range(self) -> tuple[int | None, int | None]:
        steps = self.steps
        return steps if isinstance(steps, tuple) else (steps, steps)

    @property
    def part_names(self) -> tuple[str, ...]:
        """Every part that the query names."""
        names = list(self.parts)
        if self.sort.startswith(PART):
            names.append(self.sort.removeprefix(PART))
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Sql:
    """A condition and the values of its question marks; "1" lets all through."""

    text: str
    values: tuple[Any, ...] = ()


def of_rollouts(query: Query, part_ids: Mapping[str, int]) -> Sql:
    """Which `rollouts r` (joined to `groups g` under `needs_groups`) a query asks for."""
    flat = [Sql("g.spread = 0")] if query.zero_spread else []
    return _all([*_shared(query, "r"), *flat, *_own(query, part_ids)])


def of_groups(query: Query, part_ids: Mapping[str, int]) -> Sql:
    """Which `groups g` a query asks for: those with a rollout that passes."""
    conditions = _shared(query, "g")
    if query.zero_spread:
        conditions.append(Sql("g.spread = 0"))
    own = _own(query, part_ids)
    if own:
        inner = _all(own)
        some = f"EXISTS (SELECT 1 FROM rollouts r WHERE r.group_id = g.id AND {inner.text})"
        conditions.append(Sql(some, inner.values))
    return _all(conditions)


def needs_groups(query: Query) -> bool:
    """Whether the rollouts of a query can only be told with their groups."""
    return query.zero_spread or query.sort == "spread"


def _shared(query: Query, table: str) -> list[Sql]:
    """Conditions on what a group and its rollouts have in common."""
    out = _range(f"{table}.step", *query.step_range)
    for column, value in (("stage", query.stage), ("task", query.task), ("sample", query.sample)):
        if value is not None:
            out.append(Sql(f"{table}.{column} = ?", (name_of(value),)))
    return out


def _own(query: Query, part_ids: Mapping[str, int]) -> list[Sql]:
    """Conditions on a rollout by itself, the cheap ones first."""
    out = []
    if query.correct is not None:
        out.append(Sql("r.correct = ?", (int(query.correct),)))
    for column, value in (("stop", query.stop), ("verdict", query.verdict)):
        if value is not None:
            out.append(Sql(f"r.{column} = ?", (name_of(value),)))
    out += _range("r.num_tokens", *query.num_tokens)
    for name, (least, most) in query.parts.items():
        limits = _range("p.value", least, most) or [Sql("p.value IS NOT NULL")]
        inner = _all([Sql("p.rollout = r.id AND p.name = ?", (part_ids[name],)), *limits])
        out.append(Sql(f"EXISTS (SELECT 1 FROM parts p WHERE {inner.text})", inner.values))
    if query.text:
        found = "EXISTS (SELECT 1 FROM texts t WHERE t.rollout = r.id AND instr(t.folded, ?) > 0)"
        out.append(Sql(found, (folded(query.text),)))
    return out


def rollout_order(query: Query, part_ids: Mapping[str, int]) -> Sql:
    """ORDER BY of rollouts, without the words."""
    own = "(SELECT value FROM parts s WHERE s.rollout = r.id AND s.name = ?)"
    return _order(query, _ROLLOUT_KEYS.get(query.sort, own), ROLLOUT_ORDER, part_ids)


def group_order(query: Query, part_ids: Mapping[str, int]) -> Sql:
    """ORDER BY of groups, without the words."""
    own = "(SELECT value FROM group_parts s WHERE s.group_id = g.id AND s.name = ?)"
    return _order(query, _GROUP_KEYS.get(query.sort, own), GROUP_ORDER, part_ids)


def folded(text: str) -> bytes:
    """A text as it is searched: without case, in bytes, so that any character can be in it."""
    return text.casefold().encode("utf-8", "surrogatepass")


def name_of(value: Any) -> str:
    """A name as the index keeps it: any value as text that SQLite can hold, at most 500 long."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    return text[:500].encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _order(query: Query, key: str, rest: str, part_ids: Mapping[str, int]) -> Sql:
    way = "DESC" if query.descending else "ASC"
    if query.sort == "step":  # always there; plain columns let the index give the order
        return Sql(f"{key} {way}, {rest.partition(', ')[2]}")
    values: tuple[Any, ...] = ()
    if query.sort.startswith(PART):
        values = (part_ids[query.sort.removeprefix(PART)],)
    return Sql(f"{key} {way} NULLS LAST, {rest}", values)


def _range(column: str, low: float | None, high: float | None) -> list[Sql]:
    ends = ((">=", low), ("<=", high))
    return [Sql(f"{column} {sign} ?", (_bounded(end),)) for sign, end in ends if end is not None]


def _bounded(number: float) -> float:
    """A number that SQLite takes: integers of 64 bits, all floats."""
    return max(-_LARGEST, min(_LARGEST, number)) if isinstance(number, int) else float(number)


def _all(conditions: list[Sql]) -> Sql:
    text = " AND ".join(c.text for c in conditions) or "1"
    return Sql(text, tuple(v for c in conditions for v in c.values))


def _short(text: str) -> str:
    return ascii(text[:60])[1:-1]
