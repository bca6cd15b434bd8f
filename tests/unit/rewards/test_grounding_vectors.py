"""GUI-G1 and GRIT by their own code, and where ours differs on purpose."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from builders import CLOCK, a_rollout, a_sample
from vectors import REFUSED, check, suite

from mmrl.parse.fenced import parse_fenced
from mmrl.rewards.bleu import bleu1
from mmrl.rewards.box_size import size_weights
from mmrl.rewards.builtin import (
    BOX_IOU,
    BOX_SIZE,
    COUNT_AGREEMENT,
    FORMAT,
    FRESH,
    GROUNDED_FORMAT,
    HIT,
)
from mmrl.rewards.published_iou import exclusive_iou
from mmrl.roles import Reward
from mmrl.types import Rollout, Sample


def value(reward: Reward, rollout: Rollout, sample: Sample) -> float:
    got = reward(rollout, sample, {}, CLOCK)
    assert got is not None and reward.bounds[0] <= got <= reward.bounds[1]
    return got


def gui_g1(case: dict[str, Any]) -> tuple[float, float, float]:
    size = (case["image_wh"][0], case["image_wh"][1])
    text = case["completion"]
    rollout = replace(a_rollout(text, sizes=(size, size)), parsed=parse_fenced(text))
    sample = a_sample(case["solution"], coord_space="abs_original")
    hit, iou, box = (value(reward, rollout, sample) for reward in (HIT, BOX_IOU, BOX_SIZE))
    return hit, 0.25 * iou, 0.125 * box


def of_gui_g1(output: dict[str, float]) -> tuple[float, ...]:
    return tuple(output[f"{name}_reward"] for name in ("hit", "iou", "box"))


NO_BOX = (0.0, 0.0, 0.0)
FAR = "an edge a whole side away or more earns 0, not what 1/(1 - Δ/S) blows up to"
GUI_G1 = {
    2: (NO_BOX, "a flat box is no box"),
    5: ((0, 0.25 / 20200, 0.10597998829455132), "IoU is continuous: an overlap of 1 x 1 counts"),
    7: (NO_BOX, "an inverted box is no box"),
    8: ((0, 0.25 / 450, 0), FAR),
    12: ((1, 0.25, 0.125), "four numbers in brackets are a box without JSON around it"),
    16: (NO_BOX, "five numbers are no box"),
    18: ((1, 0.25, 0.125), "the last box counts, as the last answer does"),
    20: (REFUSED, "a flat reference box is an error of the data"),
}


def test_gui_g1() -> None:
    check(suite("gui-g1", "hit_reward / iou"), gui_g1, GUI_G1, of_gui_g1)


def test_gui_g1_far_boxes_stay_bounded() -> None:
    cases = suite("gui-g1", "hit/iou/box")
    kept = [of_gui_g1(case["output"])[:2] for case in cases]
    check(cases, gui_g1, {i: ((*kept[i], 0.0), FAR) for i in range(7)}, of_gui_g1)
    published = [case["output"]["box_reward"] for case in cases]
    assert min(published) < -166 and max(published) > 83  # of a reward that should be at most 0.125


def test_gui_g1_iou_of_their_own_pixels() -> None:
    # Their IoU on the boxes of the first seven cases, and one of half pixels.
    answers = [
        (100, 100, 200, 200), (50, 50, 250, 250), (150, 150, 150, 150), (0, 0, 1000, 500),
        (300, 300, 400, 400), (199, 199, 300, 300), (198, 198, 300, 300),
    ]  # fmt: skip
    cases = suite("gui-g1", "hit_reward / iou")
    for box, case in zip(answers, cases, strict=False):
        got = 0.25 * exclusive_iou(box, (100, 100, 200, 200))
        assert got == pytest.approx(case["output"]["iou_reward"], abs=1e-9)


def test_gui_g1_weights_of_small_boxes() -> None:
    check(
        suite("gui-g1", "difficulty weight"),
        lambda case: size_weights(case["relative_box_sizes"]),
        {},
    )
    assert size_weights([0.2, 0.2]) == [1.0, 1.0]
    with pytest.raises(ValueError, match="above 0"):
        size_weights([0.1, 0.0])


def grit(case: dict[str, Any]) -> tuple[float, float, float]:
    """BLEU, a box in the reasoning and (TallyQA) the count at GRIT's weights, and the form.

    GRIT thinks in two blocks and closes no answer; ours thinks in one and closes it. The
    completions are carried over so.
    """
    text = re.sub(r"</think>\s*<rethink>(.*?)</rethink>", r" \1</think>", case["completion"])
    if "<answer>" in text and not text.endswith("</answer>"):
        text += "</answer>"
    rollout, gold = a_rollout(text), case["gt_answer"]
    bleu = 0.1 * bleu1(rollout.parsed.answer or "", gold)
    boxes = 0.5 * (GROUNDED_FORMAT(rollout, a_sample(gold), {}, CLOCK) or 0.0)
    if case["dataset"] == "tallyqa":
        boxes += value(COUNT_AGREEMENT, rollout, a_sample(gold))
    return bleu, boxes, value(FORMAT, rollout, a_sample(gold))


def of_grit(output: dict[str, float]) -> tuple[float, float, float]:
    grounded = "grounded_region_specific_thinking_format_reward_think_rethink"
    form = output["answer_format_reward"] + output["think_and_rethink_format_reward"]
    return output["bleu_score_reward"], output[grounded], float(form == 1.0)


GRIT = {
    1: ((0.1, 0.5, 1.0), "a closing tag is no word of the answer"),
    3: ((0.1, 0.0, 1.0), "numbers without brackets are no box"),
    4: ((0.1, 0.5, 1.0), "a box in shares of the sides is a box"),
    6: ((0.1, 0.0, 1.0), "reasoning of one word is reasoning"),
    7: ((0.1, 0.0, 0.0), "the last complete answer counts, not the text behind the first tag"),
    13: ((0.1, 0.0, 1.0), "a box without area is no box (and copies of a box count once)"),
}


def test_grit() -> None:
    check(suite("grit", "bleu_score"), grit, GRIT, of_grit)


def fresh(case: dict[str, Any]) -> float:
    return 0.5 * value(FRESH, a_rollout(case["completion"]), a_sample())


NGRAMS = "runs of 6 words, counted once, in [0, 1]; GRIT subtracts words and tokens, down to -0.5"
REPETITION = {
    0: (0.0, "an empty completion earns nothing"),
    3: (0.5 * 8 / 27, NGRAMS),  # 32 words: 27 runs, 8 of them different
    4: (0.5 * 8 / 11, NGRAMS),
    6: (0.5 * 2 / 35, NGRAMS),
}


def test_grit_repetition() -> None:
    check(suite("grit", "repetitive_reward"), fresh, REPETITION)
