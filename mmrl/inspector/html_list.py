"""The list of groups as HTML: a row a group, to be clicked or walked through by keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.inspector.html_parts import note, number, short, spread_bar
from mmrl.inspector.index import RolloutIndex
from mmrl.inspector.links import ROWS
from mmrl.inspector.rows import GroupRow, Page
from mmrl.inspector.safe import inert


def list_html(
    page: Page[GroupRow],
    questions: Mapping[tuple[int, str], str],
    *,
    offset: int = 0,
    chosen: tuple[int | None, str] = (None, ""),
) -> str:
    """A page of groups; `questions` by step and draw, `chosen` is the group that is shown."""
    if not page.rows:
        return note("No group passes these filters.")
    rows = []
    for row in page.rows:
        on = (row.step, row.draw) == chosen
        right = "" if row.num_correct is None else f"{row.num_correct}/{row.num} right"
        asked = questions.get((row.step, row.draw), row.sample)
        ends = [v for v in (row.low, row.reward, row.high) if v is not None]
        rows.append(
            f'<button type="button" role="option" class="mi-row{" mi-on" if on else ""}" '
            f'aria-selected="{"true" if on else "false"}" '
            f'data-step="{int(row.step)}" data-draw="{inert(row.draw)}">'
            f'<span class="mi-asked">{short(asked, 140)}</span>'
            f'<span class="mi-brief"><span>step {int(row.step)}</span>'
            f"<span>{right}</span><b>{number(row.reward)}</b></span>"
            f"{_range_bar(ends)}</button>"
        )
    first, last = offset + 1, offset + len(page.rows)
    count = f'<div class="mi-count">{first}–{last} of {page.total:,} groups</div>'
    return f'{count}<div class="mi-list" role="listbox" aria-label="groups">{"".join(rows)}</div>'


def questions_of(index: RolloutIndex, rows: Sequence[GroupRow]) -> dict[tuple[int, str], str]:
    """The questions of a page of groups, from their first records."""
    found: dict[tuple[int, str], str] = {}
    for row in rows[:ROWS]:
        stored = index.group(row.step, row.draw)
        question: Any = stored[0].record.get("question")
        if isinstance(question, str) and question.strip():
            found[row.step, row.draw] = " ".join(question[:400].split())
    return found


def _range_bar(values: Sequence[float]) -> str:
    """Where lowest, mean and highest reward lie between 0 and 1 (or the highest)."""
    if not values:
        return ""
    return spread_bar([values[0], values[-1]], small=True)
