"""The run around the step, on a scripted policy: gates, limits, resume, best, the end."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from mmrl.data.registry import DATASETS
from mmrl.errors import ConfigError, MediaError, MethodError
from mmrl.policy.scripted import Scripted
from mmrl.rewards.builtin import FORMAT
from mmrl.roles import Reward
from mmrl.tasks.base import TASKS, Task
from mmrl.train import run as run_module
from mmrl.train.models import Doors
from mmrl.types import Sample


def says_yes(rollout, sample, evidence=None, clock=None, /):
    return float((rollout.parsed.answer or "") == sample.target)


SCRIPTED = Task(
    name="scripted",
    template="{question}",
    rewards=(Reward(name="right", fn=says_yes), FORMAT),
    score=says_yes,
    gold=lambda sample: f"<think>x</think><answer>{sample.target}</answer>",
    score_name="right",
)


def scripted_rows(split):
    return [
        Sample(id=f"{name}-{split}", task="scripted", question=name, target="yes")
        for name in ("mixed", "always", "never", "even")
    ]


def says(answer: str) -> str:
    return f"<think>x</think><answer>{answer}</answer>"


SCRIPT = {
    "mixed": [says("yes"), says("no"), says("no"), says("no")],
    "always": [says("yes")],
    "never": [says("no")],
    "even": [says("yes"), says("no")],
}

RECIPE = {
    "name": "scripted",
    "policy": {"model": "none"},
    "method": {"name": "grpo", "group_size": 4},
    "rollout": {"max_new_tokens": 64},
    "data": [{"dataset": "scripted_rows"}],
    "optimizer": {"lr": 0.1},
    "train": {"steps": 6, "prompts_per_step": 2},
    "eval": {"data": [{"dataset": "scripted_rows"}], "samples": 4, "best_of": 4},
    "checkpoint": {"every": 2},
    "log": {"console": "quiet"},
}


@pytest.fixture
def policy(monkeypatch):
    made = Scripted(SCRIPT)

    def load(loaded, *, quarantine=None):
        made.bias.data.zero_()
        return Doors(made, made, loaded.run.rollout, seed=loaded.run.seed)

    monkeypatch.setattr(run_module, "load_models", load)
    monkeypatch.setitem(TASKS._parts, "scripted", SCRIPTED)
    monkeypatch.setitem(DATASETS._parts, "scripted_rows", scripted_rows)
    return made


def run(tmp_path, *, fresh: bool = False, **overrides):
    changes = {k.replace("__", "."): v for k, v in overrides.items()}
    settings = {**RECIPE, "run_dir": str(tmp_path / "run")}
    return run_module.train(run_module.load_recipe(settings, changes), fresh=fresh)


def records(tmp_path, kind: str) -> list[dict]:
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    return [r for r in map(json.loads, lines) if r["kind"] == kind]


def without_times(rows: list[dict]) -> list[dict]:
    return [{k: v for k, v in r.items() if not k.startswith("time/")} for r in rows]


def test_figures_of_a_step_by_hand(policy, tmp_path):
    run(tmp_path, train__prompts_per_step=4, train__steps=1)
    step = records(tmp_path, "step")[0]
    # right: 1/4, 1, 0, 1/2; format always 1
    assert step["score"] == pytest.approx((0.25 + 1 + 0 + 0.5) / 4)
    assert step["reward/right"] == step["score"] and step["reward/format"] == 1.0
    assert step["zero_spread"] == 0.5
    # spread within groups: sqrt(3)/4, 0, 0, 1/2
    assert step["reward_std"] == pytest.approx((3**0.5 / 4 + 0.5) / 4)


def test_the_summary_pairs_before_and_after(policy, tmp_path):
    summary = run(tmp_path).summary
    assert summary["steps"] == 6
    assert summary["eval"]["before"]["right"] == pytest.approx(0.4375)
    assert summary["eval"]["diff_ci95"] == [0.0, 0.0]
    assert summary["eval"]["best_of_4"]["before"]["right"] == 0.75
    assert (tmp_path / "run" / "report.html").read_text().startswith("<!doctype html>")


def test_dynamic_sampling_refills_from_further_draws(policy, tmp_path):
    run(tmp_path, method__dynamic_sampling=True, train__steps=3)
    for step in records(tmp_path, "step"):
        assert step["draws"] > 2 or not any(k.startswith("dropped/") for k in step)
    dropped = sum(v for s in records(tmp_path, "step") for k, v in s.items() if "dropped/" in k)
    assert dropped > 0
    rollouts = (tmp_path / "run" / "rollouts").glob("*.jsonl")
    asked = {json.loads(line)["question"] for p in rollouts for line in p.read_text().splitlines()}
    assert asked == {"mixed", "even"}


def test_steps_without_a_group_end_the_run_with_the_reason(policy, tmp_path):
    policy.script = {name: [says("yes")] for name in SCRIPT}
    with pytest.raises(MethodError, match=r"3 steps in a row had no group.*score all 1"):
        run(tmp_path, method__dynamic_sampling=True, train__max_empty_steps=3)


def test_unreadable_media_are_counted_named_and_replaced_by_other_samples(policy, tmp_path):
    inner = policy.encode

    def encode(messages, *, name=""):
        if name.startswith("never"):
            raise MediaError(f"{name}: no such file", reason="missing")
        return inner(messages, name=name)

    policy.encode = encode
    summary = run(tmp_path).summary
    assert sum(s.get("skipped/missing", 0) for s in records(tmp_path, "step")) > 0
    assert summary["bad_samples"] == {"never-train": "never-train: no such file"}
    assert summary["eval"]["skipped"] == 1
    rollouts = "".join(p.read_text() for p in (tmp_path / "run" / "rollouts").glob("*.jsonl"))
    assert '"question": "never"' not in rollouts
    with pytest.raises(MediaError, match="never-train: no such file"):
        run(tmp_path, fresh=True, media__on_error="raise")


def test_a_finished_run_is_left_alone_and_fresh_starts_anew(policy, tmp_path):
    first = run(tmp_path)
    marked = tmp_path / "run" / "mark"
    marked.touch()
    (tmp_path / "run" / "report.html").unlink()  # as if it was killed just before
    again = run(tmp_path)
    assert again.summary["seconds_total"] == first.summary["seconds_total"] and marked.exists()
    assert (tmp_path / "run" / "report.html").exists()
    run(tmp_path, fresh=True)
    assert not marked.exists()


def test_more_steps_extend_a_finished_run(policy, tmp_path):
    run(tmp_path)
    assert run(tmp_path, train__steps=8).summary["steps"] == 8
    assert [r["step"] for r in records(tmp_path, "step")] == list(range(8))


def test_another_recipe_in_the_same_folder_is_refused(policy, tmp_path):
    run(tmp_path)
    with pytest.raises(ConfigError, match=r"optimizer\.lr was 0\.1, is 0\.2"):
        run(tmp_path, optimizer__lr=0.2)


def test_a_run_that_broke_goes_on_to_the_same_end(policy, tmp_path, monkeypatch):
    run(tmp_path)
    whole = without_times(records(tmp_path, "step") + records(tmp_path, "eval"))
    bias = float(policy.bias)
    from mmrl.train import loop

    inner, calls = loop.assign, []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise OSError("power cut")
        return inner(*arguments)

    monkeypatch.setattr(loop, "assign", breaks)
    with pytest.raises(OSError, match="power cut"):
        run(tmp_path, fresh=True)
    assert len(records(tmp_path, "step")) == 3
    run(tmp_path)
    assert without_times(records(tmp_path, "step") + records(tmp_path, "eval")) == whole
    assert float(policy.bias) == bias


def test_ctrl_c_saves_and_the_same_command_goes_on(policy, tmp_path, monkeypatch):
    run(tmp_path)
    whole = without_times(records(tmp_path, "step"))
    from mmrl.train.observers.files import MetricsFile

    inner = MetricsFile.on_step

    def interrupts(self, report):
        inner(self, report)
        if report.clock.step == 2:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(MetricsFile, "on_step", interrupts)
    assert run(tmp_path, fresh=True).interrupted
    assert (tmp_path / "run" / "checkpoints" / "step-000003").is_dir()
    monkeypatch.setattr(MetricsFile, "on_step", inner)
    assert not run(tmp_path).interrupted
    assert without_times(records(tmp_path, "step")) == whole


@pytest.mark.parametrize(
    ("moment", "evaluated"), [("_eval_progress", [0, 2]), ("_keep_best", [0, 2, 4])]
)
def test_ctrl_c_in_an_evaluation_loses_no_step(moment, evaluated, policy, tmp_path, monkeypatch):
    import os
    import signal

    from mmrl.train.session import Session

    settings = {"eval__every": 2, "eval__batch_prompts": 1, "checkpoint__every": 50}
    run(tmp_path, **settings)
    whole = without_times(records(tmp_path, "step") + records(tmp_path, "eval"))
    inner, calls = getattr(Session, moment), []

    def interrupts(self, *arguments):
        if self.progress.step == 4:
            calls.append(1)
            if len(calls) == 1:
                os.kill(os.getpid(), signal.SIGINT)
        inner(self, *arguments)

    monkeypatch.setattr(Session, moment, interrupts)
    assert run(tmp_path, fresh=True, **settings).interrupted
    assert len(calls) == 1  # no further prompt of the evaluation is sampled
    assert [r["step"] for r in records(tmp_path, "eval")] == evaluated
    assert (tmp_path / "run" / "checkpoints" / "step-000004").is_dir()
    monkeypatch.setattr(Session, moment, inner)
    assert not run(tmp_path, **settings).interrupted
    again = without_times(records(tmp_path, "step") + records(tmp_path, "eval"))
    assert again == whole


def test_the_time_limit_ends_with_a_checkpoint_and_a_last_evaluation(policy, tmp_path):
    summary = run(tmp_path, train__time_limit_s=1e-6).summary
    assert summary["steps"] == 1 and summary["stopped"] == "time limit of 1e-06 s"
    assert [r["step"] for r in records(tmp_path, "eval")] == [0, 1]
    assert (tmp_path / "run" / "checkpoints" / "step-000001").is_dir()


def test_early_stop_after_evaluations_without_a_new_best(policy, tmp_path):
    summary = run(
        tmp_path, eval__every=1, eval__early_stop={"measure": "right", "patience": 2}
    ).summary
    # the first evaluation (step 0) is the best; steps 1 and 2 bring nothing new
    assert summary["steps"] == 2 and "right has not improved for 2" in summary["stopped"]


def test_the_best_checkpoint_is_kept(policy, tmp_path):
    run(tmp_path, eval__every=2, checkpoint__best="right")
    assert (tmp_path / "run" / "best" / "model.safetensors").exists()


def test_an_unknown_measure_is_named_with_those_that_exist(policy, tmp_path):
    with pytest.raises(ConfigError, match=r'no measure "rigth"; there are accuracy.*right'):
        run(tmp_path, checkpoint__best="rigth")


def test_stages_follow_each_other(policy, tmp_path):
    run(
        tmp_path,
        stages=[
            {"name": "cold", "kind": "sft", "steps": 2},
            {"name": "rl", "steps": 3, "method": {"beta": 0.1}},
        ],
    )
    steps = records(tmp_path, "step")
    assert [s["stage"] for s in steps] == ["cold", "cold", "rl", "rl", "rl"]
    assert "nll" in steps[0] and "reward" not in steps[0]
    # the reference is the policy at the start of the stage: no KL before its first update
    assert steps[2]["kl"] == pytest.approx(0.0, abs=1e-6)


def test_predictions_and_rollouts_are_written(policy, tmp_path):
    folder = run(tmp_path).folder
    rows = [json.loads(x) for x in (folder / "rollouts/step-000000.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    for row in rows:
        assert row["reward"] == pytest.approx(row["parts"]["right"] + row["parts"]["format"])
    import pyarrow.parquet as pq

    tokens = pq.read_table(folder / "rollouts/step-000000.tokens.parquet").to_pylist()
    assert len(tokens) == sum(r["num_tokens"] for r in rows)
    first = "".join(chr(t["token"]) for t in tokens if t["line"] == 0 and t["token"] < 0x110000)
    assert first == rows[0]["text"]
    assert any((folder / "predictions").iterdir())


def test_a_rank_without_a_group_reports_the_same_metrics():
    from mmrl.train.learner import Learner

    ranks = SimpleNamespace(gather=lambda names: [*names, "loss", "entropy"])
    completed = Learner._complete(SimpleNamespace(ranks=ranks), {"loss": 2.0})
    assert completed == {"loss": 2.0, "entropy": 0.0}
