"""The page: a bar with link, theme and keys above five views."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from mmrl.inspector.html_parts import note
from mmrl.inspector.links import Where, from_link, to_link
from mmrl.inspector.page import Page
from mmrl.inspector.script import help_html
from mmrl.inspector.views import compare, curves, rollouts, samples, try_it
from mmrl.inspector.views.shared import IN_TURN, QUIET, Shared, follow_link

TITLE = "mmrl inspect"
_NAMES = {
    "rollouts": "Rollouts",
    "curves": "Curves",
    "compare": "Compare",
    "samples": "Samples",
    "try": "Try it",
}


def build_app(page: Page) -> gr.Blocks:
    """The page over these runs, ready for `serve`."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as app:
        with gr.Row(elem_classes="mi-bar"):
            gr.HTML(f'<div class="mi-brand">{TITLE}<small>{_runs(page)}</small></div>')
            copy = gr.Button("Copy link", size="sm", scale=0, min_width=90, elem_id="mi-copy")
            theme = gr.Button("◐", size="sm", scale=0, min_width=40, elem_id="mi-theme")
            keys = gr.Button("?", size="sm", scale=0, min_width=40, elem_id="mi-keys")
        message = gr.HTML(elem_id="mi-message")
        gr.HTML(help_html(), elem_id="mi-helpbox")
        link = gr.Textbox(visible="hidden", elem_id="mi-link", show_label=False)
        where = gr.State(Where(view="", run=next(iter(page.runs))))  # no view is open yet
        tabs: dict[str, gr.Tab] = {}
        openers = {}
        with gr.Tabs(elem_id="mi-tabs") as bar:
            shared = Shared(where=where, link=link, message=message, tabs=bar)
            views: dict[str, Any] = {
                "rollouts": rollouts.tab,
                "curves": curves.tab,
                "compare": compare.tab,
            }
            for view, lay_out in views.items():
                with gr.Tab(_NAMES[view], id=view) as tabs[view]:
                    openers[view] = lay_out(page, shared)
            with gr.Tab(_NAMES["samples"], id="samples") as tabs["samples"]:
                samples.tab(page)
            with gr.Tab(_NAMES["try"], id="try") as tabs["try"]:
                try_it.tab(page)
        copy.click(None, js="() => window.mmrlCopy()", **QUIET)
        theme.click(None, js="() => window.mmrlTheme()", **QUIET)
        keys.click(None, js="() => window.mmrlHelp()", **QUIET)
        follow_link(link)

        def start(request: gr.Request) -> list[Any]:
            place, wrong = from_link(dict(request.query_params), page.runs)
            return [place, note(wrong, "bad") if wrong else "", gr.Tabs(selected=place.view)]

        loaded = app.load(start, None, [where, message, bar], **IN_TURN)
        for opener in openers.values():
            loaded = loaded.then(opener.fn, list(opener.inputs), list(opener.outputs), **IN_TURN)
        for view in tabs:
            chosen = tabs[view].select(_to_view(view), [where], [where, link], **IN_TURN)
            if view in openers:
                opener = openers[view]
                chosen.then(opener.fn, list(opener.inputs), list(opener.outputs), **IN_TURN)
    return app


def _to_view(view: str) -> Any:
    def go(place: Where) -> tuple[Where, str]:
        if not place.view:  # the first tab says that it is chosen before the link is read
            return place, ""
        place = replace(place, view=view)
        return place, to_link(place)

    return go


def _runs(page: Page) -> str:
    return f"{len(page.runs)} runs" if len(page.runs) > 1 else ""
