"""Questions that a chart's table cannot answer: low programmability.

About colours, hatches, dashes and the place of the legend; and about charts without a value axis,
where marks are compared by eye because their numbers are nowhere written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from mmrl.tasks.chart_questions import Asked, clear_slope, correlation
from mmrl.tasks.chart_scene import Kind, Scene

AskLook = Callable[[np.random.Generator, Scene], Asked | None]


def colour(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The colour of a bar, slice, line or series."""
    if scene.kind == "scatter":
        text, name, i = "What colour are the points?", "points", 0
    else:
        named = scene.names if scene.by_row else scene.series
        i = int(rng.integers(len(named)))
        name = named[i]
        thing = {"pie": "slice", "line": "line"}.get(scene.kind, "bar" if scene.by_row else "bars")
        lone = scene.kind == "line" and len(named) == 1
        text = "What colour is the line?" if lone else f"What colour is the {thing} of {name}?"
        text = text.replace("is the bars", "are the bars")
        name = "line" if lone else name
    return _asked("colour", 1, text, f"colour of {name}", scene.look.colours[i])


def by_colour(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """What has a given colour."""
    named = scene.names if scene.by_row else scene.series
    if len(named) < 2 or len(set(scene.look.colours)) < len(named):
        return None
    i = int(rng.integers(len(named)))
    ink = scene.look.colours[i]
    what = scene.key if scene.by_row and scene.source.title else "letter" if scene.by_row else ""
    text = f"Which {what} is drawn in {ink}?" if what else f"Which series is drawn in {ink}?"
    return _asked("by_colour", 1, text, f"which is {ink}", named[i])


def special(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """Which bar is hatched, which line is dashed."""
    i = scene.look.special
    if i is None:
        return None
    word = "dashed" if scene.kind == "line" else "hatched"
    thing = "line" if scene.kind == "line" else "bar"
    named = scene.names if scene.by_row else scene.series
    if len(named) < 2:
        return None
    return _asked("special", 1, f"Which {thing} is {word}?", f"which is {word}", named[i])


def legend(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """On which side the legend stands."""
    if len(scene.series) < 2:
        return None
    text = "Is the legend at the left or at the right?"
    return _asked("legend", 1, text, "legend left or right", scene.look.legend)


def taller(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The larger of two marks without an axis."""
    if scene.look.axis or len(scene.series) > 1:
        return None
    a, b = (int(i) for i in rng.permutation(len(scene.names))[:2])
    values = scene.values[0]
    size = sum(values) if scene.kind == "pie" else max(values)
    if abs(values[a] - values[b]) < 0.06 * size:
        return None
    first, second = scene.names[a], scene.names[b]
    answer = first if values[a] > values[b] else second
    if scene.kind == "pie":
        text = f"Which slice looks larger: {first} or {second}?"
        return _asked("taller", 2, text, f"larger: {first} or {second}", answer)
    text = f"Which looks taller: {first} or {second}?"
    return _asked("taller", 2, text, f"taller: {first} or {second}", answer)


def tallest(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The largest of all marks without an axis, or the least."""
    if scene.look.axis or len(scene.series) > 1:
        return None
    values, highest = scene.values[0], bool(rng.integers(2))
    order = sorted(range(len(values)), key=lambda i: values[i], reverse=highest)
    size = sum(values) if scene.kind == "pie" else max(values)
    if abs(values[order[0]] - values[order[1]]) < 0.06 * size:
        return None
    pie = scene.kind == "pie"
    word = ("largest" if highest else "smallest") if pie else ("tallest" if highest else "shortest")
    text = f"Which {'slice' if pie else 'bar'} looks {word}?"
    return _asked("tallest", 2, text, word, scene.names[order[0]])


def drift(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """Whether unnumbered points or a line go up or down."""
    if scene.look.axis or len(scene.series) > 1:
        return None
    values = scene.values[0]
    if scene.kind == "scatter":
        if not clear_slope(scene):
            return None
        change = correlation(scene)
        text = "Do the points go up or down from left to right?"
    else:
        change = values[-1] - values[0]
        if abs(change) < 0.25 * (max(values) - min(values)) or change == 0:
            return None
        text = "Does the line end higher or lower than it begins: up or down?"
    return _asked("drift", 2, text, "up or down", "up" if change > 0 else "down")


LOOKS_OF: Mapping[Kind, tuple[AskLook, ...]] = MappingProxyType(
    {
        "bar": (colour, by_colour, special, taller, tallest),
        "line": (colour, by_colour, special, legend, drift),
        "scatter": (colour, drift),
        "pie": (colour, by_colour, taller, tallest),
        "grouped": (colour, by_colour, legend),
        "stacked": (colour, by_colour, legend),
    }
)
WITHOUT_AXIS: frozenset[AskLook] = frozenset({taller, tallest, drift})
"""Questions that are asked of charts without numbers only."""


def _asked(about: str, depth: int, text: str, brief: str, answer: str) -> Asked:
    return Asked(about=about, depth=depth, text=text, brief=brief, answer=answer, high=False)
