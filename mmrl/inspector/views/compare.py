"""The Compare view: one sample at two steps, or in two runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from mmrl.errors import MmrlError
from mmrl.inspector import looking
from mmrl.inspector.html_compare import compare_html
from mmrl.inspector.html_parts import note
from mmrl.inspector.links import Where, to_link
from mmrl.inspector.page import Page
from mmrl.inspector.query import Query
from mmrl.inspector.rows import GroupRow
from mmrl.inspector.views.shared import IN_TURN, Opener, Shared

_MOST_SAMPLES = 100
_SLICE_S = 0.5
_LOOK_S = 0.1
"""For reading what is new in a run that may have the sample."""


def tab(page: Page, shared: Shared) -> Opener:
    """Lays the view out in the current tab; returns how it is filled."""
    names = list(page.runs)
    with gr.Row(elem_classes="mi-bar"):
        run_a = gr.Dropdown(names, label="Run A", elem_id="mi-run-a")
        run_b = gr.Dropdown(names, label="Run B", elem_id="mi-run-b")
        sample = gr.Dropdown(
            [], label="Sample", allow_custom_value=True, scale=2, elem_id="mi-sample"
        )
        at_a = gr.Dropdown([], label="A at", elem_id="mi-at-a")
        at_b = gr.Dropdown([], label="B at", elem_id="mi-at-b")
    shown = gr.HTML(elem_id="mi-compared")
    outputs = [shared.where, shared.link, run_a, run_b, sample, at_a, at_b, shown]

    def fill(place: Where) -> list[Any]:
        """Both sides for a place; what it leaves open is chosen: the sample's first and last draw,
        or the same step of another run where it was drawn once."""
        if place.view != "compare":
            return [gr.skip()] * len(outputs)
        a = place.run if place.run in page.runs else names[0]
        page.indexes[a].refresh(_SLICE_S)
        b = place.other if place.other in page.runs else partner(page, a, place.sample)
        page.indexes[b].refresh(_SLICE_S)
        samples = candidates(page, a, b)
        chosen = place.sample or (samples[0] if samples else "")
        rows_a, rows_b = page.indexes[a].sample(chosen), page.indexes[b].sample(chosen)
        left = _nearest(rows_a, place.step, place.draw, 0)
        same = left.step if left and b != a else None  # of two runs: the same step
        right = _nearest(rows_b, same if place.step_b is None else place.step_b, place.draw_b, -1)
        place = replace(place, run=a, other=b if b != a else "", sample=chosen)
        if left and right:
            place = replace(
                place, step=left.step, draw=left.draw, step_b=right.step, draw_b=right.draw
            )
        listed = samples if chosen in samples or not chosen else [chosen, *samples]
        return [
            place,
            to_link(place),
            a,
            b,
            gr.Dropdown(listed, value=chosen),
            gr.Dropdown(_choices(rows_a), value=_key(left) if left else None),
            gr.Dropdown(_choices(rows_b), value=_key(right) if right else None),
            _compared(page, (a, left), (b, right), chosen),
        ]

    def rerun(place: Where, a: str, b: str) -> list[Any]:
        there = replace(place, run=a or names[0], other=b or "", step_b=None, draw_b="")
        return fill(replace(there, sample=place.sample if a == place.run else ""))

    def to_sample(place: Where, chosen: str) -> list[Any]:
        place = replace(place, sample=(chosen or "")[:300], draw="", draw_b="")
        return fill(replace(place, step=None, step_b=None))

    def to_groups(place: Where, a: str, b: str) -> list[Any]:
        step_a, draw_a = _unkey(a)
        step_b, draw_b = _unkey(b)
        return fill(replace(place, step=step_a, draw=draw_a, step_b=step_b, draw_b=draw_b))

    where = shared.where
    for control in (run_a, run_b):
        control.input(rerun, [where, run_a, run_b], outputs, **IN_TURN)
    sample.input(to_sample, [where, sample], outputs, **IN_TURN)
    for control in (at_a, at_b):
        control.input(to_groups, [where, at_a, at_b], outputs, **IN_TURN)
    return Opener(fill, [where], outputs)


def partner(page: Page, a: str, sample: str) -> str:
    """The run that a sample of run `a` (without one: any) is compared with where none is chosen.

    That is `a` itself where it was drawn there twice, else the first other run that has it.
    """
    for b in (a, *(name for name in page.runs if name != a)):
        page.indexes[b].refresh(_LOOK_S)
        if _in_both(page, a, b, sample) if sample else candidates(page, a, b):
            return b
    return a


def candidates(page: Page, a: str, b: str) -> list[str]:
    """Samples that both sides have, drawn at two steps at least where both are one run."""
    query = Query(sort="step", descending=True, limit=_MOST_SAMPLES * 2)
    seen = dict.fromkeys(row.sample for row in page.indexes[a].groups(query).rows)
    return [s for s in list(seen)[:_MOST_SAMPLES] if s and _in_both(page, a, b, s)]


def _in_both(page: Page, a: str, b: str, sample: str) -> bool:
    """Whether run b has a group of a sample of run a, another one where both are one run."""
    return len(page.indexes[b].sample(sample)) > (a == b)


def _compared(
    page: Page, a: tuple[str, GroupRow | None], b: tuple[str, GroupRow | None], sample: str
) -> str:
    (run_a, left), (run_b, right) = a, b
    if not sample:
        return note(
            "No sample was drawn twice here. Choose two runs, or a sample that comes again."
        )
    if left is None or right is None:
        lacking = run_a if left is None else run_b
        return note(f"{lacking} has no group of the sample {sample[:120]}")
    try:
        group_a = looking.group_of(page, run_a, left.step, left.draw)
        group_b = looking.group_of(page, run_b, right.step, right.draw)
    except MmrlError as error:
        return note(str(error), "bad")
    media = looking.media_of_run(page, run_a, group_a[0].record)
    names = (f"{run_a}, step {left.step}", f"{run_b}, step {right.step}")
    return compare_html([s.record for s in group_a], [s.record for s in group_b], media, names)


def _nearest(
    rows: tuple[GroupRow, ...], step: int | None, draw: str, default: int
) -> GroupRow | None:
    """The group that was asked for, else the one nearest in steps, else the first or last."""
    if not rows:
        return None
    for row in rows:
        if (row.step, row.draw) == (step, draw):
            return row
    if step is not None:
        return min(rows, key=lambda row: abs(row.step - step))
    return rows[default]


def _choices(rows: tuple[GroupRow, ...]) -> list[tuple[str, str]]:
    return [(f"step {row.step} · draw {row.draw[:40]}", _key(row)) for row in rows[:2000]]


def _key(row: GroupRow) -> str:
    return f"{row.step}/{row.draw}"


def _unkey(key: str | None) -> tuple[int | None, str]:
    step, _, draw = (key or "").partition("/")
    return (int(step), draw) if step.isascii() and step.isdigit() else (None, "")
