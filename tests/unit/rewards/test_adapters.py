"""Reward functions of TRL, verl and EasyR1 run unchanged, here and in worker processes."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from mmrl.errors import RewardError
from mmrl.rewards.adapters import from_easyr1, from_trl, from_verl, user_reward
from mmrl.rewards.functions import load_user_function
from mmrl.rewards.outcome import Judged
from mmrl.rewards.workers import RewardPool
from mmrl.roles import Reward
from mmrl.types import Clock, Group, MediaRef

HERE = Path(__file__).parent
ROWS = HERE.parents[1] / "data" / "rows"
sys.path.insert(0, str(HERE))
import peer_rewards  # noqa: E402
from rollouts import rollout_of, sample_of  # noqa: E402

CLOCK = Clock(step=3, stage="a", stage_step=3, stage_steps=12, epoch=0.5)
RIGHT = "<think>a b</think><answer>B</answer>"


def call(fn, text, sample):
    return fn(rollout_of(text), sample, {}, CLOCK)


# ---- TRL


def test_trl_completions_are_message_lists():
    fn = from_trl(peer_rewards.format_reward)
    assert call(fn, RIGHT, sample_of()) == 1.0
    assert call(fn, "B", sample_of()) == 0.0


def test_trl_columns_arrive_as_lists_and_none_stays_none():
    fn = from_trl(peer_rewards.accuracy_reward)
    sample = sample_of(solution="<answer> B </answer>", level=4)
    assert call(fn, RIGHT, sample) == pytest.approx(0.9)  # 0.5 + 0.1 * 4
    assert call(fn, "<answer>C</answer>", sample) == 0.0
    assert call(fn, "C", sample) is None


def test_trl_target_stands_in_for_a_solution_column():
    fn = from_trl(peer_rewards.accuracy_reward, level=[1])
    sample = sample_of(target="<answer>B</answer>")
    assert call(fn, RIGHT, sample) == pytest.approx(0.6)


def test_trl_state_and_logged_metrics():
    value = call(from_trl(peer_rewards.scheduled), "four words are here", sample_of())
    assert value == 3 / 12 and isinstance(value, Judged)
    assert value.parts == {"tokens": 4.0}


def test_trl_coroutine_and_plain_text_form():
    assert call(from_trl(peer_rewards.patient), "x", sample_of()) == 0.5
    assert call(from_trl(peer_rewards.plain_text, conversational=False), "B", sample_of()) == 1.0
    assert call(from_trl(peer_rewards.plain_text), "B", sample_of()) == 0.0


def test_trl_function_that_names_pictures_gets_them_decoded():
    picture = MediaRef(kind="image", path=ROWS / "images" / "geometry3k_11.png")
    sample = dataclasses.replace(sample_of(), media=(picture, picture))
    # two pictures, 250 pixels wide as the data set says
    assert call(from_trl(peer_rewards.sees_pictures), "x", sample) == pytest.approx(0.2 + 0.25)


def test_trl_function_that_returns_no_list_is_named():
    with pytest.raises(RewardError, match=r"<lambda> should return a list with one value"):
        call(from_trl(lambda completions, **kwargs: 1.0), "x", sample_of())


# ---- verl

BOXED = r"<think>a</think> \boxed{30}"


def test_verl_dict_with_score_and_logged_parts():
    fn = from_verl(peer_rewards.compute_score)
    sample = sample_of("30", data_source="hiyouga/geometry3k", extra_info={"split": "test"})
    value = call(fn, BOXED, sample)
    assert value == pytest.approx(1.0) and value.parts == {"acc": 1.0}
    assert call(fn, r"\boxed{31}", sample) == 0.0
    assert call(fn, r"\boxed{30}", sample) == pytest.approx(0.9)


def test_verl_async_batch_and_settings():
    assert call(from_verl(peer_rewards.compute_score_async, weight=0.5), "B", sample_of()) == 0.5
    assert call(from_verl(peer_rewards.compute_scores), "B", sample_of()) == 1.0
    assert call(from_verl(peer_rewards.compute_scores), "C", sample_of()) == 0.0


def test_verl_dict_without_score_is_named():
    with pytest.raises(RewardError, match='no_score returned a dict without "score"; it has rew'):
        call(from_verl(peer_rewards.no_score), "x", sample_of())


# ---- EasyR1


def test_easyr1_batch_file():
    fn = from_easyr1(load_user_function(f"{HERE / 'easyr1_batch.py'}:compute_score"))
    value = call(fn, "<think> no </think> 30", sample_of("30"))
    assert value == pytest.approx(1.0)
    assert value.parts == {"format": 1.0, "accuracy": 1.0, "length": 4.0}
    assert call(fn, "30", sample_of("30")) == pytest.approx(0.9)
    half = from_easyr1(fn.fn, format_weight=0.5)
    assert call(half, "30", sample_of("30")) == pytest.approx(0.5)


def test_easyr1_sequential_file():
    fn = from_easyr1(load_user_function(f"{HERE / 'easyr1_sequential.py'}:compute_score"))
    assert call(fn, "30", sample_of("30")) == 1.0
    assert call(fn, "31", sample_of("30")) == 0.0


# ---- all of them in workers


def test_adapted_functions_travel_and_their_figures_come_back():
    kinds = {
        "trl": ("peer_rewards.py:format_reward", "trl", {}, 1.0),
        "verl": ("peer_rewards.py:compute_score_async", "verl", {"weight": 0.25}, 0.0),
        "easyr1": ("easyr1_batch.py:compute_score", "easyr1", {"format_weight": 0.5}, 1.0),
        "mmrl": ("user_rewards.py:with_settings", "mmrl", {"bonus": 0.125}, 0.125),
    }
    group = Group(draw_id="d", sample=sample_of(), rollouts=(rollout_of(RIGHT),))
    with RewardPool(workers=1, timeout_s=30.0) as pool:
        for name, (function, kind, kwargs, wanted) in kinds.items():
            fn = user_reward(f"{HERE}/{function}", kind, kwargs)
            reward = Reward(name=name, fn=fn, isolated=True)
            pool.check(reward)
            assert pool.result(pool.submit(reward, group, CLOCK)) == ([wanted], [None])
        figures = {"easyr1/format": 1.0, "easyr1/accuracy": 1.0, "easyr1/length": 2.0}
        assert pool.figures() == figures
        assert pool.figures() == {}
        failing = Reward(name="v", fn=from_verl(peer_rewards.compute_score), isolated=True)
        values, reasons = pool.result(pool.submit(failing, group, CLOCK))
        assert values == [None]
        assert reasons[0].startswith("exception: NotImplementedError: Reward function is not")


def test_many_calls_a_second():
    import time

    group = Group(draw_id="d", sample=sample_of(), rollouts=(rollout_of(RIGHT),) * 200)
    reward = Reward(name="f", fn=from_trl(peer_rewards.format_reward), isolated=True)
    with RewardPool(workers=2, timeout_s=30.0) as pool:
        pool.result(pool.submit(reward, group, CLOCK))
        start = time.perf_counter()
        values, _ = pool.result(pool.submit(reward, group, CLOCK))
        seconds = time.perf_counter() - start
    assert values == [1.0] * 200
    print(f"{200 / seconds:.0f} calls a second")
    assert seconds < 30  # hundreds a second on idle cores; these are shared
