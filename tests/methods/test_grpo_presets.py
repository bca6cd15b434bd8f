"""Each preset on the second update of a batch, where the ratio is not 1, by hand.

The batch: four rollouts of one group of 3, 1, 2 and 2 tokens with rewards 1, 0, 0 and 1, whose
log-probs moved since the first update by the log-ratios of `MOVED`. The expected loss of every
preset is written out in plain Python below, with no code of mmrl.
"""

import math
from typing import get_args

import pytest
import torch
from builders import CLOCK, a_group, a_pack, alone, counts_of, output

from mmrl.methods.base import METHODS, method_spec
from mmrl.methods.grpo import Normalize
from mmrl.rewards.builtin import BOX_IOU, FORMAT
from mmrl.roles import GateAction
from mmrl.tasks.base import Task
from mmrl.types import Counts

TASK = Task(
    name="t", template="{question}", rewards=(BOX_IOU,), score=BOX_IOU.fn, gold=lambda sample: ""
)
REWARDS = [1.0, 0.0, 0.0, 1.0]
LENGTHS = [3, 1, 2, 2]
MOVED = [[0.5, 0.25, -0.1], [0.4], [-0.5, 2.0], [2.0, 0.1]]
OLD = -1.5
MAX_LENGTH = 20
PRESETS = [
    "bnpo", "cispo", "dapo", "dr_grpo", "grpo", "gspo", "reinforce_pp", "reinforce_pp_baseline",
    "rloo",
]  # fmt: skip


def loss_and_grad(name, **settings):
    """Loss and gradient of mmrl for a preset on the batch, rows padded to 3 tokens."""
    spec = method_spec({"name": name, "group_size": 4, **settings}, max_length=MAX_LENGTH)
    method = spec.build(TASK)
    (advantages,) = method.credit([a_group(REWARDS, LENGTHS)], alone, CLOCK)
    assert all(isinstance(a, float) for a in advantages)
    pack = a_pack(LENGTHS, [[OLD] * 3] * 4, advantages=advantages, reference=[[-2.0] * 3] * 4)
    out = output([[OLD + m for m in row] + [0.0] * (3 - len(row)) for row in MOVED],
                 entropy=[[0.5] * 3] * 4)  # fmt: skip
    counts = counts_of(pack)
    assert counts == Counts(tokens=8, rows=4, all_rows=4, groups=1)
    total = torch.zeros((), dtype=torch.float64)
    for term in method.terms:
        per_token, _ = term.objective(out, pack, pack.advantages[term.advantages], CLOCK)
        total = total + term.coefficient * term.reduction(per_token, pack, counts)
    total.backward()
    grad = out.logp.grad.reshape(4, 3)
    return total.item(), [grad[r, : LENGTHS[r]].tolist() for r in range(4)]


def clipped(log_ratio, advantage, low, high):
    """Loss and slope of one token under the clipped ratio."""
    ratio = math.exp(log_ratio)
    free, cut = -advantage * ratio, -advantage * min(max(ratio, 1 - low), 1 + high)
    return (free, free) if free >= cut else (cut, 0.0)


def by_hand(advantages, token, reduce):
    """Expected loss and gradient: `token(log_ratio, A)` per token, `reduce(r)` its weight."""
    loss, grad = 0.0, []
    for r, row in enumerate(MOVED):
        cells = [token(m, advantages[r]) for m in row]
        loss += reduce(r) * sum(value for value, _ in cells)
        grad.append([reduce(r) * slope for _, slope in cells])
    return loss, grad


STD = 0.5773502691896258  # of 1, 0, 0, 1, unbiased
STANDARD = [0.5 / (STD + 1e-4) * s for s in (1, -1, -1, 1)]
CENTRED = [0.5, -0.5, -0.5, 0.5]
LEAVE_ONE_OUT = [2 / 3, -2 / 3, -2 / 3, 2 / 3]
# five tokens of reward 1 and three of reward 0: mean 0.625, unbiased variance 15/64 · 8/7
TOKEN_STD = math.sqrt(15 / 64 * 8 / 7 + 1e-8)
WHITENED = [0.375 / TOKEN_STD, -0.625 / TOKEN_STD, -0.625 / TOKEN_STD, 0.375 / TOKEN_STD]
TOKENS = 8
token_mean = lambda r: 1 / TOKENS  # noqa: E731
sequence_mean = lambda r: 1 / (4 * LENGTHS[r])  # noqa: E731
constant = lambda r: 1 / (4 * MAX_LENGTH)  # noqa: E731
plain_clip = lambda m, a: clipped(m, a, 0.2, 0.2)  # noqa: E731


def cispo_token(m, a):
    weight = min(math.exp(m), 5.0)
    return -weight * a * (OLD + m), -weight * a


def gspo():
    """The row's mean log-ratio stands for each of its tokens."""
    loss, grad = 0.0, []
    for r, row in enumerate(MOVED):
        value, slope = clipped(sum(row) / len(row), STANDARD[r], 3e-4, 4e-4)
        loss += value / 4
        grad.append([slope / (4 * len(row))] * len(row))
    return loss, grad


EXPECTED = {
    "grpo": lambda: by_hand(STANDARD, plain_clip, sequence_mean),
    "dr_grpo": lambda: by_hand(CENTRED, plain_clip, constant),
    "dapo": lambda: by_hand(STANDARD, lambda m, a: clipped(m, a, 0.2, 0.28), token_mean),
    "gspo": gspo,
    "cispo": lambda: by_hand(STANDARD, cispo_token, token_mean),
    "rloo": lambda: by_hand(LEAVE_ONE_OUT, plain_clip, token_mean),
    "reinforce_pp": lambda: by_hand(WHITENED, plain_clip, token_mean),
    "reinforce_pp_baseline": lambda: by_hand(WHITENED, plain_clip, token_mean),
    "bnpo": lambda: by_hand(CENTRED, plain_clip, token_mean),  # one group: weight 1
}


def test_every_preset_is_here():
    built_in = [n for n in METHODS if METHODS.get(n).__module__ == "mmrl.methods.grpo"]
    assert built_in == PRESETS == sorted(EXPECTED)


@pytest.mark.parametrize("name", PRESETS)
def test_loss_and_gradient_of_the_second_update_by_hand(name):
    loss, grad = loss_and_grad(name)
    expected_loss, expected_grad = EXPECTED[name]()
    assert loss == pytest.approx(expected_loss, abs=1e-9)
    for row, expected in zip(grad, expected_grad, strict=True):
        assert row == pytest.approx(expected, abs=1e-9)


def test_no_two_presets_share_a_loss_but_those_that_differ_over_groups_only():
    losses = {name: loss_and_grad(name)[0] for name in PRESETS}
    del losses["reinforce_pp_baseline"]  # one group: its mean is the mean of the step
    assert len({round(x, 6) for x in losses.values()}) == len(losses)


def test_several_groups_tell_the_remaining_presets_apart():
    groups = [a_group([1.0, 0.0], [1, 2]), a_group([1.0, 1.0], [2, 2])]
    found = {}
    for name in ("reinforce_pp", "reinforce_pp_baseline", "bnpo", "grpo", "rloo"):
        credit = method_spec({"name": name, "group_size": 2}).build(TASK).credit
        found[name] = tuple(round(a, 6) for row in credit(groups, alone, CLOCK) for a in row)
    assert len(set(found.values())) == 5
    assert found["reinforce_pp"][2] > 0.0  # right answers of a solved group still count there


def test_each_normalize_is_its_own_rule():
    groups = [a_group([1.0, 0.0, 0.0], [1, 2, 1]), a_group([1.0, 0.5, 1.0], [2, 2, 3])]
    first = {}
    for name in get_args(Normalize):
        spec = method_spec({"name": "grpo", "group_size": 3, "normalize": name, "std_eps": 0.0})
        first[name] = spec.build(TASK).credit(groups, alone, CLOCK)[0][0]
    assert first["std"] == pytest.approx((2 / 3) / 0.5773503)
    assert first["mean_only"] == pytest.approx(2 / 3)
    assert first["none"] == 1.0
    assert first["batch"] == pytest.approx((2 / 3) / 0.4915960)  # std of all six
    assert first["leave_one_out"] == 1.0
    # eleven tokens: rewards 1, 0, 0, 0, 1, 1, .5, .5, 1, 1, 1: mean 7/11, std 0.452267
    assert first["tokens"] == pytest.approx((4 / 11) / 0.4522670, rel=1e-5)
    # less the groups' means: 2/3, -1/3 x 3, 1/6 x 2, -1/3 x 2, 1/6 x 3: mean -1/66, std 0.337100
    assert first["tokens_baseline"] == pytest.approx((2 / 3 + 1 / 66) / 0.3370999, rel=1e-5)
    # group means 1/3 and 5/6: mean 7/12, variance 1/8, size 17/18, pdf at 1/3 1.052398
    assert first["beta"] == pytest.approx((2 / 3) / 1.0523978)


SETTINGS = {
    "clip_low": 0.45,
    "clip_high": 0.6,
    "dual_clip": 3.0,
    "delta": 1.5,
    "normalize": "mean_only",
    "std_eps": 0.5,
    "objective": "plain",
    "ratio": "sequence",
    "reduction": "sequence_sum",
    "importance_cap": 0.5,
    "beta": 0.1,
    "entropy_coef": 0.1,
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_setting_of_the_loss_changes_the_loss(setting):
    plain, _ = loss_and_grad("grpo")
    changed, _ = loss_and_grad("grpo", **{setting: SETTINGS[setting]})
    assert abs(plain - changed) > 1e-3


def test_kl_and_entropy_terms_by_hand():
    plain, _ = loss_and_grad("grpo", reduction="token_mean")
    with_entropy, _ = loss_and_grad("grpo", reduction="token_mean", entropy_coef=0.1)
    assert with_entropy == pytest.approx(plain - 0.1 * 0.5)
    kls = {
        "k1": lambda d: d,
        "k2": lambda d: d * d / 2,
        "k3": lambda d: math.exp(-d) + d - 1,
    }
    for kind, formula in kls.items():
        with_kl, _ = loss_and_grad("grpo", reduction="token_mean", beta=0.1, kl=kind)
        mean = sum(formula(OLD + m + 2.0) for row in MOVED for m in row) / TOKENS
        assert with_kl == pytest.approx(plain + 0.1 * mean), kind


def test_dual_clip_by_hand():
    # the only token it reaches: log-ratio 2 under a negative advantage, e^2 = 7.389 -> 3
    plain, _ = loss_and_grad("grpo", reduction="token_mean")
    dual, _ = loss_and_grad("grpo", reduction="token_mean", dual_clip=3.0)
    assert plain - dual == pytest.approx(-STANDARD[2] * (math.exp(2.0) - 3.0) / TOKENS)


def test_dapo_is_more_than_its_loss():
    method = method_spec({"name": "dapo", "group_size": 2}, max_length=20).build(TASK)
    assert method.gate(a_group([1.0, 1.0])).action is GateAction.DROP
    assert [r.name for r in method.rewards] == ["box_iou", "overlong"]
    overlong = method.rewards[1].fn
    assert (overlong.max_length, overlong.buffer) == (20, 4)
    assert method.rewards[1].bounds == (-1.0, 0.0)
    plain = method_spec({"name": "grpo"}).build(TASK)
    assert plain.gate(a_group([1.0, 1.0])).action is GateAction.KEEP


def test_bnpo_reads_the_range_of_rewards_from_their_bounds():
    two = Task(
        name="two", template="{question}", rewards=(BOX_IOU, FORMAT), score=BOX_IOU.fn,
        gold=lambda sample: "",
    )  # fmt: skip
    credit = method_spec({"name": "bnpo"}).build(two).credit
    assert (credit.low, credit.high) == (0.0, 2.0)
    own = method_spec({"name": "bnpo", "reward_low": -1.0, "reward_high": 1.5}).build(two).credit
    assert (own.low, own.high) == (-1.0, 1.5)


def test_presets_only_change_numbers():
    """A preset's class holds defaults of Grpo's fields and nothing that runs."""
    base = METHODS.get("grpo")
    for name in PRESETS:
        spec = METHODS.get(name)
        assert issubclass(spec, base)
        if spec is not base:
            own = {k for k in vars(spec) if not k.startswith(("_", "model_"))}
            assert own <= set(base.model_fields), own


def test_what_the_learner_is_asked_for():
    def needs(**settings):
        return method_spec({"name": "grpo", **settings}).build(TASK).needs

    assert needs() == {"old"}
    assert needs(beta=0.1) == {"old", "reference"}
    assert needs(entropy_coef=0.1) == {"old", "entropy"}


def test_updates_and_masks_reach_the_method():
    method = method_spec(
        {"name": "grpo", "epochs": 2, "minibatches": 4, "mask_truncated": True}
    ).build(TASK)
    assert (method.epochs, method.minibatches, method.mask_truncated) == (2, 4, True)
