"""Coordinate spaces: what a model of another family writes is compared, and demonstrated, there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import CLOCK, a_rollout, a_sample, answered

from mmrl.errors import DataError
from mmrl.rewards.builtin import BOX_IOU, BOX_SIZE, BOXES_IOU, DETECTION, HIT, NEAR, THINGS
from mmrl.rewards.spaces import as_answered, picture_extent, space_of_answers
from mmrl.tasks.base import TASKS
from mmrl.types import Prompt

SIZES = ((640, 480), (644, 476))


def prompt(space: str | None) -> Prompt:
    return replace(a_rollout(sizes=SIZES).prompt, coord_space=space)


def scored(task: str, sample: object, text: str, space: str) -> float:
    spec = TASKS.get(task)
    rollout = replace(a_rollout(text, sizes=SIZES), prompt=prompt(space), parsed=spec.parse(text))
    got = spec.score(rollout, sample)  # type: ignore[arg-type]
    assert got is not None
    return got


@pytest.mark.parametrize("space", ["abs_resized", "norm_1", "norm_1000", "norm_100"])
@pytest.mark.parametrize(
    ("task", "target"),
    [
        ("grounding", [64, 48, 320, 240]),
        ("boxes", [[64, 48, 320, 240], [320, 240, 640, 480]]),
        ("boxes", "[[64, 48, 320, 240]]"),
        ("pointing", [320, 240]),
        ("gui", [64, 48, 320, 240]),
        ("gui_fast", [64, 48, 320, 240]),
        ("detection", [{"bbox_2d": [64, 48, 320, 240], "label": "cat"}]),
        ("detection", '[{"bbox_2d": [64, 48, 320, 240], "label": "cat"}]'),
        ("detection", "none"),
    ],
)
def test_gold_is_written_as_the_model_writes(space: str, task: str, target: object) -> None:
    sample = a_sample(target, coord_space="abs_original")
    said = as_answered(sample, prompt(space))
    text = TASKS.get(task).gold(said)
    assert scored(task, sample, text, space) > 0.97
    # The middle of a box may be hit in another space too.
    if target != "none" and not task.startswith("gui"):
        wrong = TASKS.get(task).gold(sample)
        assert scored(task, sample, wrong, space) < 0.99 or space == "abs_resized"


def test_hand_worked_numbers() -> None:
    sample = a_sample([64, 48, 320, 240], coord_space="abs_original")
    assert as_answered(sample, prompt("norm_1000")).target == [[100, 100, 500, 500]]
    assert as_answered(sample, prompt("norm_1")).target == [[0.1, 0.1, 0.5, 0.5]]
    # 64 * 644 / 640 = 64.4, 48 * 476 / 480 = 47.6, 322, 238
    assert as_answered(sample, prompt("abs_resized")).target == [[64, 48, 322, 238]]
    thin = a_sample([64, 48, 65, 240], coord_space="abs_original")
    assert as_answered(thin, prompt("norm_100")).target == [[10, 10, 10.15625, 50]]
    assert as_answered(sample, prompt(None)) is sample
    said = replace(sample, meta={**sample.meta, "answer_space": "abs_original"})
    assert as_answered(said, prompt("norm_1000")) is said


def test_who_says_the_space() -> None:
    sample = a_sample([1, 2, 3, 4], coord_space="abs_original")
    assert space_of_answers(sample, None) == "abs_original"
    assert space_of_answers(sample, "norm_1000") == "norm_1000"
    told = a_sample([1, 2, 3, 4], coord_space="abs_original", answer_space="norm_1")
    assert space_of_answers(told, "norm_1000") == "norm_1"
    with pytest.raises(DataError, match=r'"s1", meta.*Did you mean "norm_100"'):
        space_of_answers(a_sample(answer_space="norm_10", coord_space="norm_1"), None)


def test_distances_want_the_size_of_a_picture() -> None:
    sample = a_sample([64, 48, 320, 240], coord_space="abs_original")
    with pytest.raises(DataError, match="needs the size of a picture"):
        BOX_SIZE.fn(answered("[1,2,3,4]"), sample, {}, CLOCK)
    told = a_sample([64, 48, 320, 240], coord_space="abs_original", width=640, height=480)
    assert picture_extent(answered(""), told) == (640.0, 480.0)
    assert BOX_SIZE.fn(answered("[64,48,320,240]"), told, {}, CLOCK) == 1.0
    resized = a_sample([64, 48, 320, 240], coord_space="abs_resized")
    assert picture_extent(a_rollout(sizes=SIZES), resized) == (644.0, 476.0)


def test_hit_and_near_by_hand() -> None:
    sample = a_sample([10, 20, 30, 40], coord_space="norm_100")
    hit = {"[10,20]": 1.0, "[30,40]": 1.0, "[31,40]": 0.0, "[10,20,30,40]": 1.0, "(20, 30)": 1.0}
    hit |= {"[30,40,10,20]": 0.0, "[20,30,20,30]": 0.0, "[20]": 0.0, "[1e999,30]": 0.0}
    for text, wanted in hit.items():
        assert HIT.fn(answered(text), sample, {}, CLOCK) == wanted, text
    # 5 beside the box of a picture 100 wide: 1 - 0.05 / 0.25
    assert NEAR.fn(answered("[35,30]"), sample, {}, CLOCK) == pytest.approx(0.8)
    assert NEAR.fn(answered("[56,30]"), sample, {}, CLOCK) == 0.0
    point = a_sample([50, 50], coord_space="norm_100")
    assert HIT.fn(answered("[53,54]"), point, {}, CLOCK) == 1.0  # 5 away of 100: 0.05
    assert HIT.fn(answered("[54,54]"), point, {}, CLOCK) == 0.0
    assert NEAR.fn(answered("[53,54]"), point, {}, CLOCK) == pytest.approx(0.8)


def test_many_answers_for_one_thing_cost() -> None:
    gold = [{"bbox_2d": [0, 0, 10, 10]}, {"bbox_2d": [50, 50, 60, 60]}]
    sample = a_sample(gold, coord_space="norm_100")
    one, two = '{"bbox_2d": [0,0,10,10]}', '{"bbox_2d": [50,50,60,60]}'
    for reward in (THINGS, DETECTION):
        got = [
            reward.fn(answered(f"[{', '.join(said)}]"), sample, {}, CLOCK)
            for said in ([one], [one, one], [one, two], [two, one, one, one])
        ]
        assert got == [0.5, 0.5, 1.0, 0.5]
    boxes = a_sample([[0, 0, 10, 10], [50, 50, 60, 60]], coord_space="norm_100")
    assert BOXES_IOU.fn(answered("[[0,0,10,10]]" * 3), boxes, {}, CLOCK) == pytest.approx(1 / 3)
    assert (
        BOX_IOU.fn(
            answered("[0,0,10,10]"), a_sample([0, 0, 10, 20], coord_space="norm_1"), {}, CLOCK
        )
        == 0.5
    )
