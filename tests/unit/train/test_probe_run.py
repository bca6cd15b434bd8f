"""Whole runs with a second pass and with a contrast: figures, rollout files, resume."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import Field

from mmrl.data.registry import DATASETS
from mmrl.methods.base import METHODS
from mmrl.methods.grpo import Grpo
from mmrl.policy.scripted import Scripted
from mmrl.probes.contrast import ContrastScores
from mmrl.probes.second_pass import SecondPass
from mmrl.rewards.choice_consistency import OUTCOMES, Consistency, watched
from mmrl.rewards.contrast import ContrastBonus
from mmrl.rollout.contrast import WithContrast
from mmrl.train import run as run_module
from mmrl.train.models import Doors
from mmrl.types import MediaRef, Sample

OPTIONS = ("red", "blue", "green", "yellow")


class Second(Grpo):
    name: str = "second"
    group_size: int = Field(default=4, ge=1)

    def build(self, task):
        return super().build(task, probes=(SecondPass(passes=2),))

    def rewards(self, task):
        kept = tuple(r for r in task.rewards if r.name != "choice")
        return (Consistency().reward(), *kept, *watched())


class Compared(Grpo):
    name: str = "compared"
    group_size: int = Field(default=4, ge=1)

    def build(self, task):
        return super().build(
            task,
            plan=WithContrast(size=self.group_size),
            probes=(ContrastScores(),),
            bonuses=(ContrastBonus(factor=0.8),),
        )


class Follows(Scripted):
    """Answers again what it reasoned; on shuffled frames it is always wrong."""

    def _texts(self, prompt, group_size):
        context = self.decode(prompt.token_ids)
        reasoned = re.search(r"<think>(\w+)</think><answer>$", context)
        if reasoned is not None:
            return [re.search(rf"([A-D]) {reasoned[1]}\b", context)[1] + "</answer>"]
        refs = [i["media"] for m in prompt.messages for i in m["content"] if i["type"] == "video"]
        if any(ref.options.get("strategy") == "shuffled" for ref in refs):
            return ["<think>red</think><answer>C</answer>"] * group_size
        return super()._texts(prompt, group_size)


SCRIPT = {
    # gold B, blue: consistent; thought wrong; answer wrong; both wrong
    "which": [
        "<think>blue</think><answer>B</answer>",
        "<think>red</think><answer>B</answer>",
        "<think>blue</think><answer>A</answer>",
        "<think>red</think><answer>A</answer>",
    ],
}


def rows(split):
    listed = " ".join(f"{letter} {text}" for letter, text in zip("ABCD", OPTIONS, strict=True))
    clip = MediaRef(kind="video", data=b"mp4", options={"fps": 4.0})
    return [
        Sample(
            id=f"{i}-{split}",
            task="clip_order",
            question=f"which {i}: {listed}",
            media=(clip,),
            target="B",
            meta={"options": OPTIONS},
        )
        for i in range(3)
    ]


@pytest.fixture
def run(monkeypatch, tmp_path):
    policy = Follows(SCRIPT)

    def load(loaded, *, quarantine=None):
        policy.bias.data.zero_()
        return Doors(policy, policy, loaded.run.rollout, seed=loaded.run.seed)

    monkeypatch.setattr(run_module, "load_models", load)
    monkeypatch.setitem(DATASETS._parts, "probe_rows", rows)
    METHODS.names()
    monkeypatch.setitem(METHODS._parts, "second", Second)
    monkeypatch.setitem(METHODS._parts, "compared", Compared)

    def go(method: str, folder: str = "run", **overrides):
        recipe = {
            "run_dir": str(tmp_path / folder),
            "policy": {"model": "scripted"},
            "method": {"name": method},
            "data": [{"dataset": "probe_rows"}],
            "rollout": {"max_new_tokens": 60},
            "optimizer": {"lr": 0.1},
            "train": {"steps": 4, "prompts_per_step": 2},
            "checkpoint": {"every": 2},
            "eval": {"data": [{"dataset": "probe_rows"}], "samples": 2, "best_of": 2},
            "log": {"console": "quiet", "rollouts_every": 1},
        }
        run_module.train(run_module.load_recipe(recipe, overrides))
        lines = (tmp_path / folder / "metrics.jsonl").read_text().splitlines()
        files = sorted((tmp_path / folder / "rollouts").glob("*.jsonl"))
        rollouts = [json.loads(line) for f in files for line in f.read_text().splitlines()]
        steps = [r for r in map(json.loads, lines) if r["kind"] == "step"]
        return steps, rollouts

    return go


def untimed(steps):
    return [{k: v for k, v in step.items() if not k.startswith("time/")} for step in steps]


def test_a_run_with_a_second_pass_says_its_shares_and_keeps_its_evidence(run):
    steps, rollouts = run("second")
    for step in steps:
        # right thoughts answer right again: 1, 0.5, 0.2, 0
        assert step["reward/consistency"] == pytest.approx((1 + 0.5 + 0.2 + 0) / 4)
        assert [step[f"reward/{name}"] for name in OUTCOMES] == [0.25] * 4
        # the second answer is the first where thought and answer agree: two of four
        assert step["reward/unchanged"] == 0.5
    assert len(rollouts) == 4 * 2 * 4
    for record in rollouts:
        found = record["evidence"]["SecondAnswer"]
        assert len(found["looks"]) == 2 and found["content"] in OPTIONS
        assert all(look["content"] == record["reasoning"] for look in found["looks"])


def test_a_run_with_a_contrast_adds_its_bonus_and_packs_no_contrast(run):
    steps, rollouts = run("compared")
    for step in steps:
        assert step["reward/contrast"] == pytest.approx(0.3 * 0.5)  # the right half
        assert step["reward/choice"] == 0.5
    assert len(rollouts) == 4 * 2 * 4  # no rollout of a contrast
    for record in rollouts:
        assert record["evidence"] == {"ContrastScore": {"scores": [0.0, 0.0], "mean": 0.0}}
        assert record["parts"]["contrast"] == 0.3 * record["parts"]["choice"]


@pytest.mark.parametrize("method", ["second", "compared"])
def test_a_run_that_was_cut_goes_on_to_the_same_steps(run, method):
    whole, _ = run(method)
    first, _ = run(method, "cut", **{"train.steps": 2})
    resumed, _ = run(method, "cut")
    assert len(first) == 2 and untimed(resumed) == untimed(whole)
