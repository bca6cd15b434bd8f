"""The Curves view: the figures of several runs laid over each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from mmrl.errors import MmrlError
from mmrl.inspector.curves import Curves, RunRecords
from mmrl.inspector.html_parts import note
from mmrl.inspector.links import BANDS, KEEP, Where, to_link
from mmrl.inspector.page import Page
from mmrl.inspector.views.shared import IN_TURN, Opener, Shared

MOST_FIGURES = 30
"""Figures drawn at once."""
_MOST_RUNS = 6
"""Runs that are drawn without being asked for."""
_MOST_PHASES = 3
_COLUMNS = 3
_BEAT_S = 5.0
_BANDS = [("min to max", "range"), ("95 % interval of the mean", "interval"), ("apart", "")]


def tab(page: Page, shared: Shared) -> Opener:
    """Lays the view out in the current tab; returns how it is filled."""
    names = list(page.runs)
    with gr.Row(elem_classes="mi-bar"):
        runs = gr.Dropdown(names, multiselect=True, label="Runs", scale=3, elem_id="mi-curve-runs")
        keys = gr.Dropdown(
            [],
            multiselect=True,
            label="Figures (none: the usual ones)",
            scale=3,
            elem_id="mi-curve-keys",
        )
        keep = gr.Slider(
            0.0, 0.99, value=KEEP, step=0.01, label="Smoothing", scale=2, elem_id="mi-smoothing"
        )
        band = gr.Dropdown(_BANDS, value="range", label="Seeds", scale=2, elem_id="mi-band")
    status = gr.HTML(elem_id="mi-curve-status")
    plots = []
    for start in range(0, MOST_FIGURES, _COLUMNS):
        with gr.Row():
            plots += [
                gr.Plot(
                    visible=False,
                    show_label=False,
                    container=False,
                    min_width=300,
                    elem_id=f"mi-plot-{start + column}",
                )
                for column in range(_COLUMNS)
            ]
    mark = gr.State(())
    timer = gr.Timer(_BEAT_S)
    where = shared.where
    outputs = [where, shared.link, runs, keys, keep, band, status, *plots, mark]

    def draw(place: Where) -> list[Any]:
        """Everything of the view for a place."""
        chosen = [n for n in place.runs if n in page.runs] or names[:_MOST_RUNS]
        seen = _mark(page, place, chosen)
        every: list[str] = []
        try:
            drawn = curves_of(page, chosen)
            every = drawn.keys()
            figures, words = figures_of(drawn, place)
        except MmrlError as error:
            figures, words = [], note(str(error), "bad")
        place = replace(place, keys=tuple(k for k in place.keys if k in every))
        filled = [gr.Plot(figure, visible=True) for figure in figures]
        hidden = [gr.Plot(visible=False)] * (MOST_FIGURES - len(filled))
        controls = [
            chosen,
            gr.Dropdown(every, value=list(place.keys)),
            place.keep,
            place.band or "",
        ]
        return [place, to_link(place), *controls, words, *filled, *hidden, seen]

    def chosen_anew(
        place: Where, wanted: list[str], figures: list[str], smooth: float, seeds: str
    ) -> list[Any]:
        runs_wanted = () if wanted == names[:_MOST_RUNS] else tuple(wanted)
        place = replace(place, runs=runs_wanted, keys=tuple(figures or ()))
        return draw(
            replace(place, keep=float(smooth), band=next((b for b in BANDS if b == seeds), None))
        )

    def look(place: Where, seen: Sequence[Any]) -> list[Any]:
        """Draws anew where the view is open and a run has more to show."""
        chosen = [n for n in place.runs if n in page.runs] or names[:_MOST_RUNS]
        if place.view != "curves" or tuple(seen) == _mark(page, place, chosen):
            return [gr.skip()] * len(outputs)
        return draw(place)

    controls = [where, runs, keys, keep, band]
    for control in (runs, keys, band):
        control.input(chosen_anew, controls, outputs, **IN_TURN)
    keep.release(chosen_anew, controls, outputs, **IN_TURN)
    timer.tick(look, [where, mark], outputs, **IN_TURN)
    return Opener(look, [where, mark], outputs)


def curves_of(page: Page, names: Sequence[str]) -> Curves:
    """The curves of these runs, as far as they are written."""
    chosen = [page.runs[name] for name in names]
    return Curves([RunRecords(name=r.name, records=r.records(), config=r.config) for r in chosen])


def figures_of(drawn: Curves, place: Where) -> tuple[list[Any], str]:
    """The figures of a place, at most `MOST_FIGURES`, and what is left out in words."""
    every = drawn.keys()
    wanted = [k for k in place.keys if k in every]
    shown = wanted or drawn.first_keys()
    most = MOST_FIGURES - _MOST_PHASES
    figures = [drawn.figure(k, keep=place.keep, band=place.band) for k in shown[:most]]
    if not wanted and any(key.startswith("time/") for key in every):
        for run in range(min(len(drawn.runs), _MOST_PHASES)):
            try:
                figures.append(drawn.phases(run))
            except MmrlError:  # this run does not say where its time goes
                continue
    words = "" if figures else note("No step is written yet.")
    if len(shown) > most:
        words = note(f"{len(shown)} figures; the first {most} are drawn: choose among them above")
    return figures, words


def _mark(page: Page, place: Where, names: Sequence[str]) -> tuple[Any, ...]:
    """What tells whether figures are as they would be drawn now."""
    counts = tuple(len(page.runs[name].records()) for name in names)
    return (*names, *counts, *place.keys, place.keep, place.band or "")
