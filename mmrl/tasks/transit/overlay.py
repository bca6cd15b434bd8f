"""A route as a line through the stops on the picture.

A sample's `meta["places"]` has the stops' places, {name: (x, y)} in shares of the picture's sides;
without it (rows of data sets) nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.parse.lines import Lines, find_line, read_lines, stop_key
from mmrl.parse.points import Point
from mmrl.parse.routes import Leg, parse_route
from mmrl.tasks.overlay import MOST_CORNERS, Draws, Overlay, Place, RouteMark
from mmrl.types import Parsed, Sample

Spots = Mapping[str, Point]
"""Stop key -> (x, y) in shares of the sides."""


def answered_route(parsed: Parsed, sample: Sample, place: Place) -> Overlay:
    """A line a leg, by the stops that it passes; answers that are no route draw nothing.

    A leg that no train rides is drawn straight from stop to stop; one whose stops are not on the
    map is left out.
    """
    spots = _spots(sample.meta.get("places"))
    route = parse_route(parsed.answer or "") if spots else None
    if route is None:
        return Overlay()
    lines = _lines(sample.meta.get("lines"))
    found = ((leg.line, _course(leg, lines, spots)) for leg in route)
    return Overlay(
        routes=tuple(
            RouteMark(line[:MOST_CORNERS], place.picture, name)
            for name, line in found
            if len(line) > 1
        )
    )


def _course(leg: Leg, lines: Lines, spots: Spots) -> tuple[Point, ...]:
    ends = stop_key(leg.departure), stop_key(leg.arrival)
    if not all(end in spots for end in ends):
        return ()
    line = find_line(lines, leg.line)
    ways: Sequence[tuple[str, ...]] = line.rides(*ends) if line is not None else ()
    said = {stop_key(stop) for stop in leg.via or ()}
    # of two ways round a loop the one that the answer names, else the shorter
    way = min(ways, key=lambda way: (len(said - set(way)), len(way)), default=())
    return tuple(spots[key] for key in (ends[0], *way, ends[1]) if key in spots)


def _spots(places: Any) -> Spots:
    if not isinstance(places, Mapping):
        return {}
    return {
        stop_key(name): (float(at[0]), float(at[1]))
        for name, at in places.items()
        if isinstance(name, str)
        and isinstance(at, list | tuple)
        and len(at) == 2
        and all(isinstance(v, int | float) and -1.0 <= v <= 2.0 for v in at)
    }


def _lines(raw: Any) -> Lines:
    try:
        return read_lines(raw)
    except ValueError:
        return {}


ROUTE_MARKS = Draws(answer=answered_route)
