"""GUI-G1: three rewards hold a box's size, no std, weights by size; numbers by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from builders import CLOCK, a_pack, alone, answered, counts_of, output

from mmrl.credit.size_weights import size_weight
from mmrl.errors import ConfigError, DataError, MethodError
from mmrl.methods.base import method_spec
from mmrl.parse.boxes import parse_box
from mmrl.rewards.box_size import size_weights
from mmrl.tasks.base import TASKS
from mmrl.train.loop import assign
from mmrl.train.score import Scorer
from mmrl.types import Group, Sample

GOLD = (20, 20, 40, 40)
EXACT, SMALL, LARGE, MISS = (
    "[20,20,40,40]",
    "[25,25,35,35]",  # centre right, a quarter of the area, edges 5 off
    "[20,20,60,60]",  # centre on the corner (a hit), four times the area, two edges 20 off
    "[60,60,80,80]",  # all edges 40 off
)
SHARES = {"weigh": "inverse", "shares": (0.01, 0.16)}


def a_question(gold=GOLD, **meta):
    space = {"coord_space": "norm_100", "answer_space": "norm_100"}
    return Sample(id="q", task="digit_box", question="?", target=gold, meta={**space, **meta})


def run(answers, sample=None, **settings):
    """The scored group of `answers` and the method."""
    settings = {"weigh": "off", **settings}
    spec = method_spec({"name": "gui_g1", "group_size": len(answers), **settings}, max_length=64)
    method = spec.build(TASKS.get("digit_box"))
    scorer = Scorer(rewards={"digit_box": method.rewards}, bonuses=(), combine=method.combine)
    rollouts = tuple(answered(a, length=n + 2) for n, a in enumerate(answers))
    group = Group(draw_id="0.0", sample=sample or a_question(), rollouts=rollouts)
    (scored,) = scorer([group], CLOCK)
    return scored, method


def credited(scored, method):
    (found,) = assign([scored], method, alone, CLOCK)
    return found


def test_rewards_and_advantages_by_hand():
    scored, method = run([EXACT, SMALL, LARGE, MISS])
    assert scored.parts["hit"] == (1.0, 1.0, 1.0, 0.0)
    assert scored.parts["box_iou"] == pytest.approx((1.0, 0.25, 0.25, 0.0))
    # harmonic means of 1 - Δ/100: .95; of 1, 1, .8, .8; .6
    assert scored.parts["box_size"] == pytest.approx((1.0, 0.95, 4 / 4.5, 0.6))
    rewards = [1.375, 1 + 0.0625 + 0.11875, 1 + 0.0625 + 0.5 / 4.5, 0.075]
    assert scored.rewards == pytest.approx(rewards)
    advantages = credited(scored, method).advantages["main"]
    mean = sum(rewards) / 4
    assert advantages == pytest.approx([r - mean for r in rewards])  # not divided by a std


def test_the_loss_is_a_sum_over_a_constant_length():
    scored, method = run([EXACT, MISS])
    assert [term.name for term in method.terms] == ["policy"]  # no KL, no reference
    (a, b) = credited(scored, method).advantages["main"]
    assert (a, b) == pytest.approx((0.65, -0.65))
    pack = a_pack([2, 3], [[-1.0] * 3] * 2, advantages=(a, b))
    out = output([[-1.0] * 3] * 2)
    (term,) = method.terms
    per_token, _ = term.objective(out, pack, pack.advantages["main"], CLOCK)
    loss = term.reduction(per_token, pack, counts_of(pack))
    # ratio 1: (2 · -0.65 + 3 · 0.65) / 2 rows / 64, whatever the rows' lengths
    assert loss.item() == pytest.approx(0.65 / 2 / 64)


def pull(answers, **weights):
    """Σ A · log(area / reference's): where the parts push the size of boxes."""
    off = {"hit": 0.0, "iou": 0.0, "size": 0.0}
    scored, method = run(answers, **{**off, **weights})
    advantages = credited(scored, method).advantages["main"]
    total = 0.0
    for answer, advantage in zip(answers, advantages, strict=True):
        x1, y1, x2, y2 = parse_box(answer)
        total += advantage * math.log((x2 - x1) * (y2 - y1) / 400)
    return total


def test_mechanism_hit_shrinks_boxes_and_iou_grows_them():
    """Boxes from the right corner, sides a quarter, half, once, three times the reference's."""
    answers = ["[20,20,25,25]", "[20,20,30,30]", EXACT, "[20,20,80,80]"]
    # hits 1, 1, 1, 0: A = .25, .25, .25, -.75; logs -2.773, -1.386, 0, 2.197
    logs = [math.log(x) for x in (1 / 16, 1 / 4, 1, 9)]
    by_hit = 0.25 * sum(logs[:3]) - 0.75 * logs[3]
    assert pull(answers, hit=1.0) == pytest.approx(by_hit) == pytest.approx(-2.688, abs=1e-3)
    # overlaps 1/16, 1/4, 1, 1/9 around their mean
    ious = [1 / 16, 1 / 4, 1, 1 / 9]
    by_iou = sum((v - sum(ious) / 4) * x for v, x in zip(ious, logs, strict=True))
    assert pull(answers, iou=1.0) == pytest.approx(by_iou) == pytest.approx(0.4224, abs=1e-3)


def test_mechanism_only_size_tells_a_box_too_small_from_one_too_large():
    without, _ = run([SMALL, LARGE], size=0.0)
    assert without.rewards[0] == without.rewards[1]  # both hit, both overlap by a quarter
    with_size, _ = run([SMALL, LARGE])
    assert with_size.rewards[0] - with_size.rewards[1] == pytest.approx(0.125 * (0.95 - 4 / 4.5))


def test_mechanism_small_boxes_weigh_three_times_large_ones():
    sizes = {(0, 0, 40, 40): 0.5, (0, 0, 10, 10): 1.5, (0, 0, 20, 20): 0.5 + (25 - 6.25) / 93.75}
    for gold, weight in sizes.items():
        scored, method = run([EXACT, MISS], a_question(gold), **SHARES)
        (first, second) = credited(scored, method).weights
        assert (len(first), len(second)) == (2, 3)
        assert [*first, *second] == pytest.approx([weight] * 5)
        plain, off = run([EXACT, MISS], a_question(gold))
        assert {w for row in credited(plain, off).weights for w in row} == {1.0}


def test_the_weight_is_the_papers_over_a_data_set_and_by_logarithm_one_box_does_not_take_it_over():
    shares = [0.0001, 0.01, 0.02, 0.04]
    ours = [size_weight(s, 0.0001, 0.04, "inverse") for s in shares]
    assert ours == pytest.approx(size_weights(shares))
    assert max(ours[1:]) < 0.51  # one icon of a hundredth: the others weigh the same
    kind = [size_weight(s, 0.0001, 0.04, "log") for s in shares]
    assert kind == pytest.approx([1.5, 0.5 + math.log(4) / math.log(400), 0.6157, 0.5], abs=1e-4)
    assert size_weight(0.9, 0.01, 0.16, "log") == 0.5  # beyond the ends
    assert size_weight(1e-6, 0.01, 0.16, "inverse") == 1.5


def test_rows_bring_their_own_weight():
    scored, method = run([EXACT, MISS], a_question(rate=1.25), weigh="rate")
    assert credited(scored, method).weights == ((1.25,) * 2, (1.25,) * 3)
    for rate in (None, "much", -1.0, math.nan):
        with pytest.raises(DataError, match=r'"q": its weight meta\["rate"\] should be a number'):
            method.token_weights(replace(scored, group=_rated(scored.group, rate)))


def _rated(group, rate):
    return replace(group, sample=a_question(rate=rate))


def test_weights_reach_the_gradient():
    scored, method = run([EXACT, MISS], a_question((0, 0, 10, 10)), **SHARES)
    found = credited(scored, method)
    pack = a_pack([2, 3], [[-1.0] * 3] * 2, advantages=found.advantages["main"])
    pack = replace(pack, weights=torch.full_like(pack.old, found.weights[0][0]))
    (term,) = method.terms
    assert term.weighted
    out = output([[-1.0] * 3] * 2)
    per_token, _ = term.objective(out, pack, pack.advantages["main"], CLOCK)
    term.reduction(per_token * pack.weights, pack, counts_of(pack)).backward()
    assert out.logp.grad[0].item() == pytest.approx(-1.5 * found.advantages["main"][0] / 2 / 64)


def test_the_published_constants_are_the_defaults_and_the_form_earns_nothing():
    spec = method_spec({"name": "gui_g1"}, max_length=128)
    assert (spec.hit, spec.iou, spec.size, spec.form) == (1.0, 0.25, 0.125, 0.0)
    assert (spec.weigh, spec.beta, spec.group_size, spec.normalize) == ("rate", 0.0, 8, "mean_only")
    for task in ("digit_box", "gui_fast", "grounding"):
        weights = {r.name: r.weight for r in spec.build(TASKS.get(task)).rewards}
        assert weights == {"hit": 1.0, "box_iou": 0.25, "box_size": 0.125}
    formed = method_spec({"name": "gui_g1", "form": 0.2}, max_length=128)
    assert {r.name for r in formed.rewards(TASKS.get("digit_box"))} > {"format"}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"weigh": "log"}, ConfigError, "weigh: log needs shares, the least and the greatest"),
        ({"weigh": "log", "shares": (0.2, 0.1)}, ConfigError, "0 < least < greatest <= 1"),
        ({"hit": 0, "iou": 0, "size": 0}, ConfigError, "all 0: there is nothing to learn from"),
        ({"wieghts": 1}, ConfigError, "gui_g1 has no such setting"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        method_spec({"name": "gui_g1", **settings}, max_length=64)


def test_a_task_without_one_box_is_refused():
    spec = method_spec({"name": "gui_g1"}, max_length=64)
    with pytest.raises(MethodError, match='one box, which task "many_box" does not ask for'):
        spec.build(TASKS.get("many_box"))
