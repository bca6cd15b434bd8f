"""What is shown for a `Where`: the list of its groups, the group itself, the steps around."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmrl.errors import MediaError, MmrlError
from mmrl.inspector.html_group import Look, group_html
from mmrl.inspector.html_list import list_html, questions_of
from mmrl.inspector.html_parts import note
from mmrl.inspector.index import RolloutIndex
from mmrl.inspector.links import ROWS, Where, known_filters
from mmrl.inspector.page import Page
from mmrl.inspector.pictures import Loaded, media_of
from mmrl.inspector.rows import Facets, GroupRow, Stored

_MOST_PAGES = 10
"""Pages of the list in which a linked group is looked for."""


@dataclass(frozen=True, kw_only=True)
class List:
    """A page of the list as HTML, where it begins, and the groups on it."""

    html: str
    offset: int
    total: int
    rows: tuple[GroupRow, ...]


def settled(page: Page, where: Where, facets: Facets) -> Where:
    """The place with a run, filters and a step that exist: the newest step, or the nearest."""
    run = where.run if where.run in page.runs else next(iter(page.runs))
    filters = known_filters(where.filters, facets)
    step = nearest_step(facets.steps, where.step)
    moved = where.step is not None and step != where.step
    draw = "" if moved or run != where.run else where.draw
    return replace(where, run=run, step=step, filters=filters, draw=draw)


def nearest_step(steps: Sequence[int], step: int | None) -> int | None:
    """The step that was written nearest to one; the newest for None."""
    if not steps:
        return None
    if step is None:
        return steps[-1]
    at = bisect_left(steps, step)
    beside = steps[max(0, at - 1) : at + 1]
    return min(beside, key=lambda s: abs(s - step))


def step_beside(steps: Sequence[int], step: int | None, way: int) -> int | None:
    """The next written step in a direction (+1 or -1); the same one at either end."""
    here = nearest_step(steps, step)
    if here is None:
        return None
    return steps[min(max(steps.index(here) + way, 0), len(steps) - 1)]


def list_of(page: Page, where: Where, offset: int = 0) -> List:
    """The page of the list that begins at `offset`."""
    index = page.indexes[where.run]
    at = None if where.all_steps else where.step
    found = index.groups(where.filters.query(at, offset=max(0, offset)))
    if not found.rows and offset > 0 and found.total:
        offset = (found.total - 1) // ROWS * ROWS
        found = index.groups(where.filters.query(at, offset=offset))
    asked = questions_of(index, found.rows)
    html = list_html(found, asked, offset=offset, chosen=(where.step, where.draw))
    return List(html=html, offset=offset, total=found.total, rows=found.rows)


def opened(page: Page, where: Where) -> tuple[Where, List]:
    """The page of the list with the chosen group; without one, its first group is chosen."""
    shown = list_of(page, where)
    if not where.draw:
        if shown.rows:
            first = shown.rows[0]
            where = replace(where, step=first.step, draw=first.draw)
            shown = list_of(page, where)
        return where, shown
    for number in range(min(_MOST_PAGES, -(-shown.total // ROWS))):
        later = list_of(page, where, number * ROWS)
        if any((r.step, r.draw) == (where.step, where.draw) for r in later.rows):
            return where, later
    return where, shown


def beside(page: Page, where: Where, way: int) -> Where:
    """The group before (-1) or behind (+1) the chosen one in the list; the same at either end."""
    if where.step is None:
        return where
    query = where.filters.query(None if where.all_steps else where.step)
    before, after = page.indexes[where.run].neighbours(query, where.step, where.draw)
    row = after if way > 0 else before
    return where if row is None else replace(where, step=row.step, draw=row.draw)


def shown_group(page: Page, where: Where) -> str:
    """The chosen group as HTML; a note where there is none, or where it cannot be read."""
    if where.step is None or not where.draw:
        return note("No group is chosen." if where.step is not None else "No rollouts yet.")
    try:
        group = group_of(page, where.run, where.step, where.draw)
        tokens = tokens_of(page, where.run, group) if where.measure else {}
    except MmrlError as error:
        return note(str(error), "bad")
    media = media_of_run(page, where.run, group[0].record)
    return group_html(group, media, tokens, Look(measure=where.measure))


def group_of(page: Page, run: str, step: int, draw: str) -> tuple[Stored, ...]:
    """The records of a group."""
    return page.indexes[run].group(step, draw)


def media_of_run(page: Page, run: str, record: Mapping[str, Any]) -> list[Loaded | MediaError]:
    """The media of a record, an error in the place of each that cannot be shown."""
    out: list[Loaded | MediaError] = []
    for medium in media_of(record):
        try:
            out.append(page.pictures.load(page.runs[run], medium))
        except MediaError as error:
            out.append(error)
    return out


def tokens_of(page: Page, run: str, group: Sequence[Stored]) -> dict[int, list[dict[str, Any]]]:
    """Rows of the token table by number in the group."""
    files = page.runs[run]
    return {
        g: files.tokens(int(stored.record["step"]), stored.line, stored.rank)
        for g, stored in enumerate(group)
    }


def progress_note(index: RolloutIndex, budget_s: float) -> tuple[str, tuple[int, ...]]:
    """Reads what is new for a while; what is left to read in words, and a mark of what was read."""
    progress = index.refresh(budget_s)
    mark = (progress.files, progress.done, progress.rollouts, progress.bad_lines)
    words = []
    if progress.more:
        words.append(f"reading rollouts: {progress.done:,} of {progress.files:,} steps")
    if progress.bad_lines:
        words.append(f"{progress.bad_lines:,} lines hold no rollout")
    return " · ".join(words), mark
