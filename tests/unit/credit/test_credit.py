"""Advantages by hand: edges, unscorable rollouts, tokens, and two ranks against one."""

import threading

import pytest
from builders import CLOCK, a_group, a_rollout, alone
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.credit.batch import BatchScaled
from mmrl.credit.bnpo import BetaNormalised, beta_shape, beta_weight
from mmrl.credit.gates import DynamicSampling, PassRateBand, keep_all
from mmrl.credit.group import Standardised, centred, leave_one_out, per_group, raw_rewards
from mmrl.credit.reinforce import ReinforcePP, ReinforcePPBaseline
from mmrl.roles import GateAction

ALL = {
    "std": per_group(Standardised(1e-6)),
    "mean_only": per_group(centred),
    "rloo": per_group(leave_one_out),
    "batch": BatchScaled(1e-6),
    "tokens": ReinforcePP(),
    "tokens_discounted": ReinforcePP(gamma=0.9),
    "tokens_baseline": ReinforcePPBaseline(),
    "beta": BetaNormalised(),
}


def test_standardised_by_hand():
    # rewards 1, 0, 0: mean 1/3, unbiased std sqrt((4 + 1 + 1) / 9 / 2) = 0.57735
    assert Standardised(0.0)([1.0, 0.0, 0.0]) == pytest.approx([1.154701, -0.577350, -0.577350])


def test_leave_one_out_is_the_reward_less_the_mean_of_the_others():
    rewards = [1.0, 0.0, 0.5]
    assert leave_one_out(rewards) == pytest.approx([1 - 0.25, 0 - 0.75, 0.5 - 0.5])


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("rewards", [[0.7] * 4, [0.0] * 4, [1.0] * 4, [0.1 + 0.2, 0.3 + 1e-17]])
def test_flat_step_gets_zero_advantages(name, rewards):
    (row,) = ALL[name]([a_group(rewards)], alone, CLOCK)
    assert row == pytest.approx([0.0] * len(rewards), abs=1e-9)


@pytest.mark.parametrize("name", [n for n in ALL if "tokens" not in n])
def test_lone_and_unscorable_groups_get_zero_advantages(name):
    groups = [a_group([0.9]), a_group([None, None]), a_group([None, 0.4]), a_group([1.0, 0.0])]
    out = ALL[name](groups, alone, CLOCK)
    assert out[:3] == [[0.0], [0.0, 0.0], [0.0, 0.0]]
    assert out[3][0] > 0 > out[3][1]


@pytest.mark.parametrize("name", ALL)
def test_an_unscorable_rollout_is_absent_from_every_statistic(name):
    with_none = [a_group([1.0, None, 0.0, 0.25], [3, 9, 2, 4]), a_group([0.5, 1.0, None])]
    without = [a_group([1.0, 0.0, 0.25], [3, 2, 4]), a_group([0.5, 1.0])]
    a, b = (ALL[name](groups, alone, CLOCK) for groups in (with_none, without))
    assert a[0][1] == 0.0 and a[1][2] == 0.0
    assert [a[0][0], a[0][2], a[0][3]] == b[0] and a[1][:2] == b[1]


def test_raw_rewards_have_no_baseline():
    assert raw_rewards([0.5, None, -1.0]) == [0.5, 0.0, -1.0]


def test_batch_scale_is_shared_between_groups():
    # std of (1, 0, 0.5, 0.4) around 0.475: sqrt((.2756+.2256+.0006+.0056)/3) = 0.411299
    out = BatchScaled(0.0)([a_group([1.0, 0.0]), a_group([0.5, 0.4])], alone, CLOCK)
    assert out[0] == pytest.approx([0.5 / 0.4112988, -0.5 / 0.4112988], rel=1e-5)
    assert out[1] == pytest.approx([0.05 / 0.4112988, -0.05 / 0.4112988], rel=1e-5)


def test_reinforce_pp_discounts_over_trained_tokens_only():
    # one rollout of reward 1 with an observed token in the middle: returns 0.25, 0.5, (-), 1
    rollout = a_rollout(trainable=(True, True, False, True))
    other = a_rollout(trainable=(True,))
    group = a_group([1.0, 0.0], rollouts=[rollout, other])
    ((tokens, lone),) = ReinforcePP(gamma=0.5)([group], alone, CLOCK)
    # returns 0.25, 0.5, 1, 0: mean 0.4375, variance (.03516+.0039+.31641+.19141)/3 = 0.182292
    scale = 0.1822917**-0.5
    expected = [(0.25 - 0.4375) * scale, (0.5 - 0.4375) * scale, 0.0, (1 - 0.4375) * scale]
    assert tokens == pytest.approx(expected, rel=1e-5)
    assert lone == pytest.approx(-0.4375 * scale, rel=1e-5)


def test_a_rollout_without_trained_tokens_gets_zero():
    group = a_group([1.0, 0.0, 0.0], rollouts=[
        a_rollout(trainable=(False, False)), a_rollout(length=2, trainable=(True,) * 2),
        a_rollout(length=1, trainable=(True,)),
    ])  # fmt: skip
    ((first, *_),) = ReinforcePP()([group], alone, CLOCK)
    assert first == 0.0


def test_long_rollouts_weigh_more_in_token_whitening():
    ((right, wrong),) = ReinforcePPBaseline()([a_group([1.0, 0.0], [1, 3])], alone, CLOCK)
    # tokens 0.5, -0.5, -0.5, -0.5: mean -0.25, std 0.5
    assert (right, wrong) == (pytest.approx(1.5, rel=1e-6), pytest.approx(-0.5, rel=1e-6))


def test_beta_weight_by_hand():
    # group means 0.25 and 0.75: mean 0.5, variance 0.125, size 0.25/0.125 - 1 = 1,
    # alpha = beta = 1 + 0.5/3 = 7/6; pdf(0.25; 7/6, 7/6) = 0.25^(1/6) 0.75^(1/6) / B(7/6, 7/6)
    alpha, beta = beta_shape(0.5, 0.125)
    assert (alpha, beta) == (pytest.approx(7 / 6), pytest.approx(7 / 6))
    assert beta_weight(0.25, (7 / 6, 7 / 6)) == pytest.approx(0.955476, abs=1e-5)


@pytest.mark.parametrize(("mean", "variance"), [(0.5, 0.0), (0.0, 0.0), (1.0, 0.0), (1.0, 0.1)])
def test_beta_has_nothing_to_fit_without_variance(mean, variance):
    assert beta_shape(mean, variance) is None
    assert beta_weight(0.3, None) == 1.0


@pytest.mark.parametrize("rate", [0.0, 1.0, 1e-300])
def test_beta_weight_stays_bounded_at_the_ends(rate):
    assert 0.0 <= beta_weight(rate, (400.0, 400.0)) <= 1e6


def on_two_ranks(credit, first, second):
    """Runs `credit` on two threads whose reduce really sums over both."""
    barrier, slots, out = threading.Barrier(2), [None, None], [None, None]

    def run(rank, groups):
        def reduce(numbers):
            slots[rank] = dict(numbers)
            barrier.wait(10)
            total = {k: slots[0][k] + slots[1][k] for k in numbers}
            barrier.wait(10)
            return total

        out[rank] = credit(groups, reduce, CLOCK)

    threads = [threading.Thread(target=run, args=a) for a in ((0, first), (1, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return out


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("cut", [0, 1, 2])
def test_two_ranks_equal_one(name, cut):
    groups = [
        a_group([1.0, 0.0, 0.5], [3, 2, 5]),
        a_group([0.2, None, 0.9], [1, 1, 4]),
        a_group([1.0, 1.0], [2, 2]),
    ]
    whole = ALL[name](groups, alone, CLOCK)
    first, second = on_two_ranks(ALL[name], groups[:cut], groups[cut:])
    for mine, expected in zip([*first, *second], whole, strict=True):
        for a, b in zip(mine, expected, strict=True):
            assert a == pytest.approx(b, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in ALL if n != "beta"])
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.floats(-1, 1, width=32)), min_size=1, max_size=5),
        min_size=1,
        max_size=4,
    )
)
def test_advantages_are_finite_and_ordered_like_rewards(name, rewards):
    groups = [a_group(r) for r in rewards]
    for group, row in zip(groups, ALL[name](groups, alone, CLOCK), strict=True):
        first = [a[0] if isinstance(a, tuple) else a for a in row]
        known = [(r, a) for r, a in zip(group.rewards, first, strict=True) if r is not None]
        assert all(abs(a) < 1e6 for a in first)
        for r1, a1 in known:
            for r2, a2 in known:
                assert r1 <= r2 + 1e-7 or a1 >= a2 - 1e-9


def test_gates_say_why():
    assert keep_all(a_group([0.0, 0.0])).action is GateAction.KEEP
    drop = DynamicSampling()
    assert drop(a_group([0.0, 0.0])).reason == "score all 0"
    assert drop(a_group([1.0, 1.0])).reason == "score all 1"
    assert drop(a_group([0.5, 0.5])).reason == "score all equal"
    assert drop(a_group([None, 1.0])).reason == "unscorable"
    assert drop(a_group([0.0, 1.0])).action is GateAction.KEEP
    unscorable = a_group([0.0, 0.0, None], score=[0.0, 0.0, 1.0])
    assert drop(unscorable).reason == "score all 0"  # the third will not train
    assert drop(a_group([0.3])).action is GateAction.KEEP


def test_the_filter_reads_the_score_unless_told_otherwise():
    shaped = a_group([0.0, 0.1], score=[0.0, 0.0])  # only the length punishment differs
    assert DynamicSampling()(shaped).action is GateAction.DROP
    assert DynamicSampling(of="reward")(shaped).action is GateAction.KEEP


def test_pass_rate_band_is_open_at_both_ends():
    band = PassRateBand(above=0.25, below=0.75)
    assert band(a_group([0.0, 0.5])).reason == "pass rate too low"
    assert band(a_group([1.0, 0.5])).reason == "pass rate too high"
    assert band(a_group([0.0, 1.0])).action is GateAction.KEEP
    assert band(a_group([None])).reason == "unscorable"
