"""What the views of the page share: where the reader is, its link, messages, and the tabs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from mmrl.inspector.script import SHOW_LINK

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""For every event: none is an address of its own for others, none dims the page."""
IN_TURN: dict[str, Any] = {**QUIET, "concurrency_id": "place", "concurrency_limit": 1}
"""For events that read and write the place: one after the other, each sees what the last left."""


@dataclass(frozen=True, eq=False)
class Shared:
    """Components outside of the tabs."""

    where: gr.State
    """The `Where` of this reader; its view is "" until the link of the page was read."""
    link: gr.Textbox
    """The query part of the address; a change of it changes the address."""
    message: gr.HTML
    """What is wrong with a link, and the like."""
    tabs: gr.Tabs


@dataclass(frozen=True, eq=False)
class Opener:
    """How a view is filled when it is opened: `fn` makes the values of `outputs` from `inputs`."""

    fn: Callable[..., Any]
    inputs: Sequence[Any]
    outputs: Sequence[Any]


def follow_link(link: gr.Textbox) -> None:
    """Writes each new link into the address."""
    link.change(None, [link], None, js=SHOW_LINK, **QUIET)
