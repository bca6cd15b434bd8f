"""Rewards by hand: spaces, several boxes, hedges, length, and the ways to combine parts."""

import pytest
from builders import CLOCK, a_rollout, a_sample, answered
from hypothesis import given
from hypothesis import strategies as st

from mmrl.errors import DataError
from mmrl.rewards.choice import choice_reward
from mmrl.rewards.combine import Gated, product, weighted_sum
from mmrl.rewards.exact import number_reward, text_reward
from mmrl.rewards.format import format_reward
from mmrl.rewards.iou import BoxesIou, BoxIou, matched_iou, span_iou_reward
from mmrl.rewards.length import Overlong, soft_overlong

BOX = a_sample([0, 0, 20, 20], coord_space="abs_original")


def test_box_overlap_of_the_last_box():
    assert BoxIou()(answered("[0,0,20,20]"), BOX) == 1.0
    assert BoxIou()(answered("[0,0,20,20] no, [10,10,30,30]"), BOX) == pytest.approx(100 / 700)


def test_generalised_overlap_tells_near_from_far():
    near, far = (
        BoxIou(generalised=True)(answered(t), BOX) for t in ("[20,0,40,20]", "[80,0,99,20]")
    )
    assert near == pytest.approx(0.5)  # touching: GIoU 0
    assert 0.0 < far < near


def test_answers_in_thousandths_are_compared_in_the_space_of_the_reference():
    rollout = answered("[0,0,200,100]", sizes=((100, 200), (28, 56)))
    assert BoxIou(answer_space="norm_1000")(rollout, BOX) == 1.0
    by_meta = a_sample([0, 0, 20, 20], coord_space="abs_original", answer_space="norm_1000")
    assert BoxIou()(rollout, by_meta) == 1.0
    assert BoxIou()(rollout, BOX) == pytest.approx(400 / 20000)


def test_answers_in_processed_pixels_use_the_size_that_the_model_saw():
    rollout = answered("[0,0,5.6,5.6]", sizes=((100, 200), (28, 56)))
    assert BoxIou(answer_space="abs_resized")(rollout, BOX) == pytest.approx(1.0)


def test_a_box_without_a_space_or_a_picture_to_convert_by_is_a_data_error():
    with pytest.raises(DataError, match="coord_space"):
        BoxIou()(answered("[0,0,1,1]"), a_sample([0, 0, 1, 1]))
    with pytest.raises(DataError, match='no coordinate space "pixels"'):
        BoxIou()(answered("[0,0,1,1]"), a_sample([0, 0, 1, 1], coord_space="pixels"))
    with pytest.raises(DataError, match="needs the size of a picture"):
        BoxIou(answer_space="norm_1")(answered("[0,0,1,1]"), BOX)


def test_boxes_are_matched_one_to_one_over_the_larger_count():
    a, b, far = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 30.0, 10.0), (90.0, 0.0, 91.0, 1.0)
    assert matched_iou([b, a], (a, b)) == 1.0
    assert matched_iou([a], (a, b)) == 0.5
    assert matched_iou([a, a], (a,)) == 0.5  # a duplicate earns nothing
    assert matched_iou([a, b, far, far], (a, b)) == 0.5  # nor does spraying boxes
    assert matched_iou([], (a,)) == 0.0


def test_matching_is_the_best_one_not_the_greedy_one():
    golds = ((0.0, 0.0, 10.0, 10.0), (0.0, 0.0, 10.0, 8.0))
    boxes = [(0.0, 0.0, 10.0, 9.0), (0.0, 0.0, 10.0, 10.0)]
    # box 0 overlaps with 9/10 and 8/9, box 1 with 1 and 8/10: box 0 prefers the first reference,
    # but 8/9 + 1 beats 9/10 + 8/10
    assert matched_iou(boxes, golds) == pytest.approx((8 / 9 + 1) / 2)


def test_boxes_reward_reads_a_list():
    sample = a_sample([[0, 0, 10, 10], [20, 0, 30, 10]], coord_space="norm_100")
    assert BoxesIou()(answered("[[20,0,30,10],[0,0,10,10]]"), sample) == 1.0


def test_gold_may_be_text():
    assert BoxIou()(answered("[1,2,3,4]"), a_sample("[1, 2, 3, 4]", coord_space="norm_1")) == 1.0
    assert span_iou_reward(answered("00:01 to 00:02"), a_sample("1.0s - 2.0s")) == 1.0
    assert number_reward(answered("0.5"), a_sample("1/2")) == 1.0
    assert choice_reward(answered("(b) cat"), a_sample("B.")) == 0.0  # lower case leads no option
    assert choice_reward(answered("(B) cat"), a_sample("b")) == 1.0


@pytest.mark.parametrize(
    ("answer", "reward"), [("7", 1.0), ("7.0", 1.0), ("7 or 8", 0.0), ("8", 0.0)]
)
def test_numbers_hedge_for_nothing(answer, reward):
    assert number_reward(answered(answer), a_sample(7)) == reward


@pytest.mark.parametrize(("answer", "reward"), [("Cat.", 1.0), ("a cat", 1.0), ("cat dog", 0.0)])
def test_texts_equal_one_of_the_accepted(answer, reward):
    assert text_reward(answered(answer), a_sample(["cat", "a cat"])) == reward


def test_true_is_no_number():
    with pytest.raises(DataError, match="finite number"):
        number_reward(answered("1"), a_sample(True))


def test_format_is_all_or_nothing():
    assert format_reward(answered("x"), a_sample()) == 1.0
    assert format_reward(a_rollout("<think>a</think> <answer>b</answer> c"), a_sample()) == 0.0


@pytest.mark.parametrize(
    ("length", "maximum", "buffer", "expected"),
    [
        (0, 100, 20, 0.0),
        (80, 100, 20, 0.0),
        (81, 100, 20, -0.05),
        (90, 100, 20, -0.5),
        (99, 100, 20, -0.95),
        (100, 100, 20, -1.0),
        (150, 100, 20, -1.0),
        (50, 100, 100, -0.5),
        (100, 100, 0, 0.0),
        (101, 100, 0, -1.0),
    ],
)
def test_soft_overlong(length, maximum, buffer, expected):
    assert soft_overlong(length, maximum, buffer) == pytest.approx(expected)


def test_overlong_counts_sampled_tokens_and_knows_a_cut_rollout():
    punish = Overlong(max_length=10, buffer=4)
    assert punish(a_rollout("x", length=8), a_sample()) == -0.5
    hard = Overlong(max_length=10, buffer=0)
    assert hard(a_rollout("x", length=10), a_sample()) == 0.0
    assert hard(a_rollout("x", length=10, truncated=True), a_sample()) == -1.0


PARTS = {"format": 0.5, "iou": 0.8, "length": -0.25}


def test_combinations_by_hand():
    assert weighted_sum(PARTS, 0.0, BOX, CLOCK) == pytest.approx(1.05)
    assert product(PARTS, 0.0, BOX, CLOCK) == pytest.approx(-0.1)
    assert product({}, 1.0, BOX, CLOCK) == 0.0


def test_a_shut_gate_leaves_itself_and_what_always_counts():
    gate = Gated(gate="format", always=("length",))
    assert gate(PARTS, 0.0, BOX, CLOCK) == pytest.approx(1.05)
    assert gate({**PARTS, "format": 0.0}, 1.0, BOX, CLOCK) == pytest.approx(-0.25)
    assert gate({"iou": 0.8}, 1.0, BOX, CLOCK) == 0.0


def test_the_score_can_be_the_gate():
    gate = Gated(above=0.5)
    assert gate(PARTS, 0.6, BOX, CLOCK) == pytest.approx(1.05)
    assert gate(PARTS, 0.5, BOX, CLOCK) == 0.0


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(-1, 1)), st.floats(0, 1))
def test_an_open_gate_is_the_weighted_sum(parts, score):
    gate = Gated(above=-1.0)
    assert gate(parts, score, BOX, CLOCK) == weighted_sum(parts, score, BOX, CLOCK)
