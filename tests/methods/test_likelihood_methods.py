"""GRPO-CARE's bonus and the listener's reward inside methods that step on the shipped model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmrl.errors import MethodError
from mmrl.methods.base import METHODS, stateful_parts
from mmrl.methods.grpo import Grpo
from mmrl.parse.completion import parse_completion
from mmrl.policy.companions import Ema
from mmrl.policy.frozen import Frozen
from mmrl.policy.load import load_policy
from mmrl.probes.likelihood import LikelihoodProbe, Row, row_logps
from mmrl.probes.listener import ListenerProbe, LocalListener
from mmrl.rewards.care import ConsistencyBonus
from mmrl.rewards.listener import listener_rewards
from mmrl.tasks.base import TASKS
from mmrl.train import run as run_module
from mmrl.train.models import Doors
from mmrl.types import Rollout, Segment, StopReason

TINY = Path(__file__).parents[2] / "assets" / "tiny-vlm"
SAID = (
    "<think>row 1 col 2</think><answer>A</answer>",
    "<think>row 3 col 2</think><answer>A</answer>",
    "<think>row 1 col 1</think><answer>B</answer>",
    "<answer>B</answer>",
)


class WithCare(Grpo):
    name: str = "test_care"

    def build(self, task):
        ema = Ema(decay=0.5, every=2)
        return super().build(
            task,
            probes=(LikelihoodProbe(ema),),
            bonuses=(ConsistencyBonus(margin=0.01),),
            companions=(ema,),
        )


class WithListener(Grpo):
    name: str = "test_listener"

    def build(self, task):
        frozen = Frozen()
        return super().build(
            task,
            probes=(ListenerProbe(LocalListener(frozen)),),
            companions=(frozen,),
        )

    def rewards(self, task):
        return listener_rewards()


class Says:
    """Samples the same four texts of every prompt, in the policy's own tokens."""

    def __init__(self, policy):
        self.policy = policy

    def sample(self, prompts, *, group_size, **settings):
        return [[self._rollout(p, SAID[g]) for g in range(group_size)] for p in prompts]

    def _rollout(self, prompt, text):
        ids = (*self.policy.encode_text(text), self.policy.eos_ids[0])
        (logps,) = row_logps(self.policy, [Row(prompt=prompt, token_ids=ids)])
        segment = Segment(token_ids=ids, sampled=True, logps=logps, trainable=(True,) * len(ids))
        return Rollout(
            prompt=prompt,
            sampled_under=prompt,
            segments=(segment,),
            text=text,
            offsets=self.policy.offsets(ids),
            parsed=parse_completion(text),
            stop=StopReason.EOS,
            policy_step=0,
        )


@pytest.fixture
def train(monkeypatch, tmp_path):
    """Runs a method for some steps; gives (rollout records, metrics of steps, policy)."""
    policy = load_policy(TINY, device="cpu")
    policy.set_sampling()

    def load(loaded, *, quarantine=None):
        return Doors(policy, Says(policy), loaded.run.rollout, seed=loaded.run.seed)

    monkeypatch.setattr(run_module, "load_models", load)

    def run(spec, steps):
        monkeypatch.setitem(METHODS._parts, spec.model_fields["name"].default, spec)
        recipe = {
            "name": "t",
            "run_dir": str(tmp_path / "run"),
            "policy": {"model": str(TINY)},
            "method": {"name": spec.model_fields["name"].default, "group_size": 4},
            "rollout": {"max_new_tokens": 64},
            "data": [{"task": "picture_pair"}],
            "optimizer": {"lr": 1e-3},
            "train": {"steps": steps, "prompts_per_step": 2},
            "checkpoint": {"every": steps},
            "log": {"console": "quiet"},
        }
        run_module.train(run_module.load_recipe(recipe, {}))
        folder = tmp_path / "run"
        files = sorted((folder / "rollouts").glob("*.jsonl"))
        rollouts = [json.loads(line) for f in files for line in f.read_text().splitlines()]
        lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        return rollouts, [r for r in lines if r["kind"] == "step"], folder

    return run


def test_the_consistency_bonus_steps_on_the_average(train):
    rollouts, steps, _ = train(WithCare, 3)
    assert len(rollouts) == 3 * 2 * 4 and len(steps) == 3
    paid = 0
    for start in range(0, len(rollouts), 4):
        group = rollouts[start : start + 4]
        p = [r["evidence"]["ReferenceLikelihood"]["probability"] for r in group]
        right = [q for r, q in zip(group, p, strict=True) if r["score"] == 1.0]
        for r, q in zip(group, p, strict=True):
            assert 0.0 < q <= 1.0
            earns = (
                r["score"] == 1.0
                and min(q, 0.95) >= sum(min(x, 0.95) for x in right) / len(right) - 0.01 - 1e-6
            )
            assert r["parts"]["care"] == float(earns)
            whole = r["parts"]["preference"] + 0.2 * r["parts"]["format"] + 0.5 * r["parts"]["care"]
            assert r["reward"] == pytest.approx(whole)
            paid += earns
    assert paid >= 6  # one of each group at least
    assert {s["step"] for s in steps} == {0, 1, 2}


def test_the_listeners_reward_steps_on_a_frozen_copy(train):
    rollouts, steps, _ = train(WithListener, 2)
    assert len(rollouts) == 2 * 2 * 4
    for r in rollouts:
        heard, parts = r["evidence"]["ListenerConfidence"], r["parts"]
        formed = r["text"] != SAID[3]
        assert heard["heard"] is formed and parts["format"] == float(formed)
        if formed:
            side = "AB".index(r["target"])
            assert parts["listener"] == pytest.approx(heard["probabilities"][side])
            two = [order[side] for order in heard["by_order"]]
            assert parts["listener"] == pytest.approx(sum(two) / 2)
        else:
            assert parts["listener"] == parts["preference"] == 0.0
        whole = parts["format"] + 0.5 * parts["preference"] + 0.5 * parts["listener"]
        assert r["reward"] == pytest.approx(whole)
    assert len({r["parts"]["listener"] for r in rollouts}) > 4
    assert all("reward/contradicts" in s for s in steps)


def test_a_copy_does_not_follow_the_policy_and_is_saved_once(train):
    *_, folder = train(WithListener, 2)
    folder = folder / "checkpoints" / "step-000002"
    first = load_policy(TINY, device="cpu").trainable()
    kept = {n: t for n, t in load_file(folder / "parts.safetensors").items() if "kept" in n}
    now = load_file(folder / "policy.safetensors")
    assert len(kept) == len(first)
    for name, weight in kept.items():
        own = name.removeprefix("companions.0|kept|")
        assert torch.equal(weight, first[own]), name
    assert any(not torch.equal(now[n], first[n]) for n in first)
    method = WithListener(max_length=64).build(TASKS.get("picture_pair"))
    assert sorted(stateful_parts(method)) == ["companions.0"]
    assert sorted(stateful_parts(WithCare(max_length=64).build(TASKS.get("picture_pair")))) == [
        "companions.0"
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bonuses": (ConsistencyBonus(),)}, r'bonus "care" needs ReferenceLikelihood.*add Lik'),
        ({"rewards": listener_rewards()}, r'reward "listener" needs ListenerConfidence.*add List'),
        (
            {
                "probes": (LikelihoodProbe(Ema()),),
                "bonuses": (ConsistencyBonus(accuracy="acuracy"),),
            },
            'bonus "care" reads the reward part "acuracy"',
        ),
    ],
)
def test_an_assembly_that_lacks_its_evidence_fails_in_words(changes, message):
    method = Grpo(max_length=64).build(TASKS.get("picture_pair"))
    with pytest.raises(MethodError, match=message):
        replace(method, **changes)


def test_the_tower_of_a_moving_average_is_its_own():
    """Pictures seen under the average are not taken from the policy's memory, nor left in it."""
    policy = load_policy(TINY, device="cpu", reuse_vision="on")
    models, ema = Doors(policy, None, _rollout_settings(), seed=0), Ema(decay=0.5)
    ema.prepare(models)
    sample = TASKS.get("picture_pair").world(0, split="val", seed=0)
    row = Row(prompt=models.encode(sample), token_ids=policy.encode_text(SAID[0]))
    (before,) = row_logps(policy, [row])
    with torch.no_grad():
        for weight in policy.trainable().values():
            weight.mul_(1.1)
    (moved,) = row_logps(policy, [row])
    with ema.applied(models) as lent:
        assert row_logps(lent, [row])[0] == pytest.approx(before, abs=1e-6)
    assert row_logps(policy, [row])[0] == moved
    assert moved != pytest.approx(before, abs=1e-3)


def _rollout_settings():
    from mmrl.config.schema import RolloutConfig

    return RolloutConfig()
