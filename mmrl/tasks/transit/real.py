"""Real networks and windows of them, from `assets/transit` (origins and licences: NOTICE there).

A window is the part of a network around a random stop: of every line the longest stretch inside it.
Beijing and Taipei have the places of their official maps and names in Latin letters, London (part)
those of a drawn tube map. Of the other cities the lines and stops are real and the places are not:
they are laid out so that distances follow the lines.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mmrl.errors import ConfigError, nearest
from mmrl.tasks.transit.octilinear import LINE_COLOURS
from mmrl.tasks.transit.scene import MapLine, Point, Rgb, TransitMap, octilinear

FOLDER = Path(__file__).parents[3] / "assets" / "transit"
DRAWN = "drawn"
"""The name under which drawn maps stand among networks."""
ALL = "real"
"""All real networks of the split."""
SPLITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": (
            *("taipei", "london", "changsha", "changzhou", "dalian", "guiyang", "hefei"),
            *("huhehaote", "jinan", "kunming", "nanchang", "nanning", "shanghai", "shenzhen"),
            "washington",
        ),
        "val": ("dubai", "kl", "xian"),
        "test": (
            *("beijing", "auckland", "budapest", "geneva", "hangzhou", "lisboa", "los_angeles"),
            *("miami", "oslo", "rome", "singapore", "toronto"),
        ),
    }
)
"""Networks of each split: no city is in two, and those that ReasonMap tests on are in "test"."""
_MORE_COLOURS: tuple[Rgb, ...] = (
    *LINE_COLOURS.values(),
    *((0, 170, 190), (240, 120, 0), (130, 90, 50), (230, 100, 170), (130, 170, 0), (120, 120, 120)),
)
_APART = 110
"""Two colours that differ by less (sum over the channels) are hard to tell apart."""

Stretch = tuple[str | Point, ...]
"""Stops by name and, between them, points where the line bends."""


@dataclass(frozen=True)
class RealLine:
    """A line of a real network as its file has it."""

    name: str
    colour: Rgb
    courses: tuple[Stretch, ...]
    """One, or several that share their stops up to where they part."""


@dataclass(frozen=True)
class RealNetwork:
    """A network with the places of its stops."""

    name: str
    country: str
    city: str
    places: Mapping[str, Point]
    lines: tuple[RealLine, ...]
    bends: bool
    """Whether lines between stops keep to the eight directions; otherwise they are as given."""

    def window(self, rng: np.random.Generator, count: int) -> TransitMap | None:
        """The lines among the `count` stops nearest to a random one, but for those that meet no
        other there; None with less than two."""
        names = list(self.places)
        at = np.array([self.places[name] for name in names])
        centre = at[int(rng.integers(len(names)))]
        order = np.argsort(np.abs(at - centre).max(1), kind="stable")
        inside = {names[i] for i in order[:count]}
        found = [(line, _stretches(line, inside)) for line in self.lines]
        served = {line.name: _stops(parts) for line, parts in found if parts}
        calls = Counter(stop for stops in served.values() for stop in stops)
        kept = [
            (line, parts)
            for line, parts in found
            if any(calls[stop] > 1 for stop in served.get(line.name, ()))
        ]
        if len(kept) < 2:
            return None
        stops = dict.fromkeys(stop for _, parts in kept for stop in _stops(parts))
        colours = _distinct([line.colour for line, _ in kept])
        return TransitMap(
            tuple(
                MapLine(
                    name=line.name,
                    colour=colour,
                    courses=tuple(tuple(n for n in p if isinstance(n, str)) for p in parts),
                    paths=tuple(self._path(part) for part in parts),
                )
                for (line, parts), colour in zip(kept, colours, strict=True)
            ),
            {name: self.places[name] for name in stops},
        )

    def _path(self, part: Stretch) -> tuple[Point, ...]:
        points = [self.places[n] if isinstance(n, str) else n for n in part]
        if not self.bends:
            return tuple(points)
        path = [points[0]]
        for a, b in pairwise(points):
            first, then = (a, b) if a <= b else (b, a)
            bend = octilinear(first, then)
            path += (bend if a <= b else bend[::-1])[1:]
        return tuple(path)


def networks_of(split: str, wanted: Sequence[str]) -> tuple[str, ...]:
    """The networks meant by a list of names; one of another split is a ConfigError."""
    found: list[str] = []
    known = (DRAWN, ALL, *SPLITS.get(split, ()))
    for name in wanted:
        if name not in known:
            other = next((s for s, names in SPLITS.items() if name in names), None)
            why = f'is in the split "{other}", not in "{split}"' if other else "is none"
            raise ConfigError(
                f'transit: the network "{name}" {why}; there are {", ".join(known)}.'
                f"{nearest(name, known)}"
            )
        found += SPLITS[split] if name == ALL else (name,)
    if not found:
        raise ConfigError(f"transit: networks is empty; there are {', '.join(known)}")
    return tuple(found)


@lru_cache(maxsize=64)
def real_network(name: str) -> RealNetwork:
    """A network by its name; its file is read once."""
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such file; the maps of real networks lie in assets/transit of the source "
            'tree. Drawn maps (networks: ["drawn"]) need no files'
        )
    data = json.loads(path.read_text("utf-8"))
    lines = tuple(
        RealLine(
            line["name"],
            _rgb(line["colour"]),
            tuple(tuple(map(_node, c)) for c in line.get("courses", [line.get("course")])),
        )
        for line in data["lines"]
    )
    has_points = any(not isinstance(n, str) for line in lines for c in line.courses for n in c)
    return RealNetwork(
        name=name,
        country=data["country"],
        city=data["city"],
        places={stop: (float(x), float(y)) for stop, (x, y) in data["places"].items()},
        lines=lines,
        bends=not has_points and not data.get("straight", False),
    )


def _node(value: Any) -> str | Point:
    return value if isinstance(value, str) else (float(value[0]), float(value[1]))


def _rgb(text: str) -> Rgb:
    red, green, blue = bytes.fromhex(text.removeprefix("#"))
    return red, green, blue


def _stretches(line: RealLine, inside: set[str]) -> tuple[Stretch, ...]:
    """Of each course its longest stretch inside, but for those that are part of another's."""
    parts: list[Stretch] = []
    for course in line.courses:
        part = _longest_inside(course, inside)
        if len(_stops([part])) > 1 and not any(
            _stops([part]).keys() <= _stops([p]).keys() for p in parts
        ):
            parts = [p for p in parts if not _stops([p]).keys() <= _stops([part]).keys()] + [part]
    return tuple(parts)


def _longest_inside(course: Stretch, inside: set[str]) -> Stretch:
    """The longest stretch whose stops are all inside, from a stop to a stop."""
    is_loop = course[0] == course[-1]
    outside = [i for i, n in enumerate(course) if isinstance(n, str) and n not in inside]
    if is_loop and outside:  # begin where it is cut anyway
        course = (*course[outside[0] : -1], *course[: outside[0] + 1])
    runs: list[list[str | Point]] = [[]]
    for node in course:
        if isinstance(node, str) and node not in inside:
            runs.append([])
        else:
            runs[-1].append(node)
    return max((_trimmed(run) for run in runs), key=lambda part: len(_stops([part])))


def _trimmed(run: list[str | Point]) -> Stretch:
    stops = [i for i, node in enumerate(run) if isinstance(node, str)]
    return tuple(run[stops[0] : stops[-1] + 1]) if stops else ()


def _stops(parts: Sequence[Stretch]) -> dict[str, None]:
    """The stops of some stretches, each once."""
    return dict.fromkeys(node for part in parts for node in part if isinstance(node, str))


def _distinct(colours: list[Rgb]) -> list[Rgb]:
    """The colours, of which one too near to an earlier one is replaced where another is free."""
    used: list[Rgb] = []
    for colour in colours:
        if any(_distance(colour, other) < _APART for other in used):
            free = [
                c for c in _MORE_COLOURS if all(_distance(c, o) >= _APART for o in colours + used)
            ]
            colour = free[0] if free else colour
        used.append(colour)
    return used


def _distance(a: Rgb, b: Rgb) -> int:
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))
