"""TON's and EasyR1's rewards by their own code, and where ours differs on purpose."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from builders import CLOCK, a_rollout, a_sample
from vectors import FOLDER, check, suite

from mmrl.errors import DataError
from mmrl.parse.actions import ScreenAction, parse_action, parse_action_completion
from mmrl.parse.boxed import parse_boxed
from mmrl.rewards.builtin import ACTION_KIND, ACTION_PLACE, FORMAT, NUMBER, TEXT
from mmrl.rewards.length import soft_overlong
from mmrl.types import Rollout

TON = json.loads((FOLDER / "ton.json").read_text())["groups"]


def of(group: int) -> list[dict[str, Any]]:
    """The cases of a group in the form of the other files."""
    return [
        {"input": {k: c[k] for k in ("completion", "solution")}, "output": c}
        for c in TON[group]["cases"]
    ]


def step(text: str) -> Rollout:
    return replace(a_rollout(text), parsed=parse_action_completion(text))


def screen(case: dict[str, str]) -> tuple[float, float, float]:
    """Kind, place (their value) and format; a place that does not apply counts as 0 here."""
    rollout = step(case["completion"])
    gold = parse_action_completion(f"<think>x</think>{case['solution']}").answer
    values = [r(rollout, a_sample(gold), {}, CLOCK) for r in (ACTION_KIND, ACTION_PLACE, FORMAT)]
    kind, place, form = (0.0 if value is None else value for value in values)
    return kind, place, form


def test_ton_steps_on_a_screen() -> None:
    check(of(1), screen, {}, lambda c: (c["type"], c["value"], c["format"]))


def counted(case: dict[str, str]) -> tuple[float, float]:
    """The better of `number` and `text`, and the format."""
    gold = case["solution"].replace("<answer>", "").replace("</answer>", "").strip()
    rollout = a_rollout(case["completion"])
    values = []
    for reward in (NUMBER, TEXT):
        try:
            values.append(reward(rollout, a_sample(gold), {}, CLOCK) or 0.0)
        except DataError:
            values.append(0.0)
    return max(values), FORMAT(rollout, a_sample(), {}, CLOCK) or 0.0


NOTHING = "an empty block is no reasoning and no answer"
SPACE = "white space around the whole is no text"
NUMBERS = "numbers are compared as numbers"
LAST = "one answer only, and the last one counts"
WHOLE = "only the answer is judged, never the whole completion"
COUNTED = {
    1: ((1.0, 0.0), NOTHING),
    4: ((1.0, 1.0), NUMBERS),
    5: ((0.0, 0.0), NOTHING),
    6: ((0.0, 0.0), NOTHING + "; an empty reference is an error of the data"),
    10: ((1.0, 1.0), SPACE),
    11: ((1.0, 1.0), SPACE),
    12: ((0.0, 0.0), LAST),
    13: ((1.0, 0.0), LAST),
    14: ((1.0, 0.0), "one block of reasoning"),
    16: ((1.0, 1.0), "case of letters does not count"),
    17: ((1.0, 1.0), NUMBERS),
    19: ((1.0, 1.0), NUMBERS),
    21: ((0.0, 1.0), "texts are compared, not formulas"),
    22: ((1.0, 1.0), NUMBERS),
    27: ((0.0, 1.0), WHOLE),
    28: ((0.0, 0.0), NOTHING),
    30: ((1.0, 1.0), NUMBERS),
    31: ((0.0, 0.0), WHOLE),
}


def test_ton_counting() -> None:
    check(of(0), counted, COUNTED, lambda c: (c["accuracy"], c["format"]))


def test_steps_are_read_and_never_run() -> None:
    assert parse_action('{"action": "Scroll  UP"}') == ScreenAction("scroll up")
    assert parse_action("{'action': 'TYPE', 'value': 'abc'}") == ScreenAction("type", value="abc")
    assert parse_action("__import__('os').system('true')") is None
    assert parse_action("[" * 100_000) is None
    one = parse_action("{'action': 'CLICK', 'position': [0.5]}")
    assert one == ScreenAction("click", None)  # one number is no place (theirs broadcasts it)


@pytest.mark.parametrize("target", [None, "CLICK", {"action": "CLICK"}, {"action": ""}, [1, 2]])
def test_a_reference_that_is_no_step_is_an_error(target: object) -> None:
    with pytest.raises(DataError, match='"s1" should be'):
        ACTION_PLACE(step("x"), a_sample(target), {}, CLOCK)


def easy(case: dict[str, str]) -> tuple[float, float]:
    rollout = a_rollout(case["response"])
    sample = a_sample(case["ground_truth"])
    values = [reward(rollout, sample, {}, CLOCK) for reward in (FORMAT, NUMBER)]
    return values[0] or 0.0, values[1] or 0.0


def test_easyr1_counting() -> None:
    check(
        suite("easyr1", "r1v.compute"),
        easy,
        {2: ((0.0, 0.0), "an answer stands in its tags")},
        lambda o: (o["format"], o["accuracy"]),
    )


def boxed(case: dict[str, str]) -> float:
    rollout = replace(a_rollout(case["response"]), parsed=parse_boxed(case["response"]))
    return NUMBER(rollout, a_sample(case["ground_truth"]), {}, CLOCK) or 0.0


def test_easyr1_mathematics() -> None:
    check(suite("easyr1", "math.compute"), boxed, {}, lambda o: o["accuracy"])


def test_easyr1_overlong() -> None:
    check(
        suite("easyr1", "dapo.soft"),
        lambda c: soft_overlong(c["len"], c["max"], c["buffer"]),
        {},
    )
