"""`mmrl check` on recipes and data sets: exit codes and what is said."""

import json
from pathlib import Path

import pytest

from mmrl.cli import main
from mmrl.methods.base import METHODS

TINY = Path(__file__).parents[3] / "assets" / "tiny-vlm"


def write_recipe(folder: Path, model: Path = TINY) -> Path:
    path = folder / "r.yaml"
    path.write_text(
        f"policy: {{model: {model}}}\n"
        "data: [{task: digit_box}, {task: digit_box, weight: 2}]\n"
        "eval: {data: [{task: digit_box}]}\n"
    )
    return path


def write_choices(folder: Path, answers: list[str]) -> Path:
    rows = [
        {"id": f"r{i}", "question": "Which? (A) x (B) y", "answer": answer}
        for i, answer in enumerate(answers)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    path = folder / "mine.yaml"
    path.write_text("name: mine\nsource: rows.jsonl\ntask: choice\nlicence: CC0\n")
    return path


def test_a_sound_recipe_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write_recipe(tmp_path)), "--rows", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "data.0 (digit_box, split train)"
    assert lines[2].startswith("  info    digit_box: prompts have ")
    assert lines[3] == "  3 drawn samples looked at, 0 errors"
    assert lines[4] == "eval.data.0 (digit_box, split test)"  # data.1 differs in weight alone
    assert lines[-1] == "all is well"


def test_prompts_over_the_budget_are_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(write_recipe(tmp_path))
    assert main(["check", recipe, "policy.max_prompt_tokens=20", "--rows", "2"]) == 1
    out = capsys.readouterr().out
    assert "20" in out
    assert out.endswith("4 errors\n")


def test_a_missing_model_is_told_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_recipe(tmp_path, tmp_path / "nowhere")
    assert main(["check", str(recipe)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"mmrl: {recipe}:1: policy.model: ")
    assert "no such folder" in err


def test_a_data_set_with_a_bad_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_choices(tmp_path, ["A", "B"])
    assert main(["check", str(good)]) == 0
    assert "2 of 2 rows looked at, 0 errors" in capsys.readouterr().out
    bad = write_choices(tmp_path, ["A", "", "B"])
    assert main(["check", str(bad)]) == 1
    out = capsys.readouterr().out
    assert "rows.jsonl:2" in out
    assert "\nall is well" not in out


def test_overrides_belong_to_recipes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_choices(tmp_path, ["A"])
    assert main(["check", str(path), "seed=1"]) == 2
    assert "is a data set" in capsys.readouterr().err


USER = """
import time

def fails(rollout, sample):
    return 1.0 / len(rollout.text)  # an empty completion divides by zero

def lazy(rollout, sample):
    return 1.0 / (1.0 + len(rollout.text))

def short(rollout, sample):
    return 0.5

def hangs(rollout, sample):
    time.sleep(60)
"""


def test_a_recipes_own_rewards_are_judged_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(USER)
    recipe = tmp_path / "r.yaml"

    def said(*functions: str) -> tuple[int, str]:
        listed = ", ".join(f"{{name: {f}, function: mine.py:{f}, timeout_s: 2}}" for f in functions)
        recipe.write_text(
            f"policy: {{model: {TINY}}}\n"
            "method: {name: dapo}\n"
            "rollout: {max_new_tokens: 48}\n"
            f"rewards: [{{name: box_iou}}, {listed}]\n"
            "data: [{task: digit_box}]\n"
            "eval: {data: []}\n"
        )
        return main(["check", str(recipe), "--rows", "1"]), capsys.readouterr().out

    code, out = said("short")  # neither end of its bounds, as a length reward; overlong is DAPO's
    assert code == 0, out
    code, out = said("short", "lazy")
    assert code == 0
    assert 'of reward "lazy", an empty completion 1' in out and "warning" in out
    code, out = said("fails", "hangs")
    assert code == 1 and out.endswith("3 errors\n")
    assert 'reward "fails" of the empty completion fails: exception: ZeroDivisionError' in out
    assert out.count('reward "hangs" of the ') == 2 and "timeout" in out


ASKS_A_MODEL = """
from dataclasses import dataclass, replace
from mmrl.methods.base import METHODS, register_method
from mmrl.methods.grpo import Grpo
from mmrl.roles import Reward

class Note:
    pass

@dataclass(frozen=True)
class Asks:
    provides = Note

    def __call__(self, groups, models, clock, /):
        return [[Note()] * len(group.rollouts) for group in groups]

def judged(rollout, sample, evidence, clock, /):
    return float(isinstance(evidence[Note], Note))

@register_method
class Asking(Grpo):
    name: str = "asking_for_check"

    def rewards(self, task):
        return (*task.rewards, Reward(name="asked", fn=judged, needs=(Note,)))

    def build(self, task):
        plain = Grpo(group_size=self.group_size, max_length=self.max_length).build(task)
        return replace(plain, rewards=self.rewards(task), probes=(Asks(),))
"""


def test_rewards_that_ask_a_model_are_named_and_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "asks.py").write_text(ASKS_A_MODEL)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"policy: {{model: {TINY}}}\nplugins: [{tmp_path / 'asks.py'}]\n"
        "method: {name: asking_for_check}\ndata: [{task: digit_box}]\neval: {data: []}\n"
    )
    try:
        assert main(["check", str(recipe), "--rows", "1"]) == 0
    finally:
        METHODS._parts.pop("asking_for_check", None)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["not judged here, since they ask a model: asked", "all is well"]
