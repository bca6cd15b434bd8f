"""Permanent links: what is looked at, as the query part of an address, and back.

A link is untrusted: every value is checked, a key that is not known is ignored, and what is wrong
is told in words beside the nearest thing that can be shown.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any
from urllib.parse import urlencode

from mmrl.inspector.html_group import MEASURES
from mmrl.inspector.query import PART, SORT_KEYS, Query
from mmrl.inspector.seeds import Band
from mmrl.inspector.tokens import Measure

VIEWS = ("rollouts", "curves", "compare", "samples", "try")
ROWS = 20
"""Groups on a page of the list."""
KEEP = 0.9
BANDS: tuple[Band, ...] = ("range", "interval")
_LONGEST = 300
_MOST_NAMES = 40
_MOST_STEP = 10**12


@dataclass(frozen=True, kw_only=True)
class Filters:
    """Which groups are listed and in which order; empty and None let all through."""

    stage: str = ""
    task: str = ""
    correct: str = ""
    """"right" or "wrong": groups with such a rollout."""
    stop: str = ""
    verdict: str = ""
    part: str = ""
    low: float | None = None
    high: float | None = None
    """Range of the value of `part`."""
    shortest: int | None = None
    longest: int | None = None
    """Range of the tokens of a completion."""
    flat: bool = False
    """Only groups whose rewards are all equal."""
    text: str = ""
    sort: str = "step"
    descending: bool = False

    def query(self, step: int | None, *, offset: int = 0, limit: int = ROWS) -> Query:
        """The question for the index, at one step or (None) at all."""
        return Query(
            steps=step,
            stage=self.stage or None,
            task=self.task or None,
            correct={"right": True, "wrong": False}.get(self.correct),
            stop=self.stop or None,
            verdict=self.verdict or None,
            num_tokens=(self.shortest, self.longest),
            parts={self.part: (self.low, self.high)} if self.part else {},
            zero_spread=self.flat,
            text=self.text,
            sort=self.sort,
            descending=self.descending,
            offset=offset,
            limit=limit,
        )


@dataclass(frozen=True, kw_only=True)
class Where:
    """What is looked at: a view of a run, a group of it, and the filters of its list."""

    view: str = "rollouts"
    run: str = ""
    step: int | None = None
    """The step of the list, or None for all steps."""
    all_steps: bool = False
    draw: str = ""
    measure: Measure | None = None
    filters: Filters = field(default_factory=Filters)
    other: str = ""
    """Compare: the second run."""
    sample: str = ""
    """Compare: the sample."""
    step_b: int | None = None
    draw_b: str = ""
    runs: tuple[str, ...] = ()
    """Curves: the runs laid over each other; empty for the first ones."""
    keys: tuple[str, ...] = ()
    """Curves: the figures; empty for the usual ones."""
    keep: float = KEEP
    """Curves: smoothing, from 0 to 0.99."""
    band: Band | None = "range"
    """Curves: how runs that differ in the seed alone are drawn; None draws each."""


def to_link(where: Where) -> str:
    """The query part of the address, "?view=…"; what is as by default is left out."""
    values: list[tuple[str, str]] = [("view", where.view)]
    if where.run:
        values.append(("run", where.run))
    for key, value in (
        ("step", where.step),
        ("draw", where.draw),
        ("all", where.all_steps),
        ("tokens", where.measure),
        ("other", where.other),
        ("sample", where.sample),
        ("step_b", where.step_b),
        ("draw_b", where.draw_b),
        ("runs", "\n".join(where.runs)),
        ("keys", "\n".join(where.keys)),
        ("keep", "" if where.keep == KEEP else f"{where.keep:g}"),
        ("band", "" if where.band == "range" else where.band or "none"),
        *((f.name, getattr(where.filters, f.name)) for f in fields(Filters)),
    ):
        default = "step" if key == "sort" else None
        if value in (None, "", default) or value is False:
            continue
        values.append((key, "1" if value is True else str(value)))
    return "?" + urlencode(values)


def from_link(params: Mapping[str, Any], runs: Collection[str]) -> tuple[Where, str]:
    """What a link asks for, and what is wrong with it in words ("" where nothing is).

    `runs` are the names there are; without one in the link the first is meant.
    """
    wrong: list[str] = []
    first = next(iter(runs), "")

    def text(key: str) -> str:
        value = params.get(key, "")
        return value[:_LONGEST] if isinstance(value, str) else ""

    def names(key: str) -> tuple[str, ...]:
        value = params.get(key, "")
        lines = value[:10_000].split("\n") if isinstance(value, str) else []
        return tuple(line[:_LONGEST] for line in lines if line)[:_MOST_NAMES]

    def one_of(key: str, known: Collection[str], default: str) -> str:
        value = text(key)
        if not value or value in known:
            return value or default
        wrong.append(f"no {key} {value[:60]!a}; there are {', '.join(sorted(known)[:12])}")
        return default

    def whole(key: str) -> int | None:
        value = text(key)
        if not value:
            return None
        if value.isascii() and value.isdigit() and int(value[:20]) <= _MOST_STEP:
            return int(value)
        wrong.append(f"{key}: wanted a whole number; got {value[:60]!a}")
        return None

    def real(key: str) -> float | None:
        value = text(key)
        if not value:
            return None
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
        wrong.append(f"{key}: wanted a number; got {value[:60]!a}")
        return None

    sort = text("sort") or "step"
    if sort not in SORT_KEYS and not sort.startswith(PART):
        wrong.append(f"no order {sort[:60]!a}; there are {', '.join(SORT_KEYS)}, part/NAME")
        sort = "step"
    measure, band = one_of("tokens", MEASURES, ""), one_of("band", (*BANDS, "none"), "range")
    keep = real("keep")
    filters = Filters(
        stage=text("stage"),
        task=text("task"),
        correct=one_of("correct", ("right", "wrong"), ""),
        stop=text("stop"),
        verdict=text("verdict"),
        part=text("part"),
        low=real("low"),
        high=real("high"),
        shortest=whole("shortest"),
        longest=whole("longest"),
        flat=text("flat") == "1",
        text=text("text"),
        sort=sort,
        descending=text("descending") == "1",
    )
    where = Where(
        view=one_of("view", VIEWS, "rollouts"),
        run=one_of("run", runs, first),
        step=whole("step"),
        all_steps=text("all") == "1",
        draw=text("draw"),
        measure=next((m for m in MEASURES if m == measure), None),
        filters=filters,
        other=one_of("other", runs, ""),
        sample=text("sample"),
        step_b=whole("step_b"),
        draw_b=text("draw_b"),
        runs=tuple(name for name in names("runs") if name in runs),
        keys=names("keys"),
        keep=KEEP if keep is None else min(max(keep, 0.0), 0.99),
        band=None if band == "none" else next((b for b in BANDS if b == band), "range"),
    )
    return where, "This link is not quite right: " + "; ".join(wrong) if wrong else ""


def known_filters(filters: Filters, facets: Any) -> Filters:
    """The filters with every name left out that the run does not have (yet)."""

    def kept(value: str, known: Collection[str]) -> str:
        return value if value in known else ""

    sort = filters.sort
    if sort.startswith(PART) and sort.removeprefix(PART) not in facets.parts:
        sort = "step"
    return replace(
        filters,
        stage=kept(filters.stage, facets.stages),
        task=kept(filters.task, facets.tasks),
        stop=kept(filters.stop, facets.stops),
        verdict=kept(filters.verdict, facets.verdicts),
        part=kept(filters.part, facets.parts),
        sort=sort,
    )
