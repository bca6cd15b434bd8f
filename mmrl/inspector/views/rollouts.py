"""The Rollouts view: filters and a list of groups on the left, the group on the right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from mmrl.errors import MmrlError
from mmrl.inspector import looking
from mmrl.inspector.export import export_group
from mmrl.inspector.html_parts import note
from mmrl.inspector.links import ROWS, Filters, Where, to_link
from mmrl.inspector.page import Page
from mmrl.inspector.query import PART, SORT_KEYS
from mmrl.inspector.rows import Facets
from mmrl.inspector.safe import inert
from mmrl.inspector.script import PICK, PRESS_DOWNLOAD
from mmrl.inspector.views.shared import IN_TURN, QUIET, Opener, Shared

_BUSY_S, _IDLE_S = 1.0, 3.0
"""Seconds between looks for new rollouts while there is more to read, and else."""
_SLICE_S = 0.4
KEYED: dict[str, Any] = {**IN_TURN, "trigger_mode": "multiple"}
"""For what a held key repeats: no press is lost."""
_WORDS = {
    "step": "step",
    "reward": "reward",
    "score": "score",
    "num_tokens": "length",
    "advantage": "advantage",
    "spread": "spread",
}
_TOKENS = [
    ("as parsed", ""),
    ("log-prob", "logp"),
    ("entropy", "entropy"),
    ("advantage", "advantage"),
    ("weight", "weight"),
]
_CORRECT = [("any", ""), ("some right", "right"), ("some wrong", "wrong")]


def tab(page: Page, shared: Shared) -> Opener:
    """Lays the view out in the current tab; returns how it is filled."""
    with gr.Row(elem_classes="mi-view"):
        with gr.Column(scale=1, min_width=280, elem_classes="mi-side mi-tight"):
            run = gr.Dropdown(list(page.runs), label="Run", elem_id="mi-run")
            with gr.Row(elem_classes="mi-tight"):
                step_back = gr.Button("◀", size="sm", elem_id="mi-step-previous", min_width=30)
                step = gr.Slider(0, 1, step=1, label="Step", elem_id="mi-step", scale=8)
                step_on = gr.Button("▶", size="sm", elem_id="mi-step-next", min_width=30)
            with gr.Row(elem_classes="mi-tight"):
                all_steps = gr.Checkbox(label="All steps", min_width=80, elem_id="mi-all")
                newest = gr.Checkbox(label="Follow newest", min_width=100, elem_id="mi-follow")
            text = gr.Textbox(
                label="Search", placeholder="in questions and completions", elem_id="mi-search"
            )
            with gr.Accordion("Filters and order", open=False, elem_id="mi-filters"):
                with gr.Row(elem_classes="mi-tight"):
                    task = gr.Dropdown([("all", "")], label="Task", min_width=110)
                    stage = gr.Dropdown([("all", "")], label="Stage", min_width=110)
                with gr.Row(elem_classes="mi-tight"):
                    correct = gr.Dropdown(
                        _CORRECT, label="Outcome", min_width=110, elem_id="mi-correct"
                    )
                    flat = gr.Checkbox(label="Zero spread only", min_width=110, elem_id="mi-flat")
                with gr.Row(elem_classes="mi-tight"):
                    stop = gr.Dropdown([("all", "")], label="Stopped by", min_width=110)
                    verdict = gr.Dropdown([("all", "")], label="Verdict", min_width=110)
                part = gr.Dropdown([("any", "")], label="Reward part", elem_id="mi-part")
                with gr.Row(elem_classes="mi-tight"):
                    low = gr.Number(label="Part from", min_width=70)
                    high = gr.Number(label="to", min_width=70)
                with gr.Row(elem_classes="mi-tight"):
                    shortest = gr.Number(label="Tokens from", precision=0, min_width=70)
                    longest = gr.Number(label="to", precision=0, min_width=70)
                with gr.Row(elem_classes="mi-tight"):
                    sort = gr.Dropdown(
                        _sorts(()), label="Order by", min_width=110, elem_id="mi-sort"
                    )
                    descending = gr.Checkbox(label="Descending", min_width=90)
                clear = gr.Button("Clear filters", size="sm")
            status = gr.HTML(elem_id="mi-status")
            groups = gr.HTML(js_on_load=PICK, elem_id="mi-groups")
            with gr.Row(elem_classes="mi-tight"):
                page_back = gr.Button("Previous page", size="sm", min_width=60)
                page_on = gr.Button("Next page", size="sm", min_width=60)
        with gr.Column(scale=4, min_width=420):
            with gr.Row(elem_classes="mi-bar"):
                back = gr.Button("↑ Previous", size="sm", elem_id="mi-previous", min_width=90)
                on = gr.Button("↓ Next", size="sm", elem_id="mi-next", min_width=90)
                measure = gr.Radio(
                    _TOKENS,
                    label="Completions",
                    show_label=False,
                    container=False,
                    elem_id="mi-measure",
                    scale=6,
                )
                compare = gr.Button("Compare", size="sm", elem_id="mi-to-compare", min_width=80)
                as_png = gr.Button("PNG", size="sm", elem_id="mi-png", min_width=60)
                as_json = gr.Button("JSON", size="sm", elem_id="mi-json", min_width=60)
                file = gr.DownloadButton("", elem_id="mi-file", elem_classes="mi-hidden")
            group = gr.HTML(elem_id="mi-group")
    offset, mark = gr.State(0), gr.State(())
    timer = gr.Timer(_IDLE_S)

    where, link = shared.where, shared.link
    wanted = [task, stage, correct, stop, verdict, part, low, high, shortest, longest]
    wanted += [flat, text, sort, descending]
    choices = [run, step, all_steps, measure, *wanted]
    shown = [where, link, offset, groups, status]
    everything = [*shown, group, mark, timer, *choices]

    def values(place: Where, facets: Facets) -> list[Any]:
        """The controls as they stand for a place."""
        f = place.filters
        steps = facets.steps or (0,)
        return [
            place.run,
            gr.Slider(
                minimum=steps[0],
                maximum=max(steps[-1], steps[0] + 1),
                value=place.step if place.step is not None else steps[0],
                interactive=len(steps) > 1 and not place.all_steps,
            ),
            place.all_steps,
            place.measure or "",
            gr.Dropdown([("all", ""), *_same(facets.tasks)], value=f.task),
            gr.Dropdown([("all", ""), *_same(facets.stages)], value=f.stage),
            f.correct,
            gr.Dropdown([("all", ""), *_same(facets.stops)], value=f.stop),
            gr.Dropdown([("all", ""), *_same(facets.verdicts)], value=f.verdict),
            gr.Dropdown([("any", ""), *_same(facets.parts)], value=f.part),
            f.low,
            f.high,
            f.shortest,
            f.longest,
            f.flat,
            f.text,
            gr.Dropdown(_sorts(facets.parts), value=f.sort),
            f.descending,
        ]

    def listed(place: Where, at: int = 0, words: str = "") -> tuple[Where, list[Any]]:
        """A page of the list with its place; errors of a filter in words."""
        try:
            found = looking.list_of(page, place, at)
        except MmrlError as error:
            return place, [place, to_link(place), at, note(str(error), "bad"), words]
        return place, [place, to_link(place), found.offset, found.html, words]

    def fill(place: Where) -> list[Any]:
        """Everything, for a place that comes from a link or another run."""
        index = page.indexes[place.run]
        words, seen = looking.progress_note(index, _SLICE_S)
        facets = index.facets()
        place = looking.settled(page, place, facets)
        try:
            place, found = looking.opened(page, place)
            html, at = found.html, found.offset
        except MmrlError as error:
            html, at = note(str(error), "bad"), 0
        head = [place, to_link(place), at, html, note(words) if words else ""]
        tick = gr.Timer(_BUSY_S if words.startswith("reading") else _IDLE_S)
        return [*head, looking.shown_group(page, place), seen, tick, *values(place, facets)]

    def to_run(place: Where, name: str) -> list[Any]:
        return fill(replace(place, run=name, step=None, draw=""))

    def refilter(place: Where, at_step: float, every: bool, colour: str, *given: Any) -> list[Any]:
        """After a change of step or filters: the list anew, and its first group."""
        steps = page.indexes[place.run].facets().steps
        place = replace(
            place,
            step=looking.nearest_step(steps, int(at_step)),
            all_steps=bool(every),
            measure=_measure(colour),
            filters=_filters(given),
            draw="",
        )
        place, out = listed(place)
        if not isinstance(out[3], str) or "mi-row" not in out[3]:
            return [*out, looking.shown_group(page, place)]
        place, found = looking.opened(page, place)
        return [
            place,
            to_link(place),
            found.offset,
            found.html,
            "",
            looking.shown_group(page, place),
        ]

    def typed(place: Where, at_step: float, every: bool, colour: str, *given: Any) -> list[Any]:
        if _filters(given) == place.filters:  # the page itself filled the field
            return [gr.skip()] * 6
        return refilter(place, at_step, every, colour, *given)

    def stepped(place: Where, way: int) -> list[Any]:
        steps = page.indexes[place.run].facets().steps
        goal = looking.step_beside(steps, place.step, way)
        place = replace(place, step=goal, draw="", all_steps=False)
        place, found = looking.opened(page, place)
        out = [place, to_link(place), found.offset, found.html, ""]
        return [*out, looking.shown_group(page, place), goal if goal is not None else 0, False]

    def picked(place: Where, at: int, event: gr.EventData) -> list[Any]:
        data = event._data if isinstance(event._data, dict) else {}
        number, draw = str(data.get("step", "")), str(data.get("draw", ""))
        if not (number.isascii() and number.isdigit() and len(number) < 13):
            return [gr.skip()] * 6
        place = replace(place, step=int(number), draw=draw)
        _, out = listed(place, at)
        return [*out, looking.shown_group(page, place)]

    def moved(place: Where, at: int, way: int) -> list[Any]:
        goal = looking.beside(page, place, way)
        if goal == place:
            return [gr.skip()] * 6
        _, out = listed(goal, at)
        if "mi-on" not in out[3]:
            _, out = listed(goal, max(0, at + way * ROWS))
        return [*out, looking.shown_group(page, goal)]

    def turned(place: Where, at: int, way: int) -> list[Any]:
        return listed(place, max(0, at + way * ROWS))[1]

    def coloured(place: Where, colour: str) -> list[Any]:
        place = replace(place, measure=_measure(colour))
        return [place, to_link(place), looking.shown_group(page, place)]

    def tick(place: Where, at: int, seen: tuple[int, ...], follow: bool) -> list[Any]:
        """Looks for new rollouts; nothing on the page moves but the list, the range and notes."""
        if place.view != "rollouts":
            return [gr.skip()] * len(everything)
        index = page.indexes[place.run]
        words, found = looking.progress_note(index, _SLICE_S)
        if tuple(seen) == found:
            return [gr.skip()] * len(everything)
        facets = index.facets()
        fresh = place.step is None or not place.draw
        newest_step = facets.steps[-1] if facets.steps else None
        if (follow and newest_step != place.step) or fresh:
            place = replace(place, step=newest_step if follow else place.step, draw="")
            return fill(place)
        _, out = listed(place, at, note(words) if words else "")
        beat = gr.Timer(_BUSY_S if words.startswith("reading") else _IDLE_S)
        controls = values(place, facets)

        for i, kept in enumerate(choices):
            if kept in (low, high, shortest, longest, text):  # what may be being typed
                controls[i] = gr.skip()
        return [*out, gr.skip(), found, beat, *controls]

    def cleared(place: Where) -> list[Any]:
        return fill(replace(place, filters=Filters(), draw=""))

    def exported(place: Where, form: str) -> Any:
        try:
            return str(export_group(page, place, form))
        except MmrlError as error:
            raise gr.Error(inert(str(error)[:500])) from None  # Gradio shows it as HTML

    run.input(to_run, [where, run], everything, **IN_TURN)
    asked = [where, step, all_steps, measure, *wanted]
    for control in (all_steps, correct, flat, task, stage, stop, verdict, part, sort, descending):
        control.input(refilter, asked, [*shown, group], **IN_TURN)
    for field in (low, high, shortest, longest, text):
        # `input` comes from keys alone: not from the backspace, nor from what is pasted
        field.change(typed, asked, [*shown, group], trigger_mode="always_last", **IN_TURN)
    step.release(refilter, asked, [*shown, group], **IN_TURN)
    clear.click(cleared, [where], everything, **IN_TURN)
    groups.click(picked, [where, offset], [*shown, group], **IN_TURN)
    for button, way in ((step_back, -1), (step_on, 1)):
        button.click(_bound(stepped, way), [where], [*shown, group, step, all_steps], **KEYED)
    for button, way in ((back, -1), (on, 1)):
        button.click(_bound(moved, way), [where, offset], [*shown, group], **KEYED)
    for button, way in ((page_back, -1), (page_on, 1)):
        button.click(_bound(turned, way), [where, offset], shown, **IN_TURN)
    measure.input(coloured, [where, measure], [where, link, group], **IN_TURN)
    timer.tick(tick, [where, offset, mark, newest], everything, **IN_TURN)
    for button, form in ((as_png, "png"), (as_json, "json")):
        done = button.click(_bound(exported, form), [where], [file], **IN_TURN)
        done.success(None, js=PRESS_DOWNLOAD, **QUIET)
    compare.click(
        lambda place: (
            replace(place, view="compare", sample=_sample(page, place), step_b=None, draw_b=""),
            gr.Tabs(selected="compare"),
        ),
        [where],
        [where, shared.tabs],
        **IN_TURN,
    )

    def open_view(place: Where) -> list[Any]:
        return fill(place) if place.view == "rollouts" else [gr.skip()] * len(everything)

    return Opener(open_view, [where], everything)


def _bound(function: Any, last: Any) -> Any:
    """The function with its last argument given."""
    return lambda *given: function(*given, last)


def _filters(given: tuple[Any, ...]) -> Filters:
    """Filters from the values of the controls, in their order."""
    task, stage, correct, stop, verdict, part, low, high, shortest, longest, *rest = given
    flat, text, sort, descending = rest
    return Filters(
        task=task or "",
        stage=stage or "",
        correct=correct or "",
        stop=stop or "",
        verdict=verdict or "",
        part=part or "",
        low=low,
        high=high,
        shortest=None if shortest is None else int(shortest),
        longest=None if longest is None else int(longest),
        flat=bool(flat),
        text=(text or "")[:300],
        sort=sort or "step",
        descending=bool(descending),
    )


def _measure(value: str) -> Any:
    return value if value in {v for _, v in _TOKENS} and value else None


def _sorts(parts: tuple[str, ...]) -> list[tuple[str, str]]:
    own = [(f"part: {name}", f"{PART}{name}") for name in parts]
    return [*((_WORDS[key], key) for key in SORT_KEYS), *own]


def _same(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name or "(none)", name) for name in names if name]


def _sample(page: Page, place: Where) -> str:
    if place.step is None or not place.draw:
        return ""
    try:
        group = looking.group_of(page, place.run, place.step, place.draw)
    except MmrlError:
        return ""
    return str(group[0].record.get("sample") or "")
