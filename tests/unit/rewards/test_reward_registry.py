"""Registering a user's reward, and refusing what it must not return."""

import math

import numpy as np
import pytest
import torch
from builders import CLOCK, a_rollout, a_sample

import mmrl.rewards.registry as registry
from mmrl.errors import ConfigError, RewardError
from mmrl.rewards.builtin import REWARDS
from mmrl.rewards.format import NO_EVIDENCE
from mmrl.rewards.registry import RewardRegistry, call_reward, check_value, register_reward
from mmrl.roles import Reward


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(registry, "REWARDS", RewardRegistry("reward"))


def known(name):
    return registry.REWARDS.get(name)


def length_reward(rollout, sample):
    return min(1.0, len(rollout.text) / 10)


def late_reward(rollout, sample, evidence, clock):
    return float(clock.step)


def test_a_function_of_two_arguments_becomes_a_reward():
    assert register_reward("short", bounds=(0, 1), weight=0.5)(length_reward) is length_reward
    reward = known("short")
    assert (reward.weight, reward.bounds, reward.isolated) == (0.5, (0.0, 1.0), True)
    assert call_reward(reward, a_rollout("12345"), a_sample(), NO_EVIDENCE, CLOCK) == 0.5


def test_a_function_of_four_arguments_is_taken_as_it_is():
    register_reward("late", isolated=False)(late_reward)
    assert known("late").fn is late_reward


def test_other_signatures_are_refused_in_words():
    with pytest.raises(ConfigError, match=r'reward "odd".*\(rollout, sample\)'):
        register_reward("odd")(lambda text: 1.0)


def test_two_rewards_of_one_name_are_refused_but_a_reload_is_not():
    register_reward("short")(length_reward)
    register_reward("short", weight=2.0)(length_reward)
    assert known("short").weight == 2.0
    with pytest.raises(ConfigError, match="registered twice"):
        register_reward("short")(late_reward)


def test_bounds_must_be_finite_and_in_order():
    for bounds in ((0, math.inf), (1, 0), (1, 1), (math.nan, 1)):
        with pytest.raises(ConfigError, match="bounds"):
            register_reward("x", bounds=bounds)


def test_an_unknown_reward_names_the_nearest():
    with pytest.raises(ConfigError, match=r'no reward "box_uoi".*"box_iou"'):
        REWARDS.get("box_uoi")


REWARD = Reward(name="mine", fn=late_reward, bounds=(-1.0, 1.0))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1.01, -1.01, 1e300])
def test_values_out_of_bounds_name_reward_sample_and_value(bad):
    with pytest.raises(
        RewardError, match=rf'"mine" on sample "s1" returned {bad}'.replace("+", r"\+")
    ):
        check_value(REWARD, a_sample(), bad)


@pytest.mark.parametrize("bad", ["1", [1.0], (), torch.ones(1), 1j])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(RewardError, match="float or None"):
        check_value(REWARD, a_sample(), bad)


@pytest.mark.parametrize(
    ("good", "value"),
    [(None, None), (True, 1.0), (0, 0.0), (np.float32(0.5), 0.5), (1.0000001, 1.0), (-1, -1.0)],
)
def test_numbers_of_any_kind_become_floats_inside_the_bounds(good, value):
    got = check_value(REWARD, a_sample(), good)
    assert got == value
    assert got is None or type(got) is float
