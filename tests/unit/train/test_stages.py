"""Stages on a scripted policy: what is kept, when one ends early, what carries over, resume."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from mmrl.config.load import load_recipe
from mmrl.config.schema import KeepConfig, PromoteConfig
from mmrl.data.registry import DATASETS
from mmrl.errors import ConfigError
from mmrl.eval.measures import Estimate
from mmrl.eval.run import Evaluation
from mmrl.methods.base import METHODS
from mmrl.methods.grpo import Grpo
from mmrl.policy.companions import Ema
from mmrl.policy.scripted import END, Scripted
from mmrl.rewards.builtin import FORMAT
from mmrl.roles import Reward
from mmrl.tasks.base import TASKS, Task
from mmrl.train import run as run_module
from mmrl.train.checkpoint import Checkpoints
from mmrl.train.collect import Figures, figures, is_kept
from mmrl.train.models import Doors
from mmrl.train.promotion import judge
from mmrl.train.recipe import check_recipe
from mmrl.types import Sample


def says_yes(rollout, sample, evidence=None, clock=None, /):
    return float((rollout.parsed.answer or "") == sample.target)


WORLD = Task(
    name="staged",
    template="{question}",
    rewards=(Reward(name="right", fn=says_yes), FORMAT),
    score=says_yes,
    gold=lambda sample: f"<think>x</think><answer>{sample.target}</answer>",
    score_name="right",
)


def rows(split):
    return [
        Sample(id=f"{name}-{split}", task="staged", question=name, target="yes")
        for name in ("mixed", "always", "never", "even")
    ]


def says(answer: str, thought: str = "x") -> str:
    return f"<think>{thought}</think><answer>{answer}</answer>"


SCRIPT = {
    "mixed": [says("no"), says("yes", "a"), says("no"), says("no")],
    "always": [says("yes", "b"), says("yes", "c")],
    "never": [says("no")],
    "even": [says("yes", "d"), says("no")],
}
COLLECT = {"name": "filter", "kind": "collect", "steps": 5, "collect": {"samples": 4}}


class Followed(Grpo):
    """GRPO with a moving average of the weights beside it."""

    name: str = "followed"

    def build(self, task):
        from dataclasses import replace

        return replace(super().build(task), companions=(Ema(decay=0.5),))


@pytest.fixture
def policy(monkeypatch):
    made = Scripted(SCRIPT)

    def load(loaded, *, quarantine=None):
        made.bias.data.zero_()
        return Doors(made, made, loaded.run.rollout, seed=loaded.run.seed)

    monkeypatch.setattr(run_module, "load_models", load)
    monkeypatch.setattr(run_module, "write_report", lambda folder: folder / "report.html")
    monkeypatch.setitem(TASKS._parts, "staged", WORLD)
    monkeypatch.setitem(DATASETS._parts, "staged_rows", rows)
    monkeypatch.setitem(METHODS._parts, "followed", Followed)
    return made


def recipe(tmp_path, *stages, **more):
    return {
        "name": "staged",
        "policy": {"model": "none"},
        "method": {"name": "grpo", "group_size": 4},
        "data": [{"dataset": "staged_rows"}],
        "optimizer": {"lr": 0.1},
        "train": {"prompts_per_step": 2},
        "stages": list(stages),
        "checkpoint": {"every": 2},
        "log": {"console": "quiet"},
        "run_dir": str(tmp_path / "run"),
        **more,
    }


def run(tmp_path, *stages, fresh: bool = False, **more):
    return run_module.train(load_recipe(recipe(tmp_path, *stages, **more)), fresh=fresh)


def lines(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def records(tmp_path, kind: str = "step") -> list[dict]:
    return [r for r in lines(tmp_path / "run" / "metrics.jsonl") if r["kind"] == kind]


def collected(tmp_path, half: str) -> list[dict]:
    return lines(tmp_path / "run" / "stages" / "filter" / f"{half}.jsonl")


def a_group(*scores):
    return SimpleNamespace(score=scores, outcome=tuple(s is not None and s >= 0.5 for s in scores))


# the rule


def test_pass_rate_and_spread_are_of_the_completions_that_could_be_scored():
    # right are 0.5 and 1; mean (0 + 0.5 + 1) / 3 = 0.5, variance (0.25 + 0 + 0.25) / 3 = 1/6
    found = figures(a_group(0.0, 0.5, None, 1.0))
    assert found.pass_rate == pytest.approx(2 / 3) and found.std == pytest.approx((1 / 6) ** 0.5)
    assert figures(a_group(None, None)) == Figures(pass_rate=None, std=None)


@pytest.mark.parametrize(
    ("rate", "std", "rule", "kept"),
    [
        (0.0, 0.0, {}, False),  # not above low
        (0.01, 0.1, {}, True),
        (1.0, 0.0, {}, False),  # not below high
        (1.0, 0.0, {"high": None}, True),
        (0.0, 0.2, {"low": None}, True),
        (0.5, 0.3, {"low": 0.5}, False),
        (0.5, 0.25, {"min_std": 0.25}, True),  # at least
        (0.5, 0.24, {"min_std": 0.25}, False),
        (None, None, {"low": None, "high": None}, False),
    ],
)
def test_what_is_kept(rate, std, rule, kept):
    assert is_kept(Figures(pass_rate=rate, std=std), KeepConfig(**rule)) is kept


def test_promotion_counts_evaluations_above_the_bound_in_a_row():
    rule = PromoteConfig(measure="right", above=0.8, times=2)
    loaded = SimpleNamespace(run=SimpleNamespace(stages=[SimpleNamespace(name="judge")]))
    in_a_row, promoted = 0, []
    for value in (0.9, 0.8, 0.85, 0.9):  # 0.8 lies on the bound
        estimates = {"right": Estimate(value, value, value, 4)}
        found = judge(loaded, 0, rule, Evaluation(step=1, items=(), estimates=estimates), in_a_row)
        in_a_row = found.in_a_row
        promoted.append((in_a_row, found.is_promoted))
    assert promoted == [(1, False), (0, False), (1, False), (2, True)]


# collecting


def test_a_collect_stage_sorts_every_row_once_and_ends_when_none_is_left(policy, tmp_path):
    evaluated = {"data": [{"dataset": "staged_rows"}]}
    summary = run(tmp_path, COLLECT, eval=evaluated).summary
    # the last step of the last stage is the run's, though 5 were planned
    assert [r["step"] for r in records(tmp_path, "eval")] == [0, 2]
    kept = {r["id"]: r for r in collected(tmp_path, "kept")}
    failed = {r["id"]: r["pass_rate"] for r in collected(tmp_path, "failed")}
    assert {n: r["pass_rate"] for n, r in kept.items()} == {"mixed-train": 0.25, "even-train": 0.5}
    assert failed == {"always-train": 1.0, "never-train": 0.0}
    assert kept["mixed-train"]["score"] == [0.0, 1.0, 0.0, 0.0]
    assert kept["mixed-train"]["std"] == pytest.approx(3**0.5 / 4)
    origin = kept["even-train"]["origin"]
    assert origin == {
        "entry": {"dataset": "staged_rows"}, "split": "train", "seed": 0, "index": 3,
    }  # fmt: skip
    # 4 rows, 2 a step: the other 3 of 5 steps have nothing to draw
    assert summary["steps"] == 2 and len(records(tmp_path)) == 2
    assert summary["stages"] == [
        {"name": "filter", "kind": "collect", "steps": 2, "of": 5, "kept": 2, "failed": 2,
         "ended": "every sample was drawn"}
    ]  # fmt: skip
    assert sum(r["kept"] for r in records(tmp_path)) == 1.0  # half of all, in two steps
    assert policy.bias.item() == 0.0
    again = run(
        tmp_path, COLLECT, eval=evaluated
    ).summary  # finished: 2 of 5 steps were all there are
    assert again["seconds_total"] == summary["seconds_total"]


def test_later_stages_draw_what_was_kept_or_failed(policy, tmp_path):
    run(
        tmp_path,
        COLLECT,
        {"name": "easy", "steps": 2, "data": [{"stage": "filter.kept"}]},
        {"name": "hard", "steps": 2, "data": [{"stage": "filter.failed"}]},
    )
    asked = {}
    for path in (tmp_path / "run" / "rollouts").glob("step-*.jsonl"):
        for line in lines(path):
            asked.setdefault(line["stage"], set()).add(line["question"])
    assert asked["easy"] == {"mixed", "even"} and asked["hard"] == {"always", "never"}


def test_right_completions_become_demonstrations_token_by_token(policy, tmp_path, monkeypatch):
    from mmrl.train import loop

    seen, inner = [], loop.rows_of_demonstrations
    monkeypatch.setattr(
        loop, "rows_of_demonstrations", lambda found: [*(seen.extend(found) or ()), *inner(found)]
    )
    rule = {"samples": 4, "form": "demonstrations", "per_sample": 2, "keep": {"high": None}}
    run(
        tmp_path,
        {**COLLECT, "collect": rule},
        {"name": "cold", "kind": "sft", "steps": 2, "data": [{"stage": "filter.kept"}]},
    )
    # always says two different right things, each twice; even and mixed one
    said = [says("yes", t) for t in "abcd"]
    assert sorted(d.text for d in seen) == said
    assert all(d.token_ids == (*map(ord, d.text), END) for d in seen)


def test_nothing_kept_is_an_error_with_the_counts(policy, tmp_path):
    rule = {"samples": 4, "keep": {"low": 0.5, "high": 0.9}}
    words = (
        r'stages\.1\.data\.0\.stage: "filter\.kept" is empty: of 4 samples none was kept '
        r"\(3 had a pass rate of at most 0\.5, 1 had one of at least 0\.9\)\. Widen collect\.keep"
    )
    with pytest.raises(ConfigError, match=words):
        run(
            tmp_path,
            {**COLLECT, "collect": rule},
            {"name": "rl", "steps": 2, "data": [{"stage": "filter.kept"}]},
        )


# promotion


def judging(above: float, **more) -> dict:
    data = [{"dataset": "staged_rows", "split": "own"}]
    rule = {"measure": "right", "above": above, "times": 2, "every": 2, "data": data}
    return {"name": "judge", "steps": 10, "promote": {**rule, **more}}


def test_a_promoted_stage_ends_early_and_the_run_is_shorter(policy, tmp_path):
    evaluated = {"data": [{"dataset": "staged_rows"}], "samples": 4, "best_of": 4}
    # 4 completions: (1/4 + 1 + 0 + 1/2) / 4 = 0.4375 in every evaluation
    last = {"name": "last", "steps": 3, "reset_clock": False}
    schedule = {"lr": 0.1, "schedule": "linear"}
    stages = (judging(0.43), last)
    summary = run(tmp_path, *stages, eval=evaluated, optimizer=schedule).summary
    assert summary["steps"] == 7
    assert summary["stages"][0]["promoted"] and summary["stages"][0]["value"] == 0.4375
    assert [(s["name"], s["steps"], s["of"]) for s in summary["stages"]] == [
        ("judge", 4, 10),
        ("last", 3, 3),
    ]
    found = [(r["step"], r["stage"], r["in_a_row"]) for r in records(tmp_path, "promotion")]
    assert found == [(2, "judge", 1), (4, "judge", 2)]
    # the main evaluation: before the first step and after the last, and nothing else
    assert [r["step"] for r in records(tmp_path, "eval")] == [0, 7]
    assert [r["step"] for r in records(tmp_path, "stage")] == [4, 7]
    # judge: 1 - k/10; last goes on where the run is, whose steps are now 7: 1 - k/7
    rates = [r["learning_rate"] / 0.1 for r in records(tmp_path)]
    assert rates == pytest.approx([1, 0.9, 0.8, 0.7, 3 / 7, 2 / 7, 1 / 7])
    again = run(tmp_path, *stages, eval=evaluated, optimizer=schedule).summary
    assert again["seconds_total"] == summary["seconds_total"]


def test_a_bound_that_is_only_reached_promotes_nobody(policy, tmp_path):
    evaluated = {"samples": 4}
    summary = run(tmp_path, {**judging(0.4375), "steps": 4}, eval=evaluated).summary
    assert summary["stages"] == [
        {"name": "judge", "kind": "rl", "steps": 4, "of": 4, "ended": "", "promoted": False,
         "measure": "right", "above": 0.4375, "value": 0.4375}
    ]  # fmt: skip


def test_an_unknown_measure_of_rows_is_named_at_the_first_evaluation(policy, tmp_path):
    with pytest.raises(ConfigError, match=r'promote\.measure: no measure "iou"; there are accura'):
        run(tmp_path, judging(0.5, measure="iou"))


# what carries over


def sft(name: str, **more) -> dict:
    return {"name": name, "kind": "sft", "steps": 2, **more}


def last_state(tmp_path):
    return Checkpoints(tmp_path / "run" / "checkpoints", keep=2).latest()


def test_weights_carry_over_or_start_as_they_were_loaded(policy, tmp_path):
    still = {"optimizer": {"lr": 0.0}}
    run(tmp_path, sft("a"), sft("b", **still))
    moved = policy.bias.item()
    assert moved > 0.0
    run(tmp_path, sft("a"), sft("b", start="initial", **still), fresh=True)
    assert policy.bias.item() == 0.0


def test_moments_pass_through_a_collect_stage_unless_they_are_reset(policy, tmp_path):
    for reset, updates in ((False, 4), (True, 2)):
        run(tmp_path, sft("a"), COLLECT, sft("b", reset_optimizer=reset), fresh=True)
        assert int(last_state(tmp_path).optimizer["bias|step"]) == updates


def test_the_schedule_runs_over_the_stage_or_over_the_run(policy, tmp_path):
    linear = {"lr": 0.1, "schedule": "linear"}
    for reset, factors in ((True, [1, 0.5, 1, 0.5]), (False, [1, 0.75, 0.5, 0.25])):
        stages = [sft(name, reset_clock=reset) for name in "ab"]
        run(tmp_path, *stages, optimizer=linear, fresh=True)
        assert [r["learning_rate"] / 0.1 for r in records(tmp_path)] == pytest.approx(factors)


def test_the_reference_is_kept_anew_or_carried_through_stages_without_one(policy, tmp_path):
    method = {"name": "grpo", "group_size": 4, "beta": 0.1}
    first = {"name": "first", "steps": 1, "optimizer": {"lr": 0.0}}
    for reference in ("renew", "carry"):
        last = {"name": "last", "steps": 1, "reference": reference}
        run(tmp_path, first, sft("between"), COLLECT, last, method=method, fresh=True)
        kl = records(tmp_path)[-1]["kl"]
        # the policy moved between: it is another than the first stage's reference
        assert kl == 0.0 if reference == "renew" else kl > 1e-4


def test_a_reference_that_no_stage_of_rows_kept_is_not_renewed_in_silence(policy, tmp_path):
    method = {"name": "grpo", "group_size": 4}
    first = {"name": "first", "steps": 1}
    last = {"name": "last", "steps": 1, "reference": "carry", "method": {"beta": 0.1}}
    with pytest.raises(ConfigError, match=r'"last" carries the reference .* say reference: renew'):
        run(tmp_path, first, last, method=method)


def test_companions_pass_through_a_collect_stage(policy, tmp_path):
    method = {"name": "followed", "group_size": 4}
    for start, steps in (("carry", 3), ("initial", 1)):
        last = {"name": "last", "steps": 1, "start": start}
        run(tmp_path, {"name": "rl", "steps": 2}, COLLECT, last, method=method, fresh=True)
        assert last_state(tmp_path).parts["companions.0"]["steps"] == steps


# resume


def test_a_staged_run_that_breaks_at_any_step_goes_on_to_the_same_end(
    policy, tmp_path, monkeypatch
):
    from mmrl.train.observers.files import MetricsFile

    stages = (
        sft("cold"),
        {**COLLECT, "prompts_per_step": 1, "steps": 3, "data": [{"dataset": "staged_rows"}] * 2},
        {**judging(0.43), "data": [{"stage": "filter.kept"}, {"stage": "filter.failed"}]},
        {"name": "last", "steps": 1, "start": "initial"},
    )
    method = {"name": "followed", "group_size": 4, "beta": 0.1}

    def record():
        logged = lines(tmp_path / "run" / "metrics.jsonl")
        logged = [{k: v for k, v in r.items() if not k.startswith("time/")} for r in logged]
        files = (tmp_path / "run").glob("stages/*/*.jsonl")
        return logged, {str(p): p.read_text() for p in files}, policy.bias.item()

    more = {"method": method, "eval": {"samples": 4}}
    run(tmp_path, *stages, **more)
    whole = record()
    assert len(records(tmp_path)) == 2 + 3 + 4 + 1
    inner = {name: getattr(MetricsFile, name) for name in ("on_step", "on_promotion", "on_stage")}
    for name, at in (("on_step", 3), ("on_step", 4), ("on_promotion", 9), ("on_stage", 5)):

        def breaks(self, said, *seconds, name=name, at=at):
            inner[name](self, said, *seconds)
            if getattr(said, "step", None) == at or getattr(said, "clock", said).step == at:
                raise OSError("power cut")

        monkeypatch.setattr(MetricsFile, name, breaks)
        with pytest.raises(OSError, match="power cut"):
            run(tmp_path, *stages, fresh=True, **more)
        monkeypatch.setattr(MetricsFile, name, inner[name])
        run(tmp_path, *stages, **more)
        assert record() == whole, (name, at)


def test_ctrl_c_before_a_promotion_leaves_it_to_the_next_start(policy, tmp_path, monkeypatch):
    import os
    import signal

    from mmrl.train.observers.files import MetricsFile

    more = {"eval": {"samples": 4}}
    run(tmp_path, judging(0.43), **more)
    whole = [{k: v for k, v in r.items() if "time/" not in k} for r in records(tmp_path)]
    promoted = len(records(tmp_path, "promotion"))
    inner = MetricsFile.on_step

    def interrupts(self, report):
        inner(self, report)
        if report.clock.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(MetricsFile, "on_step", interrupts)
    assert run(tmp_path, judging(0.43), fresh=True, **more).interrupted
    assert len(records(tmp_path, "promotion")) == 1  # the one after step 4 is due
    monkeypatch.setattr(MetricsFile, "on_step", inner)
    assert run(tmp_path, judging(0.43), **more).summary["stages"][0]["promoted"]
    assert [{k: v for k, v in r.items() if "time/" not in k} for r in records(tmp_path)] == whole
    assert len(records(tmp_path, "promotion")) == promoted == 2


# the recipe

BASE = {
    "policy": {"model": "none"},
    "method": {"name": "grpo"},
    "data": [{"task": "digit_box"}],
    "eval": {"data": [{"task": "digit_box"}]},
}
FIRST = {"name": "cold", "kind": "sft", "steps": 4}
THIRD = {"name": "rl", "steps": 4, "data": [{"stage": "filter.kept"}]}
RULE = {"measure": "accuracy", "above": 0.8, "times": 2, "every": 2}


@pytest.mark.parametrize(
    ("place", "change", "words"),
    [
        (2, {"data": [{"stage": "filtr.kept"}]}, 'no stage "filtr". Did you mean "filter.kept"'),
        (2, {"data": [{"stage": "filter.kpt"}]}, "wanted NAME.kept or NAME.failed. Did you mean"),
        (2, {"data": [{"stage": "cold.kept"}]}, 'stage "cold" is of kind sft, which keeps no'),
        (0, {"data": [{"stage": "filter.kept"}]}, 'stage "filter" does not come before the one'),
        (1, {"promote": RULE}, "stages.1.promote: a collect stage trains nothing"),
        (1, {"collect": {"keep": {"low": 1.0}}}, "stages.1.collect.keep: no pass rate lies above"),
        (1, {"name": "a/b"}, "a collect stage is also a folder"),
        (1, {"draw": "weighted"}, "stages.1.draw: a collect stage draws every sample once"),
        (0, {"reference": "carry"}, 'stages.0.reference: stage "cold" carries the reference of'),
        (2, {"reference": "carry"}, "none keeps one: give an earlier stage of kind rl a KL term"),
        (0, {"collect": {}}, "stages.0.collect: belongs to kind collect; this is sft"),
        (0, {"promote": {**RULE, "measure": "iuo"}}, 'no measure "iuo". Did you mean "iou"'),
        (0, {"promote": {**RULE, "every": 3}}, "take 6 steps; the stage has 4"),
        (0, {"promote": {**RULE, "data": [{"stage": "filter.kept"}]}}, "evaluation reads no coll"),
    ],
)
def test_what_a_staged_recipe_cannot_say(place, change, words):
    stages = [FIRST, {**COLLECT, "steps": 4}, THIRD]
    check_recipe(load_recipe({**BASE, "stages": stages}))
    stages[place] = {**stages[place], **change}
    with pytest.raises(ConfigError) as error:
        check_recipe(load_recipe({**BASE, "stages": stages}))
    assert words in str(error.value)
