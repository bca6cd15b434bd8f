"""How the built-in tasks' answers are drawn: what the rewards read of them, and no more.

A task takes one of `BOX_MARKS`, `BOXES_MARKS`, `PLACE_MARKS`, `THING_MARKS`, `REASONED_MARKS`,
`STEP_MARKS`, `SPAN_MARKS` as its `overlay`; routes on maps are `mmrl.tasks.transit.overlay`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmrl.parse.actions import parse_action
from mmrl.parse.boxes import parse_box, parse_boxes
from mmrl.parse.objects import Thing, parse_things
from mmrl.parse.points import parse_points
from mmrl.parse.spans import parse_span
from mmrl.rewards.actions import gold_action
from mmrl.rewards.gold import gold_boxes, gold_points, gold_span, holds_points
from mmrl.rewards.things import gold_things
from mmrl.tasks.overlay import Draws, Overlay, Place, known
from mmrl.types import Parsed, Sample

SHARES = "norm_1"
"""The space of steps on a screen, whatever the model's family writes."""


def last_box(parsed: Parsed, sample: Sample, place: Place) -> Overlay:
    """The answer's last box, the one that overlap is measured of."""
    box = parse_box(parsed.answer or "")
    return Overlay(boxes=known([place.box(box)] if box else []))


def all_boxes(parsed: Parsed, sample: Sample, place: Place) -> Overlay:
    """Every box of the answer."""
    return Overlay(boxes=known(place.box(box) for box in parse_boxes(parsed.answer or "")))


def pointed_place(parsed: Parsed, sample: Sample, place: Place) -> Overlay:
    """The answer's last point; where it has none its last box, with the middle that counts."""
    text = parsed.answer or ""
    if points := parse_points(text):
        return Overlay(points=known([place.point(points[-1])]))
    boxes = last_box(parsed, sample, place).boxes
    middles = (((m.box[0] + m.box[2]) / 2, (m.box[1] + m.box[3]) / 2) for m in boxes)
    return Overlay(boxes=boxes, points=known(place.point(p, space=SHARES) for p in middles))


def listed_things(parsed: Parsed, sample: Sample, place: Place) -> Overlay:
    """Boxes and points of the things that the answer lists, with their labels."""
    return _things(parse_things(parsed.answer or ""), place)


def reasoned_boxes(parsed: Parsed, sample: Sample, place: Place) -> Overlay:
    """Every box of the reasoning."""
    return Overlay(boxes=known(place.box(box) for box in parse_boxes(parsed.reasoning or "")))


def step_place(parsed: Parsed, sample: Sample, place: Place) -> Overlay:
    """Where a step on a screen goes, with its name."""
    step = parse_action(parsed.answer or "")
    if step is None or step.position is None:
        return Overlay()
    return Overlay(points=known([place.point(step.position, step.name, space=SHARES)]))


def last_span(parsed: Parsed, sample: Sample, place: Place) -> Overlay:
    """The answer's last span."""
    span = parse_span(parsed.answer or "")
    return Overlay(spans=known([place.span(span)] if span else []))


def target_place(sample: Sample, place: Place) -> Overlay:
    """The boxes, or the points, of the target."""
    if holds_points(sample):
        return Overlay(points=known(place.point(point) for point in gold_points(sample)))
    return Overlay(boxes=known(place.box(box) for box in gold_boxes(sample)))


def target_things(sample: Sample, place: Place) -> Overlay:
    """The things of the target."""
    return _things(gold_things(sample), place)


def meta_boxes(sample: Sample, place: Place) -> Overlay:
    """The boxes of `meta["boxes"]`, beside a target that is a count."""
    boxes = sample.meta.get("boxes") or ()
    if isinstance(boxes, str):
        boxes = parse_boxes(boxes)
    return Overlay(boxes=known(place.box(box) for box in boxes if _is_four(box)))


def target_step(sample: Sample, place: Place) -> Overlay:
    """Where the reference step goes."""
    gold = gold_action(sample)
    if gold.position is None:
        return Overlay()
    return Overlay(points=known([place.point(gold.position, gold.name, space=SHARES)]))


def target_span(sample: Sample, place: Place) -> Overlay:
    """The reference span."""
    return Overlay(spans=known([place.span(gold_span(sample))]))


def _things(things: Sequence[Thing], place: Place) -> Overlay:
    return Overlay(
        boxes=known(place.box(t.box, t.label) for t in things if t.box is not None),
        points=known(place.point(p, t.label) for t in things for p in t.points),
    )


def _is_four(box: Any) -> bool:
    row = box if isinstance(box, list | tuple) else ()
    return len(row) == 4 and all(isinstance(v, int | float) for v in row)


BOX_MARKS = Draws(answer=last_box, gold=target_place)
BOXES_MARKS = Draws(answer=all_boxes, gold=target_place)
PLACE_MARKS = Draws(answer=pointed_place, gold=target_place)
THING_MARKS = Draws(answer=listed_things, gold=target_things)
REASONED_MARKS = Draws(answer=reasoned_boxes, gold=meta_boxes)
STEP_MARKS = Draws(answer=step_place, gold=target_step)
SPAN_MARKS = Draws(answer=last_span, gold=target_span)
