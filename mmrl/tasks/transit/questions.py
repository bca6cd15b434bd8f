"""Questions about a transit map with exact answers, of the six kinds of ReasonMap (-Plus).

    planning   a route from one stop to another; the target is the best one (fewest changes, then
               fewest stops), any route that runs is right
    TorF1      is there a line that serves both stops?             yes or no, half each
    TorF2      does the line serve the stop?                       yes or no, half each
    Counting1  stops between two stops of one line; four options   a letter
    Counting2  lines that serve a stop                             a number
    Counting3  lines on the map                                    a number

The published data do not spell out TorF1 and TorF2; these are our reading. A Counting1 question is
asked only where every ride without a change passes the same number of stops.

What the answer shall be is settled before a map is drawn (`Ask.wish`), and a map that cannot give
it is drawn again. So the text of a question does not tell its answer: each of the two, or of the
four options, or of the numbers there are, is as likely as the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mmrl.errors import ConfigError, nearest
from mmrl.tasks.transit.network import Network, Stage

OPTION_LETTERS = "ABCD"
TEMPLATES = ("compact", "short", "long_count", "long_list")
"""compact: a few words, for small models; the others as in ReasonMap, whose long questions ask for
the number or the names of the stops passed."""
_TRIES = 30


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question with its target, a line of reasoning, and the two stops it is about."""

    kind: str
    question: str
    target: Any
    reason: str
    stations: tuple[str, str] = ("", "")
    transfers: int = -1
    """Fewest changes of a planning question; -1 for the others."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What may be asked of a map."""

    network: Network
    stops: Sequence[str]
    """Stops that may be named in a question: those whose names can be read."""
    template: str = "compact"
    transfers: tuple[int, int] = (0, 2)
    """Fewest and most changes of a planning question, each number of them as likely."""
    wish: int = 0
    """Which of the possible answers it shall be; drawn at random before the map."""
    between: int = 0
    """Highest least option of Counting1, see `Level.between`."""

    def __call__(self, rng: np.random.Generator, kind: str) -> Asked | None:
        """A question of that kind, or None where this map has none."""
        if self.template not in TEMPLATES:
            raise ConfigError(f'no template "{self.template}".{nearest(self.template, TEMPLATES)}')
        if kind.lower() not in _KINDS:
            raise ConfigError(f'no kind of question "{kind}".{nearest(kind, KINDS)}')
        return _KINDS[kind.lower()](self, rng)

    @property
    def is_compact(self) -> bool:
        return self.template == "compact"


def _planning(ask: Ask, rng: np.random.Generator) -> Asked | None:
    low, high = ask.transfers
    changes = low + ask.wish % (high + 1 - low)
    readable = set(ask.stops)
    for start in _shuffled(rng, ask.stops)[:_TRIES]:
        reached = ask.network.transfers_from(start)
        ends = [s for s, t in reached.items() if t == changes and s in readable]
        if not ends:
            continue
        end = _any(rng, ends)
        stages = ask.network.best_route(start, end)
        if stages is None or not _can_be_said(ask, stages):
            continue
        return Asked(
            kind="planning",
            question=_planning_words(ask, start, end),
            target=[_leg(stage) for stage in stages],
            reason=_route_reason(ask, stages),
            stations=(start, end),
            transfers=changes,
        )
    return None


def _can_be_said(ask: Ask, stages: Sequence[Stage]) -> bool:
    """Whether every ride goes somewhere, and all stops that an answer names can be read."""
    whole = ask.template == "long_list"
    named = {n for s in stages for n in (s.stops if whole else (s.stops[0], s.stops[-1]))}
    return named <= set(ask.stops) and all(len(stage.stops) > 1 for stage in stages)


def _leg(stage: Stage) -> dict[str, Any]:
    """A stage under ReasonMap's keys."""
    via = list(stage.stops[1:-1])
    return {
        "route_name": stage.line,
        "departure_stop": stage.stops[0],
        "arrival_stop": stage.stops[-1],
        "via_stops": via,
        "num_via_stops": len(via),
    }


def _route_reason(ask: Ask, stages: Sequence[Stage]) -> str:
    """What is seen at both ends, and where the lines of the route meet."""
    start, end = stages[0].stops[0], stages[-1].stops[-1]
    facts = [f"{stop}: {_listed(ask, stop)}." for stop in (start, end)]
    if len(stages) == 1:
        facts.append(f"Both: {stages[0].line}.")
    for one, then in pairwise(stages):
        facts.append(f"{one.line} and {then.line} meet at {then.stops[0]}.")
    return " ".join(facts)


def _torf1(ask: Ask, rng: np.random.Generator) -> Asked | None:
    truth = bool(ask.wish % 2)
    serving = ask.network.serving
    for start in _shuffled(rng, ask.stops)[:_TRIES]:
        lines = set(_names(ask, start))
        ends = [s for s in ask.stops if s != start and bool(lines & set(_names(ask, s))) == truth]
        if not ends:
            continue
        end = ends[int(rng.integers(len(ends)))]
        both = [line.name for line in serving[start] if line in serving[end]]
        question = f"one line for {start} and {end}"
        if not ask.is_compact:
            question = f"Is there a line on this transit map that serves both {start} and {end}?"
        return Asked(
            kind="TorF1",
            question=_yes_no(ask, question),
            target="yes" if truth else "no",
            reason=f"{start}: {_listed(ask, start)}. {end}: {_listed(ask, end)}. Both: "
            + f"{', '.join(both) or 'none'}.",
            stations=(start, end),
        )
    return None


def _torf2(ask: Ask, rng: np.random.Generator) -> Asked | None:
    truth = bool(ask.wish % 2)
    line = _any(rng, [x.name for x in ask.network.lines.values()])  # before the stop: see above
    stops = [stop for stop in ask.stops if (line in _names(ask, stop)) == truth]
    if not stops:
        return None
    stop = _any(rng, stops)
    question = f"{stop} on {line}"
    if not ask.is_compact:
        question = f"Does {_the(line)} call at {stop} on this transit map?"
    return Asked(
        kind="TorF2",
        question=_yes_no(ask, question),
        target="yes" if truth else "no",
        reason=f"{stop}: {_listed(ask, stop)}.",
        stations=(stop, ""),
    )


def _counting1(ask: Ask, rng: np.random.Generator) -> Asked | None:
    least = ask.wish // 4 % (ask.between + 1)
    options = [least + int(i) for i in rng.permutation(4)]
    count = least + ask.wish % 4
    pairs = _pairs_between(ask, count)
    if not pairs:
        return None
    line, way = pairs[int(rng.integers(len(pairs)))]
    start, end = way[0], way[-1]
    listed = " ".join(f"{a} {n}" for a, n in zip(OPTION_LETTERS, options, strict=True))
    question = f"stops between {start} and {end}: {listed}"
    if not ask.is_compact:
        listed = "\n".join(f"{a}) {n}" for a, n in zip(OPTION_LETTERS, options, strict=True))
        question = (
            f"On this transit map, how many stops lie between {start} and {end} on the line "
            f"that serves both, not counting these two?\n{listed}\n"
            + _instruction("the letter of the right option")
        )
    return Asked(
        kind="Counting1",
        question=question,
        target=OPTION_LETTERS[options.index(count)],
        reason=f"{line}: {' '.join(way)}. Between: {count}.",
        stations=(start, end),
    )


def _pairs_between(ask: Ask, count: int) -> list[tuple[str, tuple[str, ...]]]:
    """Lines and rides with `count` stops between, where every ride between these ends has it."""
    found, readable = [], set(ask.stops)
    for line in ask.network.lines.values():
        for track in line.tracks:
            n = len(track.stops)
            for a in range(n):
                for step in (1, -1) if not track.one_way else (1,):
                    b = a + step * (count + 1)
                    if count + 1 >= n or not (track.is_loop or 0 <= b < n):
                        continue
                    way = [
                        ask.network.name_of[track.stops[(a + step * k) % n]]
                        for k in range(count + 2)
                    ]
                    if not readable.issuperset(way):
                        continue
                    if {len(ride) for ride in ask.network.rides(way[0], way[-1])} == {count}:
                        found.append((line.name, tuple(way)))
    return found


def _counting2(ask: Ask, rng: np.random.Generator) -> Asked | None:
    by_count: dict[int, list[str]] = {}
    for stop in ask.stops:
        by_count.setdefault(len(_names(ask, stop)), []).append(stop)
    count = sorted(by_count)[ask.wish % len(by_count)]
    stop = _any(rng, by_count[count])
    question = f"lines at {stop}"
    if not ask.is_compact:
        question = f"How many lines of this transit map call at {stop}?\n" + _instruction(
            "the number"
        )
    return Asked(
        kind="Counting2",
        question=question,
        target=count,
        reason=f"{stop}: {_listed(ask, stop)}. Lines: {count}.",
        stations=(stop, ""),
    )


def _counting3(ask: Ask, rng: np.random.Generator) -> Asked | None:
    names = [line.name for line in ask.network.lines.values()]
    question = "lines on the map"
    if not ask.is_compact:
        question = "How many lines does this transit map show?\n" + _instruction("the number")
    return Asked(
        kind="Counting3",
        question=question,
        target=len(names),
        reason=f"{', '.join(names)}. Lines: {len(names)}.",
    )


_KINDS: Mapping[str, Callable[[Ask, np.random.Generator], Asked | None]] = {
    "planning": _planning,
    "torf1": _torf1,
    "torf2": _torf2,
    "counting1": _counting1,
    "counting2": _counting2,
    "counting3": _counting3,
}
KINDS = tuple(_KINDS)


def _planning_words(ask: Ask, start: str, end: str) -> str:
    if ask.is_compact:
        return f"route {start} to {end}"
    block = "Route Name: the line\nDeparture Stop: where you board\nArrival Stop: where you leave"
    if ask.template == "long_count":
        block += "\nNumber of Via Stops: how many stops you pass without leaving"
    if ask.template == "long_list":
        block += "\nVia Stops: the stops you pass in order, with commas between them, or None"
    return (
        f"Plan a trip from {start} to {end} on this transit map, with as few changes as you can.\n"
        + _instruction(
            "one block for each ride, with a line -- between blocks, every block in this form:"
        )
        + f"\n{block}"
    )


def _yes_no(ask: Ask, question: str) -> str:
    return f"{question}?" if ask.is_compact else f"{question}\n" + _instruction("yes or no")


def _instruction(what: str) -> str:
    return f"Think first inside <think> </think>, then give inside <answer> </answer> {what}"


def _names(ask: Ask, stop: str) -> list[str]:
    return [line.name for line in ask.network.serving[stop]]


def _listed(ask: Ask, stop: str) -> str:
    return ", ".join(_names(ask, stop))


def _the(line: str) -> str:
    """How a sentence names a line: "Line 3", "the red line"."""
    return f"the {line} line" if line.islower() else line


def _any(rng: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _shuffled(rng: np.random.Generator, items: Sequence[str]) -> list[str]:
    return [items[i] for i in rng.permutation(len(items))]
