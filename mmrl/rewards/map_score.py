"""ReasonMap's figures for evaluation: the map score in points, and the weight of a question.

Formulas: arXiv 2505.18675, section 4. Departures from its code (fscdc/ReasonMap main.py, May 2025):
the reference line is the reference's, not one derived from the answer; the reference arrival is its
arrival, not its departure; lines are compared as the map names them; the error of a count is
divided by max(reference, answer), as the paper has it; two empty lists of stops agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmrl.errors import DataError, nearest
from mmrl.parse.lines import find_line, stop_key
from mmrl.parse.routes import Leg, Route, parse_route
from mmrl.rewards.routes import Plan, can_be_ridden, plan_of, reference_route
from mmrl.types import Rollout, Sample

MOST_SHORT, MOST_LONG = 10.0, 20.0
"""Caps of the points for parts; a route that can be ridden adds as much again."""
MOST_VIA = 10.0
LEVELS: Mapping[str, int] = {"tiny": 0, "easy": 0, "middle": 1, "medium": 1, "hard": 2}


def map_points(route: Route, plan: Plan, template: str = "short") -> float:
    """0 to 20 points of an answer to a short question, 0 to 40 to a long one.

    Where the ends are right: 1, and for each leg beside its counterpart 2 for the line and 1 for
    each of its stops. Long questions add the stops passed: their numbers, 4 - 4 · error / larger a
    leg, at most 10; or their names, (10 · IoU + min(10, hits)) / 2 over legs on the right line.
    """
    is_long = template in ("long_count", "long_list")
    most = MOST_LONG if is_long else MOST_SHORT
    ends = stop_key(route[0].departure), stop_key(route[-1].arrival)
    if ends != plan.ends:
        return 0.0
    points = 1.0
    pairs = list(zip(route, plan.route, strict=False))
    for leg, wanted in pairs:
        points += 2.0 * _same_line(plan, leg, wanted)
        points += stop_key(leg.departure) == stop_key(wanted.departure)
        points += stop_key(leg.arrival) == stop_key(wanted.arrival)
    if template == "long_count":
        points += min(MOST_VIA, sum(_count_points(leg, wanted) for leg, wanted in pairs))
    if template == "long_list":
        points += _list_points([p for p in pairs if _same_line(plan, *p)])
    return min(most, points) + (most if can_be_ridden(route, plan) else 0.0)


def map_score(rollout: Rollout, sample: Sample, *, long: bool) -> float | None:
    """Map points of a completion, best over the reference plans; None for other questions.

    `meta["plans"]` holds the reference plans where there are several, each like the target.
    """
    template = str(sample.meta.get("template", "short"))
    if (template in ("long_count", "long_list")) is not long:
        return None
    plan = plan_of(sample)
    if plan is None:
        return None
    route = parse_route(rollout.parsed.answer or "")
    if route is None:
        return 0.0
    others = sample.meta.get("plans") or [sample.target]
    plans = [replace(plan, route=_with_vias(sample, legs)) for legs in others]
    return max(map_points(route, one, template) for one in plans)


def map_score_short(rollout: Rollout, sample: Sample) -> float | None:
    """0 to 20 map points of short planning questions."""
    return map_score(rollout, sample, long=False)


def map_score_long(rollout: Rollout, sample: Sample) -> float | None:
    """0 to 40 map points of planning questions that ask for the stops passed."""
    return map_score(rollout, sample, long=True)


def question_weight(sample: Sample) -> float:
    """Weight of a sample in ReasonMap's weighted accuracy, Σ w · right / Σ w.

    Planning: 1 + (question + map) / 2 with levels 0, 1, 2, where the question's level is its column
    `difficulty_question` or else its number of changes (2 for more). Others: 1 + map / 2.
    """
    weight = 1.0 + 0.5 * _level(sample, "difficulty_city")
    if plan_of(sample) is None:
        return weight
    if sample.meta.get("difficulty_question") is not None:
        return weight + 0.5 * _level(sample, "difficulty_question")
    count: Any = sample.meta.get("question_transfer_count")
    return weight + 0.5 * (min(2, max(0, count)) if isinstance(count, int) else 0)


def _level(sample: Sample, column: str) -> int:
    level = sample.meta.get(column)
    if not isinstance(level, str) or level not in LEVELS:
        raise DataError(
            f'sample "{sample.id}": meta["{column}"] is {level!r}.{nearest(str(level), LEVELS)}'
        )
    return LEVELS[level]


def _same_line(plan: Plan, leg: Leg, wanted: Leg) -> bool:
    line = find_line(plan.lines, leg.line)
    return line is not None and line is find_line(plan.lines, wanted.line)


def _count_points(leg: Leg, wanted: Leg) -> float:
    if leg.num_via is None or wanted.num_via is None:
        return 0.0
    error = abs(leg.num_via - wanted.num_via)
    return 4.0 - 4.0 * error / max(leg.num_via, wanted.num_via, 1)


def _list_points(pairs: Sequence[tuple[Leg, Leg]]) -> float:
    said = {stop_key(stop) for leg, _ in pairs for stop in leg.via or ()}
    wanted = {stop_key(stop) for _, leg in pairs for stop in leg.via or ()}
    hits, union = len(said & wanted), len(said | wanted)
    answered = bool(pairs) and all(leg.via is not None for leg, _ in pairs)
    iou = hits / union if union else float(answered)
    return (10.0 * iou + min(MOST_VIA, hits)) / 2


def _with_vias(sample: Sample, legs: Any) -> Route:
    """A reference plan with the stops passed, as many of them as its rows tell."""
    route = reference_route(legs)
    if route is None:
        raise DataError(
            f'sample "{sample.id}": meta["plans"] holds {legs!r:.80}, which is no route'
        )
    if isinstance(legs, str):
        return route
    found = []
    for leg, row in zip(route, legs, strict=True):
        via = row.get("via_stops")
        count = row.get("num_via_stops", None if via is None else len(via))
        stops = None if via is None else tuple(str(stop) for stop in via)
        found.append(replace(leg, via=stops, num_via=count if isinstance(count, int) else None))
    return tuple(found)
