"""The Samples view: any data set, one sample at a time, with what its reference draws."""

from __future__ import annotations

from typing import Any

import gradio as gr

from mmrl.errors import MmrlError
from mmrl.inspector.browse import MOST_INDEX, MOST_SEED, Catalogue, Choice
from mmrl.inspector.html_parts import note
from mmrl.inspector.html_sample import CSS, origin_html, sample_html
from mmrl.inspector.page import Page
from mmrl.inspector.views.shared import QUIET

_FIRST = "digit_box"
"""What is shown first where no run says which data it has."""


def tab(page: Page) -> None:
    """Lays the view out in the current tab; it is filled when the tab is first chosen."""
    catalogue = Catalogue(page.data_roots, page.pool)
    names = catalogue.names()
    first = first_name(page, names)
    gr.HTML(f"<style>{CSS}</style>", elem_classes="mi-hidden")
    with gr.Row(elem_classes="mi-bar"):
        data = gr.Dropdown(names, value=first, label="Data set", scale=2, elem_id="mi-data")
        split = gr.Dropdown([], label="Split", allow_custom_value=True, elem_id="mi-split")
        level = gr.Dropdown([], label="Level", visible=False, elem_id="mi-level")
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MOST_SEED)
        options = gr.Textbox(label="Options", placeholder="key=value …", scale=2, max_length=500)
    with gr.Row(elem_classes="mi-bar"):
        back = gr.Button("◀ Previous", size="sm", scale=0, min_width=100, elem_id="mi-back")
        index = gr.Number(
            0,
            label="Sample",
            show_label=False,
            container=False,
            precision=0,
            minimum=0,
            maximum=MOST_INDEX,
            scale=0,
            min_width=110,
            elem_id="mi-index",
        )
        on = gr.Button("Next ▶", size="sm", scale=0, min_width=100, elem_id="mi-on-sample")
        count = gr.HTML(elem_id="mi-count")
    about = gr.HTML()
    shown = gr.HTML(elem_id="mi-shown-sample")
    controls = [data, split, level, seed, options, index]
    outputs = [index, count, shown]

    def show(*values: Any) -> list[Any]:
        name, part, hard, number, words, place = values
        choice = Choice(
            index=whole(place),
            split=part or "",
            seed=whole(number),
            level=hard or "",
            options=words or "",
        )
        look = catalogue.look(name or "", choice)
        of = f"of {look.size:,}" if look.size is not None else ""
        return [look.index, f'<div class="mi-count">{of}</div>', sample_html(look)]

    def choose(name: str, number: float) -> list[Any]:
        """Another data set: its splits and levels, and its first sample."""
        try:
            origin = catalogue.origin(name or "")
        except MmrlError as error:
            return [gr.skip(), gr.skip(), gr.skip(), "", 0, "", note(str(error), "bad")]
        levels = list(origin.levels)
        world = origin.kind == "world"
        chosen = levels[0] if levels else ""
        return [
            gr.Dropdown(list(origin.splits), value=origin.splits[0]),
            gr.Dropdown(levels, value=chosen or None, visible=world and len(levels) > 1),
            gr.Textbox("", visible=world),
            origin_html(origin),
            *show(name, origin.splits[0], chosen if world else "", number, "", 0),
        ]

    def step(by: int) -> Any:
        def go(*values: Any) -> list[Any]:
            return show(*values[:5], max(0, whole(values[5]) + by))

        return go

    chosen = [split, level, options, about, *outputs]
    data.input(choose, [data, seed], chosen, **QUIET)
    for control in (split, level):
        control.input(show, controls, outputs, **QUIET)
    for field in (seed, options, index):
        field.submit(show, controls, outputs, **QUIET)
    back.click(step(-1), controls, outputs, **QUIET)
    on.click(step(1), controls, outputs, **QUIET)
    when_first_chosen(choose, [data, seed], chosen)


def first_name(page: Page, names: list[str]) -> str:
    """The data set of the first run where the catalogue has it, else a small world."""
    for run in page.runs.values():
        try:
            entries = run.config.get("data")
        except MmrlError:
            continue
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and entry.get("task") in names:
                return str(entry["task"])
    return _FIRST if _FIRST in names else names[0]


def when_first_chosen(fill: Any, inputs: list[Any], outputs: list[Any]) -> None:
    """Calls `fill` when the tab that is being laid out is first chosen by a reader."""
    from gradio.context import Context

    parent = Context.block
    if not isinstance(parent, gr.Tab):  # a page of its own
        assert Context.root_block is not None  # a view is laid out inside of a page
        Context.root_block.load(fill, inputs, outputs, **QUIET)
        return
    seen = gr.State(False)

    def once(done: bool, *values: Any) -> list[Any]:
        return [True, *([gr.skip()] * len(outputs) if done else fill(*values))]

    parent.select(once, [seen, *inputs], [seen, *outputs], **QUIET)


def whole(value: Any) -> int:
    """The whole number of a field; 0 where it is empty or none."""
    return int(value) if isinstance(value, int | float) and abs(value) < 1e12 else 0
