"""Searches over a transit network: what serves what, how many changes, the best route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from typing import Any

from mmrl.parse.lines import Line, Lines, Track, read_lines, stop_key

RawLines = Mapping[str, Any]
"""Line name -> stops in order, or a list of courses; see `mmrl.parse.lines`."""
State = tuple[int, int]
"""Number of a course and of a stop along it."""


@dataclass(frozen=True)
class Stage:
    """One ride of a route: the line's name and all stops from boarding to leaving, as shown."""

    line: str
    stops: tuple[str, ...]


class Network:
    """The lines of one map. Stops go by the names that the map shows."""

    def __init__(self, raw: RawLines) -> None:
        self.raw = raw
        self.lines: Lines = read_lines(raw)
        self.name_of: dict[str, str] = {}
        for name in _shown(list(raw.values())):
            self.name_of.setdefault(stop_key(name), name)
        self.stops = tuple(self.name_of.values())

    @cached_property
    def serving(self) -> Mapping[str, tuple[Line, ...]]:
        """Stop -> the lines that serve it."""
        return {
            name: tuple(line for line in self.lines.values() if key in line.stops)
            for key, name in self.name_of.items()
        }

    @cached_property
    def interchanges(self) -> tuple[str, ...]:
        """Stops with more than one line."""
        return tuple(stop for stop in self.stops if len(self.serving[stop]) > 1)

    def rides(self, start: str, end: str) -> tuple[tuple[str, ...], ...]:
        """Stops passed on every way from `start` to `end` without a change."""
        ways = (
            way
            for line in self.lines.values()
            for way in line.rides(stop_key(start), stop_key(end))
        )
        return tuple(tuple(self.name_of[key] for key in way) for way in dict.fromkeys(ways))

    def transfers_from(self, start: str) -> Mapping[str, int]:
        """Fewest changes to every other stop that can be reached, in the order of stops."""
        wave, changes, level = {stop_key(start)}, {stop_key(start): 0}, 0
        while wave:
            fresh = {
                other
                for stop in wave
                for number, _ in self._at[stop]
                for other in self._courses[number][1].stops
                if other not in changes and self._courses[number][1].serves(stop, other)
            }
            changes |= dict.fromkeys(fresh, level)
            wave, level = fresh, level + 1
        del changes[stop_key(start)]
        return {name: changes[key] for key, name in self.name_of.items() if key in changes}

    def best_route(self, start: str, end: str) -> tuple[Stage, ...] | None:
        """The route with the fewest changes, then the fewest stops; None where there is none.

        Dijkstra over (course, stop) with costs (changes, stops); of equal ones the first in the
        order of courses, so that one network always gives one route.
        """
        goal = stop_key(end)
        cost_of: dict[State, tuple[int, int]] = {}
        came: dict[State, State | None] = {}
        heap: list[tuple[tuple[int, int], State]] = []

        def offer(state: State, cost: tuple[int, int], origin: State | None) -> None:
            if state not in cost_of or cost < cost_of[state]:
                cost_of[state], came[state] = cost, origin
                heappush(heap, (cost, state))

        for state in self._at.get(stop_key(start), ()):
            offer(state, (0, 0), None)
        while heap:
            cost, state = heappop(heap)
            if cost > cost_of[state]:
                continue
            track = self._courses[state[0]][1]
            stop = track.stops[state[1]]
            if stop == goal:
                return self._stages(state, came)
            for place in _next_places(track, state[1]):
                offer((state[0], place), (cost[0], cost[1] + 1), state)
            for other in self._at[stop]:
                offer(other, (cost[0] + 1, cost[1]), state)
        return None

    @cached_property
    def _courses(self) -> tuple[tuple[str, Track], ...]:
        return tuple((line.name, track) for line in self.lines.values() for track in line.tracks)

    @cached_property
    def _at(self) -> Mapping[str, list[State]]:
        """Stop key -> the courses that call there, with its number along each."""
        found: dict[str, list[State]] = {}
        for number, (_, track) in enumerate(self._courses):
            for place, stop in enumerate(track.stops):
                found.setdefault(stop, []).append((number, place))
        return found

    def _stages(self, end: State, came: Mapping[State, State | None]) -> tuple[Stage, ...]:
        rides: list[tuple[int, list[str]]] = []
        state: State | None = end
        while state is not None:
            track = self._courses[state[0]][1]
            if not rides or rides[-1][0] != state[0]:
                rides.append((state[0], []))
            rides[-1][1].append(self.name_of[track.stops[state[1]]])
            state = came[state]
        return tuple(
            Stage(self._courses[number][0], tuple(reversed(stops)))
            for number, stops in reversed(rides)
        )


def _next_places(track: Track, place: int) -> Iterator[int]:
    for step in (1,) if track.one_way else (1, -1):
        if track.is_loop:
            yield (place + step) % len(track.stops)
        elif 0 <= place + step < len(track.stops):
            yield place + step


def _shown(value: Any) -> Iterator[str]:
    """All names inside lists and `tracks`, in order."""
    if isinstance(value, str):
        yield value
    else:
        for item in value["tracks"] if isinstance(value, Mapping) else value:
            yield from _shown(item)
