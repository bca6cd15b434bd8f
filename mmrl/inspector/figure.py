"""Figures of the inspector: colours, labels that nothing is read from, one layout for all.

Transparent, with greys that are readable on a light and on a dark page, so that a figure need not
know the theme.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from mmrl.errors import ConfigError
from mmrl.parse.visible import visible

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of runs, in order: told apart by every kind of colour vision (Okabe and Ito)."""
_DASHES = ("solid", "dash", "dot", "dashdot")
_MEANINGFUL = frozenset("<>&\"'$%{}")
_GREY = "#767e8a"  # contrast of 4 to 1 with white and with the inspector's dark page


def label(text: str, most: int = 80) -> str:
    """A label that plotly shows as it is: no tag, link, LaTeX or template in it is read.

    Signs that mean something in plotly's labels (< > & " ' $ % and braces) become numeric character
    references, which it turns back after all else (it knows few by name); hidden characters become
    signs as in all texts.
    """
    plain = " ".join(visible(text[:most]).split()) + ("…" if len(text) > most else "")
    return "".join(f"&#{ord(sign)};" if sign in _MEANINGFUL else sign for sign in plain)


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the n-th run; 24 runs look different."""
    colour = COLOURS[number % len(COLOURS)]
    dash = _DASHES[number // len(COLOURS) % len(_DASHES)]
    return {
        "type": "scatter",
        "mode": "lines",
        "legendgroup": str(number),
        "line": {"color": colour, "width": 2, "dash": dash},
    }


def figure_of(
    title: str,
    traces: list[dict[str, Any]],
    key: str,
    *,
    borders: Sequence[tuple[int, str]] = (),
    legend: bool = False,
) -> Any:
    """A plotly figure of traces over steps, with a dotted line and a name where a stage begins.

    `title` and the names in the traces are labels already; stage names are made so here. `key`
    keeps zoom and hidden lines when the figure is drawn again. Without plotly: a ConfigError.
    """
    axis = {
        "gridcolor": "rgba(128,128,128,0.2)",
        "linecolor": "rgba(128,128,128,0.4)",
        "zeroline": False,
        "automargin": True,
    }
    dotted = {"type": "line", "line": {"color": _GREY, "width": 1, "dash": "dot"}}
    beside = {"showarrow": False, "textangle": 90, "xanchor": "left", "yanchor": "top"}
    corner = {"x": 1, "xref": "paper", "xanchor": "right", "y": 0, "yref": "paper"}
    corner |= {"yanchor": "bottom", "showarrow": False}  # under the axis it would meet the legend
    layout = {
        "title": {"text": title, "font": {"size": 14}, "x": 0.02},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": _GREY, "size": 12},
        "height": 280,
        "margin": {"l": 50, "r": 12, "t": 40, "b": 28},
        "hovermode": "x",
        "showlegend": legend,
        "legend": {"orientation": "h", "y": -0.14, "bgcolor": "rgba(0,0,0,0)"},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": _GREY},
        "xaxis": axis,
        "yaxis": axis,
        "shapes": [
            {**dotted, "x0": step, "x1": step, "y0": 0, "y1": 1, "yref": "paper"}
            for step, _ in borders
        ],
        "annotations": [
            {**corner, "text": "step"},
            *(
                {**beside, "x": step, "y": 1, "yref": "paper", "text": label(stage, 24)}
                for step, stage in borders
            ),
        ],
        "uirevision": label(key),
        "template": {},
    }
    return _plotly().Figure({"data": traces, "layout": layout})


def faint(colour: str, opacity: float) -> str:
    """rgba of a colour like #0072B2."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def _plotly() -> Any:
    try:
        return importlib.import_module("plotly.graph_objects")
    except ImportError as error:
        raise ConfigError(
            f"curves need the package plotly: pip install 'mmrl[inspect]' ({error})"
        ) from error
