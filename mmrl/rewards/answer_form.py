"""Format rewards that look inside the answer: nothing but boxes, nothing but a span.

VLM-R1, VisionReasoner and Temporal-R1 each reward the form of what stands between the tags. Here
the tags must be well-formed (`format`) and the answer hold what was asked for and nothing else.
"""

from __future__ import annotations

import re

from mmrl.parse.boxes import is_proper_box, parse_boxes, without_boxes
from mmrl.parse.objects import parse_things, without_things
from mmrl.parse.spans import is_proper_span, is_span_text, parse_span
from mmrl.types import Rollout, Sample, Verdict

_FENCE = re.compile(r"\s*+```(?:json)?+\s(.*)```\s*+", re.DOTALL)
_REST = re.compile(r"[\[\],\s]*+")


def box_format_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the tags are right and the answer is made of proper boxes, bare or in JSON."""
    if rollout.parsed.verdict is not Verdict.OK:
        return 0.0
    answer = rollout.parsed.answer or ""
    if (fenced := _FENCE.fullmatch(answer)) is not None:
        answer = fenced[1]
    things = parse_things(answer)
    rest = without_things(answer)
    boxes = parse_boxes(rest) + [thing.box for thing in things if thing.box is not None]
    if not boxes or len(boxes) < len(things) or not all(map(is_proper_box, boxes)):
        return 0.0
    return 1.0 if _REST.fullmatch(without_boxes(rest)) else 0.0


def span_format_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the tags are right and the answer is one span that lasts, and nothing else."""
    answer = rollout.parsed.answer or ""
    if rollout.parsed.verdict is not Verdict.OK or not is_span_text(answer):
        return 0.0
    span = parse_span(answer)
    return 1.0 if span is not None and is_proper_span(span) else 0.0
