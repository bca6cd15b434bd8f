"""VLM-R1, Visual-RFT and Seg-Zero by their own code, and where ours differs on purpose."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from builders import CLOCK, a_rollout, a_sample, answered
from vectors import REFUSED, check, suite

from mmrl.parse.boxes import Box, box_giou, box_iou
from mmrl.parse.objects import parse_things
from mmrl.rewards.builtin import (
    BOX_CONFIDENCE,
    BOX_FORMAT,
    BOX_GIOU,
    BOX_IOU,
    BOX_IOU_50,
    BOX_L1,
    CHOICE,
    DETECTION,
    FORMAT,
    FRESH,
    TEXT,
    THINGS,
)
from mmrl.rewards.iou import BoxIou
from mmrl.rewards.published_iou import exclusive_iou, inclusive_iou
from mmrl.rewards.things import Things
from mmrl.roles import Reward
from mmrl.types import Rollout, Sample

FLAT = "a flat or inverted box overlaps with nothing"


def value(reward: Reward, rollout: Rollout, sample: Sample) -> float:
    got = reward(rollout, sample, {}, CLOCK)
    assert got is not None and reward.bounds[0] <= got <= reward.bounds[1]
    return got


def pair(case: dict[str, Any]) -> tuple[Box, Box]:
    a, b = (case["a"], case["b"]) if "a" in case else (case["gt"], case["st"])
    if len(a) == 1:
        a, b = a[0], b[0]
    if len(a) == 2:
        a, b = (*a[0], *a[1]), (*b[0], *b[1])
    return tuple(a), tuple(b)


def test_the_iou_of_each_program() -> None:
    raised = {8: (0.0, "no area: a defined value instead of a division by zero")}
    check(suite("vlm-r1", "iou("), lambda c: exclusive_iou(*pair(c)), raised)
    batch = suite("seg-zero", "batch_iou")
    check(batch, lambda c: inclusive_iou(*pair(c)), {}, lambda output: output[0][0])


def test_ours_is_the_continuous_iou() -> None:
    check(suite("visual-rft", "calculate_iou"), lambda c: box_iou(*pair(c)), {})
    whole = "boxes of a pixel and boxes in shares overlap with themselves"
    corner = "an overlap of one pixel counts"
    vlm = {1: (1 / 220, corner), 5: (1, whole), 7: (1, whole), 8: (0.0, FLAT)}
    check(suite("vlm-r1", "iou("), lambda c: box_iou(*pair(c)), vlm)
    longer = "sides are what they are, not a pixel longer"
    seg = {1: (1 / 220, longer), 2: (4 / 240, longer), 9: (0.0, FLAT), 10: (0.5, longer)}
    check(suite("seg-zero", "batch_iou"), lambda c: box_iou(*pair(c)), seg, lambda o: o[0][0])


def test_giou_shifted_by_one() -> None:
    improper = {4: (0.0, FLAT), 9: (0.0, FLAT)}
    cases = suite("visual-rft", "compute_giou")
    check(cases, lambda c: box_giou(*pair(c)) + 1.0, improper)


THINGS_TEXT = re.compile(r"```(?:json)?")


def detection(case: dict[str, Any]) -> float:
    return detected(a_rollout(case["content"]), case)


def detected(rollout: Rollout, case: dict[str, Any]) -> float:
    gold = re.sub(r"</?(?:think|answer)>", " ", case["sol"]).replace(" t ", " ")
    gold = THINGS_TEXT.sub("", gold).strip()
    return value(DETECTION, rollout, a_sample(gold, coord_space="abs_original"))


MORE_COST = "sum over the larger count: what is too much costs as what is missing"
LABEL = "a wrong label is a wrong box: no points for its place"
DETECTION_SCORE = {
    1: (0.5, MORE_COST),
    2: (0.0, LABEL),
    8: (2 / 3, MORE_COST),
    9: (0.05, MORE_COST),
}
MEAN_AP = {
    1: (0.5, MORE_COST),
    7: (1.0, "case of a label does not count"),
    8: (2 / 3, MORE_COST),
    9: (0.05, MORE_COST),
}


def test_vlm_r1_detection_score() -> None:
    cases = suite("vlm-r1", "detection_score")  # without tags, so they are put around
    check(cases, lambda c: detected(answered(c["content"]), c), DETECTION_SCORE)


def test_vlm_r1_average_precision() -> None:
    cases = suite("vlm-r1", "od_reward")
    check(cases, detection, MEAN_AP, lambda o: o["mAP50"]["output"])


def test_vlm_r1_length_is_in_the_count() -> None:
    # Their mAP times min(1, gold / predicted) is what dividing by the larger count gives.
    length = {7: (1.0, "case of a label does not count")}
    check(suite("vlm-r1", "od_reward"), detection, length, lambda o: o["odLength"]["output"])


SIZES = ((640, 480), (644, 476))


def referring(case: dict[str, Any]) -> tuple[float, float]:
    sample = a_sample(case["solution"], coord_space="abs_original", answer_space="abs_resized")
    rollout = a_rollout(case["completion"], sizes=SIZES)
    return value(BOX_IOU, rollout, sample), value(BOX_FORMAT, rollout, sample)


def mapped(box: Box) -> Box:
    """A box of the resized picture in pixels of the file."""
    return box[0] * 640 / 644, box[1] * 480 / 476, box[2] * 640 / 644, box[3] * 480 / 476


EXACT = box_iou(mapped((100, 100, 200, 200)), (100, 100, 200, 200))
REFERRING = {
    1: ((EXACT, 1.0), "a box needs no JSON around it"),
    2: ((EXACT, 1.0), "numbers with a point are numbers"),
    3: ((EXACT, 0.0), "the last box counts"),
}


def test_vlm_r1_referring() -> None:
    cases = suite("vlm-r1", "Qwen2VLModule.iou_reward")
    check(cases, referring, REFERRING, lambda o: (o["iou"], o["format"]))


def test_vlm_r1_format() -> None:
    departures = {
        2: (1.0, "white space around the whole is no text"),
        5: (0.0, "nothing thought and nothing answered is no form"),
        6: (0.0, "one answer only"),
    }
    check(
        suite("vlm-r1", "format_reward (full"),
        lambda t: value(FORMAT, a_rollout(t), a_sample()),
        departures,
    )


def test_vlm_r1_choice() -> None:
    def ours(text: str) -> tuple[float]:
        return (value(CHOICE, answered(text), a_sample("B")),)

    right = "the letter is named without doubt"
    departures = {1: ((1.0,), right), 2: ((1.0,), right)}
    check(suite("vlm-r1", "extract_choice"), ours, departures, lambda o: (o["mcq"],))


def by_text(case: dict[str, str]) -> float:
    gold = re.sub(r"</?answer>", "", case["sol"]).strip()
    return value(TEXT, a_rollout(case["content"]), a_sample(gold))


def test_vlm_r1_words() -> None:
    inside = 'the whole answer is compared: "know" and "another" hold a "no" and say none'
    yes_no = {1: (0.0, inside), 2: (0.0, inside), 6: (0.0, inside)}
    check(suite("vlm-r1", "yes_no"), by_text, yes_no)
    likeness = "a wrong word is wrong: no share for likeness of letters"
    sign = "written otherwise: `number` reads these, `text` compares"
    default = {4: (0.0, likeness), 7: (0.0, sign), 8: (0.0, sign), 9: (0.0, sign)}
    check(suite("vlm-r1", "default_accuracy"), by_text, default)


def test_vlm_r1_repetition() -> None:
    empty = {0: (-1.0, "an empty completion earns the minimum")}
    check(
        suite("vlm-r1", "repetition"),
        lambda text: value(FRESH, a_rollout(text), a_sample()) - 1.0,
        empty,
    )


def test_vlm_r1_cosine_pays_wrong_answers_for_length() -> None:
    # Their length reward forces its accuracy to 1.0; ours has `Overlong`, which pays nothing for
    # an answer of any length. What theirs returns stands here so that the defect is on record.
    paid = {
        (c["input"]["n_tokens"], c["input"]["acc_reward"]): c["output"]
        for c in suite("vlm-r1", "cosine_reward")
    }
    assert paid[10, 0.0] == paid[10, 1.0] and paid[1024, 0.0] == paid[1024, 1.0]
    assert paid[2048, 1.0] == 1.0 > paid[1024, 1.0]  # and it rises again beyond 1,024 tokens
    assert len(paid) == 12


def confident(case: dict[str, str]) -> tuple[float, float]:
    gold = re.sub(r"</?answer>", "", case["sol"])
    sample = a_sample(gold, coord_space="norm_1000")
    rollout = answered(case["answer"])
    return value(DETECTION, rollout, sample), value(BOX_CONFIDENCE, rollout, sample)


WRONG = "a wrong box earns nothing for low confidence"
LARGER = "over the larger count, and each wrong box subtracts its confidence"
VISUAL_RFT = {
    0: ((1.0, 0.85), "confidence is read too where theirs compares the whole text and pays 1.0"),
    2: ((0.0, 0.0), WRONG),
    3: ((1 / 3, 0.0), "a copy of a box is a wrong box"),
    4: ((0.5, 0.0), "a near copy of a box is a wrong box (0.9 - 0.95 < 0)"),
    7: ((0.5, 0.45), LARGER),
    8: ((0.0, 0.0), WRONG),
    9: ((2 / 3, 0.5), LARGER),
    10: ((1.0, 1.0), "nothing to find and nothing found is right"),
    11: ((0.0, 0.0), WRONG),
}


def test_visual_rft_detection() -> None:
    check(
        suite("visual-rft", "accuracy_reward_iou"),
        confident,
        VISUAL_RFT,
        lambda o: (o["iou"], o["confidence"]),
    )


def lisa(case: dict[str, str]) -> float:
    sample = a_sample(case["gt"], coord_space="norm_1000")
    return 2.0 * value(BOX_GIOU, answered(case["answer"]), sample)


def test_visual_rft_lisa() -> None:
    departures = {
        3: (0.0, FLAT),
        5: (2.0 * 0.5 * (1 + box_giou((500, 500, 600, 600), (100, 100, 200, 200))), "the last box"),
        6: (2.0, "a box in any brackets is a box"),
    }
    check(suite("visual-rft", "accuracy_reward [lisa"), lisa, departures)


def test_visual_rft_classes() -> None:
    part = "the whole answer is compared: a part of the name, or nothing, is not the name"
    check(
        suite("visual-rft", "accuracy_reward [class"),
        lambda c: value(TEXT, answered(c["answer"]), a_sample(c["gt"])),
        {1: (0.0, part), 2: (0.0, part), 3: (0.0, part), 4: (0.0, part)},
    )


SEG_SIZE = ((840, 840), (840, 840))


def seg_zero(case: dict[str, str]) -> tuple[float, float, float, float]:
    """Format of the tags, IoU > 0.5, L1 < 10 pixels, and box and points together as a share."""
    boxes, points = re.findall(r"<(?:box|points)>(.*?)</", case["gt"])
    box = [int(v) for v in re.findall(r"\d+", boxes)]
    both = [int(v) for v in re.findall(r"\d+", points)]
    rollout = answered(case["answer"], sizes=SEG_SIZE)
    one = a_sample(box, coord_space="abs_original")
    thing = {"bbox": box, "points_1": both[:2], "points_2": both[2:]}
    many = a_sample([thing], coord_space="abs_original")
    together = Things(point_below=100 / 840)(rollout, many)
    parts = (value(r, rollout, one) for r in (FORMAT, BOX_IOU_50, BOX_L1))
    return (*parts, together)  # type: ignore[return-value]


def of_seg_zero(output: dict[str, float]) -> tuple[float, ...]:
    names = ("thinking_format", "iou", "box_l1", "point_l1")
    form, iou, l1, points = (output[f"seg_{name}_reward"] for name in names)
    return form, iou, l1, (iou + l1 + points) / 3


def test_seg_zero() -> None:
    check(suite("seg-zero", "seg rewards"), seg_zero, {}, of_seg_zero)


def reasoner(case: dict[str, str]) -> float:
    sample = a_sample(case["gt"], coord_space="abs_original")
    return value(THINGS, answered(case["answer"], sizes=SEG_SIZE), sample)


def test_vision_reasoner() -> None:
    cases = suite("seg-zero", "vision_reasoner rewards")
    without = {7: (2 / 3 / 2, "a thing without its point still has its box")}
    check(cases, reasoner, without, lambda o: o["vision_reasoner_accuracy_reward"] / 3)


def test_vision_reasoner_repetition() -> None:
    words = "runs of 6 words, not sentences cut at every point; an empty text earns nothing"
    departures = {2: (1.0, words), 3: (1.0, words), 4: (0.0, words)}
    check(
        suite("seg-zero", "vision_reasoner_non_repeat"),
        lambda text: value(FRESH, a_rollout(text), a_sample()),
        departures,
    )


def test_a_gate_of_half_is_a_setting() -> None:
    sample = a_sample([0, 0, 10, 10], coord_space="abs_original")
    assert BoxIou(above=0.4)(answered("[0,0,10,5]"), sample) == 1.0
    assert BoxIou(above=0.5)(answered("[0,0,10,5]"), sample) == 0.0  # 0.5 is not more than 0.5


def test_things_are_read_one_by_one() -> None:
    text = json.dumps([{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [1, 2, "3", 4]}]) + "{'bbox':[1,2"
    assert [thing.box for thing in parse_things(text)] == [(1, 2, 3, 4)]


def test_an_empty_reference_is_said_in_words() -> None:
    sample = a_sample([], coord_space="abs_original")
    with pytest.raises(Exception, match="none"):
        value(DETECTION, answered("[]"), sample)
    assert REFUSED
