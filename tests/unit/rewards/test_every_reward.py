"""Rewards whose target is a plain value, over all such values: gold, wrong, hostile, improper.

`test_reward_properties.py` holds every registered reward to the rules, over its tasks' samples.
"""

import math

import pytest
from builders import CLOCK, a_rollout, a_sample
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.errors import DataError
from mmrl.rewards.builtin import REWARDS
from mmrl.rewards.format import NO_EVIDENCE
from mmrl.rewards.registry import call_reward

INT_BOX = st.builds(
    lambda x, y, w, h: [x, y, x + w, y + h],
    st.integers(0, 900), st.integers(0, 900), st.integers(1, 99), st.integers(1, 99),
)  # fmt: skip
SPAN = st.builds(lambda s, d: [s, s + d], st.integers(0, 500), st.integers(1, 500))
NUMBER = st.one_of(st.integers(-(10**9), 10**9), st.floats(-1e9, 1e9, allow_subnormal=False))
WORDS = st.lists(st.sampled_from(["red", "blue", "cat", "dog", "left"]), min_size=1, max_size=3)
ROUTES = ("red: A > D", "red: A > C; blue: C > F", "blue: F > C; red: C > B")
MAP = {"red": ["A", "B", "C", "D"], "blue": ["C", "E", "F"]}
ROUTE = st.sampled_from(ROUTES)
LISTED = {  # with the stops passed
    gold: "\n--\n".join(
        f"Route Name: {leg[0]}\nDeparture Stop: {leg[1]}\n"
        f"Arrival Stop: {leg[2]}\nVia Stops: {leg[3]}"
        for leg in legs
    )
    for gold, legs in zip(
        ROUTES,
        (
            [("red", "A", "D", "B, C")],
            [("red", "A", "C", "B"), ("blue", "C", "F", "E")],
            [("blue", "F", "C", "E"), ("red", "C", "B", "None")],
        ),
        strict=True,
    )
}
DISTINCT_BOXES = st.lists(INT_BOX, min_size=1, max_size=4)

# reward -> targets, the answer that the target demands, a well-formed wrong answer
CASES = {
    "format": (st.none(), lambda t: "x", lambda t: "y"),
    "box_iou": (INT_BOX, str, lambda t: "[2000,2000,2001,2001]"),
    "box_giou": (INT_BOX, str, lambda t: "[2000,2000,2001,2001]"),
    "boxes_iou": (DISTINCT_BOXES, str, lambda t: "[[2000,2000,2001,2001]]"),
    "span_iou": (SPAN, str, lambda t: "[2000, 2001]"),
    "choice": (st.sampled_from("ABCD"), str, lambda t: "E"),
    "number": (NUMBER, repr, lambda t: repr(t + 1.0 + abs(t))),
    "text": (WORDS.map(" ".join), str, lambda t: t + " not"),
    "map_right": (ROUTE, str, lambda t: "red: A > F"),
    "route_detail": (ROUTE, str, lambda t: "red: A > F"),
    "route_via": (ROUTE, LISTED.get, lambda t: t),
}
HOSTILE = st.lists(
    st.sampled_from(
        [
            "<think>", "</think>", "<answer>", "</answer>", "[", "]", ",", "(", ")", "nan", "inf",
            "-", "1", "9" * 400, "1e999", ".", ":", " ", "[0,0,1e308,1e308]", "[5,5,1,1]", "A",
            "[0,0,0,0]", "B.", "\\boxed{A}", "to", "\x00", "é", "[[[[", "-1e308", "[1,2,3,4]",
        ]
    ),
    max_size=14,
).map("".join)  # fmt: skip
AT_MOST = settings(max_examples=200, deadline=None, derandomize=True, database=None)


def sample_for(target):
    return a_sample(target, coord_space="abs_original", lines=MAP, template="long_list")


def value(name, target, text):
    reward = REWARDS.get(name)
    return call_reward(reward, a_rollout(text), sample_for(target), NO_EVIDENCE, CLOCK)


def formed(answer):
    return f"<think>so</think><answer>{answer}</answer>"


@pytest.mark.parametrize("name", sorted(CASES))
def test_gold_earns_the_maximum_and_nothing_the_minimum(name):
    targets, answer, wrong = CASES[name]
    low, high = REWARDS.get(name).bounds

    @AT_MOST
    @given(targets)
    def check(target):
        assert value(name, target, formed(answer(target))) == pytest.approx(high)
        assert value(name, target, "") == low
        assert value(name, target, formed(wrong(target))) >= value(name, target, "")
        if name != "format":
            assert value(name, target, formed(wrong(target))) < high

    check()


@pytest.mark.parametrize("name", sorted(CASES))
def test_any_text_earns_a_finite_number_inside_the_bounds(name):
    targets, *_ = CASES[name]
    low, high = REWARDS.get(name).bounds

    @AT_MOST
    @given(targets, HOSTILE, st.booleans())
    def check(target, text, inside):
        got = value(name, target, formed(text) if inside else text)
        assert got is not None and math.isfinite(got) and low <= got <= high

    check()


@pytest.mark.parametrize("name", sorted(set(CASES) - {"format"}))
def test_the_gold_outside_of_the_answer_earns_the_minimum(name):
    targets, answer, _ = CASES[name]
    low, _ = REWARDS.get(name).bounds

    @AT_MOST
    @given(targets)
    def check(target):
        gold = answer(target)
        for text in (gold, f"<think>{gold}</think>", f"<think>{gold}</think><answer></answer>"):
            assert value(name, target, text) == low
        assert value(name, target, f"<think><answer>{gold}</answer></think>") == low

    check()


@pytest.mark.parametrize("name", sorted(set(CASES) - {"format"}))
@pytest.mark.parametrize("target", [None, "", "   ", [], {}, [1, 2, 3], float("nan"), object()])
def test_gold_that_is_none_is_a_data_error(name, target):
    with pytest.raises(DataError, match='sample "s1"'):
        value(name, target, formed("[1,2,3,4]"))


IMPROPER = st.one_of(
    st.builds(lambda b: [b[2], b[1], b[0], b[3]], INT_BOX),  # inverted in x
    st.builds(lambda b: [b[0], b[3], b[2], b[1]], INT_BOX),  # inverted in y
    st.builds(lambda b: [b[0], b[1], b[0], b[3]], INT_BOX),  # no width
    st.builds(lambda b: [b[0], b[1], b[2], b[1]], INT_BOX),  # no height
    st.builds(lambda b: [*b[:3], "1e999"], INT_BOX),  # endless
)


@pytest.mark.parametrize("name", ["box_iou", "box_giou", "boxes_iou"])
def test_improper_boxes_earn_nothing(name):
    @AT_MOST
    @given(INT_BOX, IMPROPER)
    def check(target, box):
        text = formed(f"[{','.join(str(x) for x in box)}]")
        assert value(name, target, text) == 0.0

    check()


@pytest.mark.parametrize("name", ["box_iou", "box_giou", "boxes_iou"])
@pytest.mark.parametrize("target", [[3, 1, 2, 4], [1, 1, 1, 4], [0, 0, math.inf, 1], [[1, 2, 3]]])
def test_an_improper_reference_box_is_a_data_error(name, target):
    with pytest.raises(DataError, match="should be"):
        value(name, target, formed("[1,2,3,4]"))
