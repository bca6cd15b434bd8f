"""Temporal-R1 by its own code, and where ours differs on purpose."""

from __future__ import annotations

from typing import Any

import pytest
from builders import CLOCK, a_rollout, a_sample, answered
from vectors import REFUSED, check, suite

from mmrl.errors import DataError
from mmrl.parse.spans import is_span_text, parse_spans, span_iou
from mmrl.rewards.builtin import SPAN_FORMAT, SPAN_IOU
from mmrl.rewards.gold import gold_span


def test_iou_of_spans() -> None:
    departures = {
        3: (0.0, "a span that does not last overlaps with nothing, not a division by zero"),
        5: (0.0, "there is no time before the beginning"),
    }
    cases = suite("temporal-r1", "temporal_iou")
    check(cases, lambda c: span_iou(tuple(c["A"]), tuple(c["B"])), departures)


def tvg(case: dict[str, Any]) -> tuple[float, float]:
    sample = a_sample(case["gt"], span_unit="share", video_length=case["video_length"])
    rollout = a_rollout(case["predict"])
    accuracy = SPAN_IOU(rollout, sample, {}, CLOCK)
    form = SPAN_FORMAT(rollout, sample, {}, CLOCK)
    assert accuracy is not None and form is not None
    return form, accuracy


TVG = {
    2: ((0.0, 0.0), "an inverted span has not the form of one"),
    4: ((0.0, 0.0), "nor has one that does not last"),
    5: ((0.0, 0.0), "there is no time before the beginning"),
    7: ((1.0, 1.0), "JSON numbers need no quotes"),
    8: ((1.0, 1.0), "JSON objects have no order"),
    9: ((0.0, 1.0), "a fence around the JSON spoils the form alone"),
    10: ((1.0, 1.0), "minutes and seconds are read"),
    11: ((1.0, 1.0), "a unit may be said"),
    15: ((0.0, 0.0), "one answer, and the last one counts"),
    16: ((0.0, 1.0), "one block of reasoning"),
    17: (REFUSED, "a length of 0 seconds is an error of the data"),
    18: (REFUSED, "shares above 1 are an error of the data"),
}


def test_grounding_in_time() -> None:
    cases = suite("temporal-r1", "tvg_format")
    check(cases, tvg, TVG, lambda o: (o["format"], o["accuracy"]))


def test_score_is_the_mean_of_both() -> None:
    for number, case in enumerate(suite("temporal-r1", "tvg_format")):
        if number not in TVG:
            assert sum(tvg(case["input"])) / 2 == pytest.approx(case["output"]["score"], abs=1e-9)


def test_spans_in_words() -> None:
    departures = {
        2: ([], "`Start: 5 / End: 12` on two lines is a form that no prompt of ours asks for"),
        4: ([(18.0, 23.0)], "hours and minutes are read"),
        5: ([(3.0, 6.0)], "Temporal-R1's own form is read"),
        6: ([(1.0, 2.0), (5.0, 9.0)], "all spans are found; the last one counts"),
    }
    cases = suite("temporal-r1", "extract_time")
    check(cases, lambda text: [list(s) for s in parse_spans(text)], departures)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("[1.5, 3]", True),
        ("(1.5, 3)", True),
        ("1.5 to 3 seconds", True),
        ('{"start_time": "1.5", "end_time": "3"}', True),
        ('{"start_time": "1.5", "start_time": "3"}', False),
        ("from [1, 2]", False),
        ("[1, 2], [3, 4]", False),
        ("", False),
    ],
)
def test_a_span_and_nothing_else(text: str, whole: bool) -> None:
    assert is_span_text(text) is whole


def test_shares_become_seconds() -> None:
    sample = a_sample([0.25, 0.5], span_unit="share", video_length=40.0)
    assert gold_span(sample) == (10.0, 20.0)
    assert SPAN_IOU(answered("[10, 20]"), sample, {}, CLOCK) == 1.0
    with pytest.raises(DataError, match=r'"seconds" or "share", not in \'frames\''):
        gold_span(a_sample([1, 2], span_unit="frames"))
    with pytest.raises(DataError, match=r"0 <= start < end <= 1"):
        gold_span(a_sample([1, 2], span_unit="share", video_length=3.0))
