"""Rewards for questions about a transit map: right or wrong, how near a route, the stops passed.

From ReasonMap and RewardMap (arXiv 2505.18675, 2510.02240). Columns of a row are read from
`sample.meta`: `lines` (the map as `mmrl.parse.lines` reads it) and `template` ("long_count" or
"long_list" where the stops passed were asked for). The target is "yes" or "no", an option letter, a
whole number, or a reference route: a list of legs with `route_name`, `departure_stop` and
`arrival_stop`, or the same as text.

Departures from the official scorer, each measured there (tests/vectors/rewardmap.json): a leg must
be a ride that the line offers (direction, branches) and not of zero length, no stop is changed at
twice, and a change leads to another line; the excess of legs counts from transfers + 1, not from
transfers; points are floored at 0 and divided by those of the reference route, so that every right
and shortest answer earns 1. Instead of being cut at 10 they stand as they are: with the cut, two
right legs of three earned as much as all three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn

from mmrl.errors import DataError
from mmrl.parse.choices import parse_choice
from mmrl.parse.lines import Line, Lines, Via, find_line, read_lines, stop_key
from mmrl.parse.routes import Leg, Route, parse_route
from mmrl.parse.values import normal_text, parse_number
from mmrl.types import Rollout, Sample

MOST_POINTS = 10.0
"""Cap of the published detail points (RewardMap, algorithm 1)."""


@dataclass(frozen=True)
class Plan:
    """A planning question: the map, a reference route, and what it follows from that."""

    lines: Lines
    route: Route

    @property
    def ends(self) -> tuple[str, str]:
        """Keys of the two stops."""
        return stop_key(self.route[0].departure), stop_key(self.route[-1].arrival)

    @property
    def transfers(self) -> int:
        return len(self.route) - 1


@dataclass(frozen=True)
class Ride:
    """A leg on the map: its line (None where there is none), stop keys, and the ways to ride it."""

    line: Line | None
    departure: str
    arrival: str
    ways: tuple[Via, ...]


def map_right_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the answer is right, else 0; a route is right if it can be ridden from end to end."""
    gold = _gold(sample)
    answer = (rollout.parsed.answer or "").strip(" \t\r\n*_`")
    match gold:
        case Plan():
            route = parse_route(answer)
            return 1.0 if route is not None and can_be_ridden(route, gold) else 0.0
        case bool():
            return 1.0 if normal_text(answer) == ("yes" if gold else "no") else 0.0
        case int():
            return 1.0 if parse_number(answer) == gold else 0.0
        case _:
            return 1.0 if parse_choice(answer) == gold else 0.0


def route_detail_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float | None:
    """Detail points of a route as a share of those of the reference; None for other questions."""
    gold = _gold(sample)
    if not isinstance(gold, Plan):
        return None
    route = parse_route(rollout.parsed.answer or "")
    if route is None:
        return 0.0
    return min(1.0, max(0.0, detail_points(route, gold)) / detail_points(gold.route, gold))


def route_via_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float | None:
    """How right the stops passed are, mean over the legs; None where they were not asked for.

    A count earns max(0, 1 - error / max(count, 1)), a list the length of its longest part in
    riding order over the longer of the two lists. Wrong ends, or a leg that no train rides, earn 0.
    """
    gold, template = _gold(sample), sample.meta.get("template")
    if not isinstance(gold, Plan) or template not in ("long_count", "long_list"):
        return None
    route = parse_route(rollout.parsed.answer or "")
    if route is None or not _ends_right(route, gold):
        return 0.0
    judge = _count_score if template == "long_count" else _list_score
    rides = zip(route, _rides(route, gold.lines), strict=True)
    scores = [max((judge(leg, way) for way in ride.ways), default=0.0) for leg, ride in rides]
    return sum(scores) / max(len(scores), len(gold.route))


def can_be_ridden(route: Route, plan: Plan) -> bool:
    """Whether a route leads from one end to the other by trains that run.

    The line of each leg exists, serves both stops in that direction, and they differ; each leg
    begins where the last one ended; no stop begins or ends legs twice (turning back); and a change
    leads to another line, but for branches between which no train runs through.
    """
    if not _ends_right(route, plan):
        return False
    rides = _rides(route, plan.lines)
    changes = [rides[0].departure, *(ride.arrival for ride in rides)]
    return (
        all(ride.ways for ride in rides)
        and all(a.arrival == b.departure for a, b in pairwise(rides))
        and len(set(changes)) == len(changes)
        and not any(_needless(a, b) for a, b in pairwise(rides))
    )


def detail_points(route: Route, plan: Plan) -> float:
    """RewardMap's detail points, mended; 0 where the ends are wrong.

    2 for the ends; for each of the first transfers + 1 legs that can be ridden and arrive at a new
    stop 3, or 4 if no change is needed; 1 for each of them that ends where the next one, which can
    be ridden too, begins; -5 for each further leg. Neither floor nor cap here.
    """
    if not _ends_right(route, plan):
        return 0.0
    rides, wanted = _rides(route, plan.lines), plan.transfers + 1
    seen = {rides[0].departure}
    points = 2.0 - 5.0 * max(0, len(rides) - wanted)
    for i, ride in enumerate(rides[:wanted]):
        if not ride.ways or ride.arrival in seen:
            continue
        seen.add(ride.arrival)
        following = rides[i + 1] if i + 1 < len(rides) else None
        if following is not None and _needless(ride, following):
            continue
        points += 4.0 if plan.transfers == 0 else 3.0
        connects = following is not None and ride.arrival == following.departure
        if following is not None and connects and following.ways and i < plan.transfers:
            points += 1.0
    return points


def published_points(route: Route, plan: Plan) -> float:
    """The detail points as RewardMap's code gives them, for comparison with its figures.

    The -5 falls on every leg from number transfers + 1 on, so that a perfect answer loses it too: a
    right direct route has 1 point, one with a transfer 4, a wrong single leg in its place 5.
    """
    if not _ends_right(route, plan):
        return 0.0
    rides, start_end = _rides(route, plan.lines), set(plan.ends)
    points = 2.0
    for i, ride in enumerate(rides, start=1):
        points -= 5.0 if i > plan.transfers else 0.0
        if ride.line is None:
            continue
        stops = set(ride.line.stops)
        if plan.transfers > 0:
            points += 3.0
        elif start_end <= stops:
            points += 4.0
        serves = {ride.departure, ride.arrival} <= stops
        if serves and i < len(rides) and i <= plan.transfers:
            points += 1.0 if ride.arrival == rides[i].departure else 0.0
    return min(MOST_POINTS, points)


def gold_plan(sample: Sample) -> Plan:
    """The planning question of a sample, or a DataError where it is none or its route is wrong."""
    plan = plan_of(sample)
    if plan is None:
        _refuse(sample, "a reference route")
    return plan


def plan_of(sample: Sample) -> Plan | None:
    """The planning question of a sample, or None where it asks something else."""
    gold = _gold(sample)
    return gold if isinstance(gold, Plan) else None


def _gold(sample: Sample) -> Plan | bool | int | str:
    """The target: a plan, True or False for yes or no, a count, or an option letter."""
    target = sample.target
    if isinstance(target, int) and not isinstance(target, bool) and target >= 0:
        return target
    if isinstance(target, str):
        if (word := normal_text(target)) in ("yes", "no"):
            return word == "yes"
        if (letter := parse_choice(target)) is not None:
            return letter
    legs = reference_route(target)
    if not legs:
        _refuse(sample, 'a reference route, "yes" or "no", an option letter or a whole number')
    try:
        plan = Plan(read_lines(sample.meta.get("lines")), legs)
    except ValueError as error:
        raise DataError(f'sample "{sample.id}", meta["lines"]: {error}') from None
    if not can_be_ridden(legs, plan):
        _refuse(sample, "a route that can be ridden on the lines of this map")
    return plan


def reference_route(target: Any) -> Route | None:
    """Legs of a text, or of a list of mappings with ReasonMap's keys; None where it is neither."""
    if isinstance(target, str):
        return parse_route(target)
    if not isinstance(target, Sequence) or not all(isinstance(leg, Mapping) for leg in target):
        return None
    keys = ("route_name", "departure_stop", "arrival_stop")
    if not all(isinstance(leg.get(key), str) for leg in target for key in keys):
        return None
    return tuple(Leg(*(leg[key] for key in keys)) for leg in target)


def _ends_right(route: Route, plan: Plan) -> bool:
    return (stop_key(route[0].departure), stop_key(route[-1].arrival)) == plan.ends


def _rides(route: Route, lines: Lines) -> list[Ride]:
    found = []
    for leg in route:
        line = find_line(lines, leg.line)
        start, end = stop_key(leg.departure), stop_key(leg.arrival)
        found.append(Ride(line, start, end, line.rides(start, end) if line else ()))
    return found


def _needless(first: Ride, then: Ride) -> bool:
    """Whether both legs are on one line whose trains run through (or back)."""
    if first.line is None or first.line is not then.line:
        return False
    return bool(first.line.rides(first.departure, then.arrival)) or first.departure == then.arrival


def _count_score(leg: Leg, way: Via) -> float:
    if leg.num_via is None:
        return 0.0
    return max(0.0, 1.0 - abs(leg.num_via - len(way)) / max(len(way), 1))


def _list_score(leg: Leg, way: Via) -> float:
    if leg.via is None:
        return 0.0
    said = tuple(stop_key(stop) for stop in leg.via)[: 4 * (len(way) + 4)]
    longer = max(len(leg.via), len(way))
    return _common_length(said, way) / longer if longer else 1.0


def _common_length(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, start=1):
            before, row[j] = row[j], before + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def _refuse(sample: Sample, wanted: str) -> NoReturn:
    raise DataError(
        f'the target of sample "{sample.id}" (task "{sample.task}") should be {wanted}; '
        f"it is {sample.target!r:.120}"
    )
