"""`mmrl show`: lists, recipes with every setting, single names."""

import json
from pathlib import Path

import pytest

from mmrl.cli import main
from mmrl.config.load import load_run
from mmrl.data.registry import DATASETS


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["show", *words]) == 0
    return capsys.readouterr().out


def test_lists_name_what_is_registered(capsys: pytest.CaptureFixture[str]) -> None:
    tasks = {line.split()[0] for line in shown(capsys, "tasks").splitlines()}
    assert {"digit_box", "grounding", "choice"} <= tasks
    rewards = shown(capsys, "rewards")
    assert "format [0, 1] 1 where the parser's verdict" in " ".join(rewards.split())
    methods = shown(capsys, "methods")
    assert "\ndapo " in methods
    assert "arXiv 2503.14476" in methods


def test_a_preset_shows_its_own_default_and_the_inherited_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = shown(capsys, "dapo")
    assert "clip_high: 0.28\n      Ratios above 1 + clip_high are cut" in text
    assert "dynamic_sampling: true\n" in text
    assert "  name:" not in text


def test_a_task_shows_an_example_and_its_gold(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, "digit_box")
    assert "measure    iou in [0, 1]" in text
    assert "options    {others: [" in text
    assert "example    box of the" in text
    assert "gold       <think>" in text


def test_a_recipe_is_shown_whole_and_loads_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("policy: {model: tiny}\n")
    text = shown(capsys, str(recipe), "seed=4")
    assert text.startswith(f"# {recipe}, with every setting\n")
    whole = tmp_path / "whole.yaml"
    whole.write_text(text)
    assert load_run(whole) == load_run(recipe, ["seed=4"])
    assert "prompts_per_step: 16" in text


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(shown(capsys, "schema"))["title"] == "Run"


def test_unknown_name_and_misplaced_override(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "gprpo"]) == 2
    assert 'nothing is called "gprpo". Did you mean "grpo"?' in capsys.readouterr().err
    assert main(["show", "tasks", "a=1"]) == 2
    assert "tasks is not one" in capsys.readouterr().err


def test_datasets_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DATASETS, "_parts", {})  # without what plug-ins of other tests registered
    assert "no data sets here" in shown(capsys, "datasets")
    (tmp_path / "datasets_cfg").mkdir()
    (tmp_path / "datasets_cfg" / "mine.yaml").write_text(
        "name: mine\nsource: rows.jsonl\ntask: choice\nlicence: CC0\n"
    )
    line = shown(capsys, "datasets").splitlines()[1].split()
    assert line == ["mine", "choice", "train", "CC0", str(Path("datasets_cfg/mine.yaml"))]
    assert "licence: CC0" in shown(capsys, "mine")
