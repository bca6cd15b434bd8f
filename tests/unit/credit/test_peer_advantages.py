"""Advantages of TRL, verl, OpenRLHF, BNPO and DAPO's filter, case by case.

Every estimator that our parts express runs on every case of its file. Ours differs on purpose in
the cases of `DIFFERENT`; estimators of other methods are left out (GDPO's normalize_then_sum, RLOO
with clipped or normalised rewards, passk, opo, gpg, remax, anything with a KL inside the reward).
"""

import json
import math
from pathlib import Path

import pytest
from builders import CLOCK, a_group, alone

from mmrl.credit.batch import BatchScaled
from mmrl.credit.bnpo import BetaNormalised
from mmrl.credit.gates import DynamicSampling, PassRateBand
from mmrl.credit.group import Standardised, centred, leave_one_out, per_group
from mmrl.credit.reinforce import ReinforcePP, ReinforcePPBaseline
from mmrl.errors import RewardError
from mmrl.roles import GateAction

VECTORS = Path(__file__).parents[2] / "vectors"
TRL = {
    "sum_then_normalize/group": per_group(Standardised(1e-4)),
    "sum_then_normalize/batch": BatchScaled(1e-4),
    "sum_then_normalize/none": per_group(centred),
    "rloo/norm=False/clip=None": per_group(leave_one_out),
}
VERL = {
    "grpo": per_group(Standardised(1e-6)),
    "grpo_nostd": per_group(centred),
    "grpo_vectorized": per_group(Standardised(1e-6)),
    "rloo": per_group(leave_one_out),
    "rloo_vectorized": per_group(leave_one_out),
    "reinforce_plus_plus": ReinforcePP(),
    "reinforce_plus_plus_g99": ReinforcePP(gamma=0.99),
    "reinforce_plus_plus_baseline": ReinforcePPBaseline(),
}
OPENRLHF = {
    "rloo": per_group(leave_one_out),
    "group_norm": per_group(Standardised(1e-9)),
    "dr_grpo": per_group(centred),
    "reinforce": ReinforcePP(),
    "reinforce_baseline": ReinforcePPBaseline(),
}
LONE = "verl passes a lone reward through as its own advantage; ours gives a group of one nothing"
FLAT32 = "theirs works in float32, where a gap of 1e-7 is mostly rounding; ours in float64"
INF = "an infinite reward is refused before any statistics (rewards.registry.check_value)"
# (file, estimator, case) -> why ours differs on purpose
DIFFERENT = {
    ("verl", "grpo", "singleton_plus_pair"): LONE,
    ("verl", "grpo_nostd", "singleton_plus_pair"): LONE,
    ("verl", "grpo_vectorized", "singleton_plus_pair"): LONE,
    ("verl", "rloo", "singleton_plus_pair"): LONE,
    ("verl", "reinforce_plus_plus_baseline", "singleton_plus_pair"): LONE,
    ("verl", "grpo_vectorized", "tiny_gap"): FLAT32,
    ("openrlhf", "group_norm", "tiny_gap"): FLAT32,
    ("openrlhf", "reinforce", "tiny_gap"): FLAT32,
    ("openrlhf", "reinforce_baseline", "tiny_gap"): FLAT32,
    ("trl", "all", "inf_reward"): INF,
}


def load(name):
    return json.loads((VECTORS / f"{name}.json").read_text())


def grouped(values, keys, lengths):
    """Scored groups by key in order of appearance, and where each value went."""
    order = list(dict.fromkeys(keys))
    places = {key: [i for i, k in enumerate(keys) if k == key] for key in order}
    groups = [
        a_group([values[i] for i in places[key]], [lengths[i] for i in places[key]])
        for key in order
    ]
    return groups, [places[key] for key in order]


def token_advantages(credit, values, keys, lengths):
    """Our advantages of every rollout, one a token, in the order of `values`."""
    groups, places = grouped(values, keys, lengths)
    out = [None] * len(values)
    for group_places, rows in zip(places, credit(groups, alone, CLOCK), strict=True):
        for place, row in zip(group_places, rows, strict=True):
            out[place] = list(row) if isinstance(row, tuple) else [row] * lengths[place]
    return out


def verl_cases():
    for case in load("verl-advantages")["cases"]:
        for name in VERL:
            yield pytest.param(name, case, id=f"{name}/{case['name']}")


@pytest.mark.parametrize(("name", "case"), list(verl_cases()))
def test_verl(name, case):
    ours = token_advantages(VERL[name], case["scores"], case["group"], case["lengths"])
    tiny = 2e-4 if case["name"] == "tiny_gap" else 1e-5  # float32 in parts of theirs
    same = all(
        mine == pytest.approx(theirs[: len(mine)], abs=tiny, rel=1e-5)
        for mine, theirs in zip(ours, case["advantages"][name], strict=True)
    )
    reason = DIFFERENT.get(("verl", name, case["name"]))
    assert same is (reason is None), (reason, ours, case["advantages"][name])


@pytest.mark.parametrize("case", load("openrlhf")["advantage_cases"], ids=lambda c: c["name"])
@pytest.mark.parametrize("name", OPENRLHF)
def test_openrlhf(name, case):
    """OpenRLHF whitens by the biased variance: with n tokens, sqrt(n / (n - 1)) above ours."""
    size, num = case["group_size"], sum(case["lengths"])
    keys = [i // size for i in range(len(case["scores"]))]
    factor = math.sqrt(num / (num - 1)) if name.startswith("reinforce") else 1.0
    ours = token_advantages(OPENRLHF[name], case["scores"], keys, case["lengths"])
    same = all(
        [factor * x for x in mine] == pytest.approx(theirs[: len(mine)], abs=1e-5, rel=1e-5)
        for mine, theirs in zip(ours, case["advantages"][name], strict=True)
    )
    reason = DIFFERENT.get(("openrlhf", name, case["name"]))
    assert same is (reason is None), (reason, ours, case["advantages"][name])


@pytest.mark.parametrize(
    "case",
    [c for c in load("trl-advantages")["cases"] if ("trl", "all", c["name"]) not in DIFFERENT],
    ids=lambda c: c["name"],
)
@pytest.mark.parametrize("name", TRL)
def test_trl(name, case):
    """A reward is the weighted sum of the parts that could score; None where none could."""
    rewards = []
    for parts in case["rewards_per_func"]:
        known = [(w, p) for w, p in zip(case["weights"], parts, strict=True) if p != "nan"]
        rewards.append(sum(w * p for w, p in known) if known else None)
    keys = [i // case["num_generations"] for i in range(len(rewards))]
    ours = token_advantages(TRL[name], rewards, keys, [1] * len(rewards))
    assert [row[0] for row in ours] == pytest.approx(case["advantages"][name], abs=1e-6)


BNPO_DEFECTS = {
    "all_zero_two": ("a fit without variance throws; ours has weight 1", [0.0] * 8),
    "out_of_range": ("an assertion; ours is a RewardError that names the sample", RewardError),
}


@pytest.mark.parametrize("case", load("bnpo")["cases"], ids=lambda c: c["name"])
def test_bnpo(case):
    low, high = case["min_max"]
    credit = BetaNormalised(low=low, high=high)
    scores, keys = case["scores"], case["group"]
    expected = case["out"]
    if isinstance(expected, dict):
        expected = BNPO_DEFECTS[case["name"]][1]
    if expected is RewardError:
        with pytest.raises(RewardError, match="s1"):
            token_advantages(credit, scores, keys, [1] * len(scores))
        return
    ours = token_advantages(credit, scores, keys, [1] * len(scores))
    assert [row[0] for row in ours] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("case", load("dynamic-sampling")["cases"], ids=lambda c: str(c["rewards"]))
def test_filters(case):
    group = a_group(case["rewards"])
    kept = DynamicSampling()(group).action is GateAction.KEEP
    assert kept is case["keep_std"]
    assert (PassRateBand()(group).action is GateAction.KEEP) is case["keep_open_interval"]


COPIES = ("RewardMap", "MMR1", "SophiaVL-R1")


@pytest.mark.parametrize("case", load("verl-core-grpo")["advantage_cases"], ids=lambda c: c["name"])
def test_the_papers_copies_of_verl(case):
    num = len(case["scores"])
    ours = token_advantages(VERL["grpo"], case["scores"], case["group"], [1] * num)
    for copy in COPIES:
        theirs = case["out"][copy]
        # float32 of theirs: the spread of tiny_var is 1e-4 of its values
        assert [row[0] for row in ours] == pytest.approx(
            theirs, abs=2e-3 if case["name"] == "tiny_var" else 2e-5
        )


def test_a_weight_of_the_whole_group_cancels():
    data = load("verl-core-grpo")["per_prompt_weight_cases"]
    for weight, theirs in data["out"].items():
        scores = [float(weight) * r for r in data["raw"]]
        ours = token_advantages(VERL["grpo"], scores, [0] * 4, [1] * 4)
        assert [row[0] for row in ours] == pytest.approx(theirs, abs=1e-5)
