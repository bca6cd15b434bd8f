"""Questions that a chart's table answers: high programmability, at four depths.

1 lookup and count; 2 compare, highest and lowest; 3 sum, difference, trend and count above; 4 what
needs two of these. A question whose answer cannot be seen (two bars of one height) is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from mmrl.tasks.chart_scene import Kind, Scene
from mmrl.tasks.drawing import number_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question about a chart with its answer."""

    about: str
    """Which question it is (`lookup`, `trend`, …)."""
    depth: int
    text: str
    brief: str
    """The same in a few words."""
    answer: str
    high: bool = True
    """Whether the table would be enough to answer (high programmability)."""
    exact: bool = False
    """Whether the answer is a count, of which no error is small."""


Ask = Callable[[np.random.Generator, Scene], Asked | None]


def lookup(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """One number."""
    s, r = _series(rng, scene), int(rng.integers(len(scene.names)))
    return _asked(
        "lookup", 1, f"What is {_of(scene, s)} {_at(scene, r)}?",
        _brief(scene, s, scene.names[r]), scene.values[s][r],
    )  # fmt: skip


def count(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """How many rows."""
    thing = {"pie": "slices", "scatter": "points", "bar": "bars"}.get(scene.kind)
    if thing is None:
        thing = f"different {scene.key} values" if scene.source.title else "places on the x axis"
    return _asked(
        "count", 1, f"How many {thing} does the chart show?", "how many",
        float(len(scene.names)), exact=True,
    )  # fmt: skip


def compare(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The higher of two."""
    s, (a, b) = _series(rng, scene), _two(rng, len(scene.names))
    values = scene.values[s]
    if abs(values[a] - values[b]) <= scene.gap:
        return None
    first, second = scene.names[a], scene.names[b]
    where = f"At which {scene.key}" if scene.kind == "scatter" else "Where"
    return _asked(
        "compare", 2, f"{where} is {_of(scene, s)} higher: {first} or {second}?",
        f"{_brief(scene, s, 'higher')}: {first} or {second}",
        first if values[a] > values[b] else second,
    )  # fmt: skip


def extreme(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The highest or lowest of all."""
    s, highest = _series(rng, scene), bool(rng.integers(2))
    r = _clear_extreme(scene.values[s], scene.gap, highest)
    if r is None:
        return None
    word = "highest" if highest else "lowest"
    where = f"At which {_key(scene)}" if scene.kind != "pie" else f"For which {_key(scene)}"
    return _asked(
        "extreme", 2, f"{where} is {_of(scene, s)} {word}?", _brief(scene, s, word), scene.names[r]
    )


def between_series(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The higher of two series at one row."""
    if len(scene.series) < 2:
        return None
    (a, b), r = _two(rng, len(scene.series)), int(rng.integers(len(scene.names)))
    difference = scene.values[a][r] - scene.values[b][r]
    if abs(difference) <= scene.gap:
        return None
    first, second = scene.series[a], scene.series[b]
    return _asked(
        "between", 2, f"Which is higher {_at(scene, r)}: {first} or {second}?",
        f"higher at {scene.names[r]}: {first} or {second}", first if difference > 0 else second,
    )  # fmt: skip


def total(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The sum of two rows, or of all series at one row."""
    if len(scene.series) > 1:
        r = int(rng.integers(len(scene.names)))
        value = sum(column[r] for column in scene.values)
        listed = ", ".join(scene.series[:-1]) + f" and {scene.series[-1]}"
        text = f"What is the total of {listed} {_at(scene, r)}?"
        return _asked("total", 3, text, f"total at {scene.names[r]}", value)
    a, b = _two(rng, len(scene.names))
    first, second = scene.names[a], scene.names[b]
    value = scene.values[0][a] + scene.values[0][b]
    text = f"What is the sum of {_of(scene, 0)} for {first} and {second}?"
    return _asked("total", 3, text, f"{first} plus {second}", value)


def difference(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """By how much one row exceeds another."""
    s, (a, b) = _series(rng, scene), _two(rng, len(scene.names))
    values = scene.values[s]
    if values[a] < values[b]:
        a, b = b, a
    if values[a] - values[b] <= 3 * scene.gap:  # small differences of read numbers are guesses
        return None
    first, second = scene.names[a], scene.names[b]
    return _asked(
        "difference", 3, f"By how much is {_of(scene, s)} higher for {first} than for {second}?",
        _brief(scene, s, f"{first} minus {second}"), values[a] - values[b],
    )  # fmt: skip


def trend(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """Whether it rises or falls from one end to the other."""
    if scene.source.rows == "names":
        return None
    s = _series(rng, scene)
    if scene.kind == "scatter":
        if not clear_slope(scene):
            return None
        text = "Does y rise or fall as x grows?"
        change = correlation(scene)
    else:
        change = scene.values[s][-1] - scene.values[s][0]
        if change == 0 or abs(change) <= 2 * scene.gap:
            return None
        ends = f"from {scene.names[0]} to {scene.names[-1]}"
        text = f"Does {_of(scene, s)} rise or fall {ends}, taken as a whole?"
    answer = "rise" if change > 0 else "fall"
    return _asked("trend", 3, text, _brief(scene, s, "rise or fall"), answer)


def above(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """How many exceed a tick of the axis."""
    s = _series(rng, scene)
    values, inner = scene.values[s], scene.ticks[1:-1]
    if not inner:
        return None
    level = inner[int(rng.integers(len(inner)))]
    if min(abs(v - level) for v in values) <= max(scene.gap / 2, 1e-9):
        return None
    number = float(sum(v > level for v in values))
    shown = number_text(level)
    cases = "How many points have" if scene.kind == "scatter" else "In how many cases is"
    return _asked(
        "above", 3, f"{cases} {_of(scene, s)} above {shown}?",
        _brief(scene, s, f"how many above {shown}"), number, exact=True,
    )  # fmt: skip


def spread(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The highest less the lowest."""
    s = _series(rng, scene)
    value = max(scene.values[s]) - min(scene.values[s])
    if value <= 3 * scene.gap:
        return None
    text = f"What is the difference between the highest and the lowest of {_of(scene, s)}?"
    return _asked("spread", 4, text, _brief(scene, s, "highest minus lowest"), value)


def average(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The mean of a series."""
    s = _series(rng, scene)
    value = float(np.mean(scene.values[s]))
    text = f"What is the average of {_of(scene, s)} over everything shown?"
    return _asked("average", 4, text, _brief(scene, s, "mean"), value)


def where_other_peaks(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """One series at the row where another is highest."""
    if len(scene.series) < 2:
        return None
    a, b = _two(rng, len(scene.series))
    r = _clear_extreme(scene.values[a], scene.gap, True)
    if r is None:
        return None
    first, second = scene.series[a], scene.series[b]
    return _asked(
        "at_peak", 4, f"What is {second} at the {_key(scene)} where {first} is highest?",
        f"{second} where {first} highest", scene.values[b][r],
    )  # fmt: skip


def highest_total(rng: np.random.Generator, scene: Scene) -> Asked | None:
    """The row whose series add up to most."""
    if len(scene.series) < 2:
        return None
    totals = [sum(column) for column in zip(*scene.values, strict=True)]
    r = _clear_extreme(totals, 1.5 * scene.gap, True)
    if r is None:
        return None
    listed = ", ".join(scene.series[:-1]) + f" and {scene.series[-1]}"
    text = f"At which {_key(scene)} is the total of {listed} highest?"
    return _asked("highest_total", 4, text, "highest total", scene.names[r])


_SINGLE: tuple[Ask, ...] = (
    lookup, count, compare, extreme, total, difference, trend, above, spread, average
)  # fmt: skip
_SEVERAL: tuple[Ask, ...] = (
    lookup, compare, extreme, between_series, total, difference, trend, above, spread,
    where_other_peaks, highest_total,
)  # fmt: skip
ASKED_OF: Mapping[Kind, tuple[Ask, ...]] = MappingProxyType(
    {
        "bar": _SINGLE,
        "line": (*_SINGLE, between_series, where_other_peaks),
        "scatter": (lookup, count, compare, extreme, difference, trend, above, spread),
        "pie": (lookup, count, compare, extreme, total, difference, spread),
        "grouped": _SEVERAL,
        "stacked": tuple(a for a in _SEVERAL if a is not trend and a is not above),
    }
)


def ask_table(rng: np.random.Generator, scene: Scene, depths: Sequence[int]) -> Asked | None:
    """A question of one of `depths` that the scene can answer; None when there is none."""
    fitting = list(ASKED_OF[scene.kind])
    for i in rng.permutation(len(fitting)):
        asked = fitting[i](rng, scene)
        if asked is not None and asked.depth in depths:
            return asked
    return None


def clear_slope(scene: Scene) -> bool:
    """Whether points rise or fall so clearly that nobody would hesitate."""
    return len(scene.places) >= 4 and abs(correlation(scene)) > 0.75


def correlation(scene: Scene) -> float:
    """Pearson's coefficient of places and first values; 0 where all values are equal."""
    if len(set(scene.places)) < 2 or len(set(scene.values[0])) < 2:
        return 0.0
    return float(np.corrcoef(scene.places, scene.values[0])[0, 1])


def _asked(
    about: str, depth: int, text: str, brief: str, answer: float | str, *, exact: bool = False
) -> Asked:
    told = answer if isinstance(answer, str) else number_text(round(answer, 2))
    return Asked(about=about, depth=depth, text=text, brief=brief, answer=told, exact=exact)


def _series(rng: np.random.Generator, scene: Scene) -> int:
    return int(rng.integers(len(scene.series)))


def _two(rng: np.random.Generator, count: int) -> tuple[int, int]:
    a, b = rng.permutation(count)[:2]
    return int(a), int(b)


def _of(scene: Scene, s: int) -> str:
    """How a series is called in a question."""
    if scene.kind == "scatter":
        return f"{scene.series[0]}"
    if len(scene.series) > 1 or not scene.source.title:
        return "the value" if scene.series[s] == "y" else scene.series[s]
    return "the value"


def _at(scene: Scene, r: int) -> str:
    if scene.kind == "scatter":
        return f"of the point at {scene.key} = {scene.names[r]}"
    return f"{'in' if scene.key in ('month', 'year') else 'for'} {scene.names[r]}"


def _key(scene: Scene) -> str:
    return scene.key if scene.source.title or scene.kind == "scatter" else "letter"


def _brief(scene: Scene, s: int, words: str) -> str:
    return f"{scene.series[s]} {words}" if len(scene.series) > 1 else words


def _clear_extreme(values: Sequence[float], gap: float, highest: bool) -> int | None:
    """Where the extreme is, or None where another comes closer than `gap` (or as far)."""
    order = sorted(range(len(values)), key=lambda i: values[i], reverse=highest)
    if len(values) < 2 or abs(values[order[0]] - values[order[1]]) <= gap:
        return None
    return order[0]
