"""What stands beside the recipes temporal_r1 and t_grpo: their data, measures and mechanisms."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mmrl.config.load import load_recipe
from mmrl.data.registry import open_data
from mmrl.errors import DataError
from mmrl.eval.replicate import Trained
from mmrl.eval.replicate.claims import open_paper
from mmrl.eval.run import Evaluation, Item
from mmrl.rewards.functions import module_of_file
from mmrl.tasks.base import TASKS
from mmrl.train.recipe import stage_spec, stages_of

ROOT = Path(__file__).parents[2]


def beside(paper: str, name: str) -> ModuleType:
    return module_of_file(ROOT / "recipes" / paper / f"{name}.py")


SPAN_ROWS = [
    {"video": "a/3MSZA.mp4", "problem": "<video>he sits", "solution": [0.25, 0.5],
     "video_length": 30.0, "dataset": "charades"},
    {"video": "b.mp4", "problem": "she runs", "solution": [0.5, 0.5], "video_length": 30.0},
    {"video": "c.mp4", "problem": "it rains", "solution": [0.5, 1.2], "video_length": 30.0},
    {"video": "d.mp4", "problem": "it rains", "solution": [0.5, 1.0], "video_length": 0},
]  # fmt: skip


def test_spans_of_shares_are_kept_where_they_last_inside_of_the_clip():
    rows, left_out = beside("temporal_r1", "data").converted(SPAN_ROWS)
    assert rows == [
        {
            "id": "3MSZA-0",
            "video": "a/3MSZA.mp4",
            "problem": "he sits",
            "solution": [0.25, 0.5],
            "video_length": 30.0,
            "dataset": "charades",
        }
    ]
    assert left_out == {
        "the span does not last": 1,
        "the span leaves the clip": 1,
        "no length": 1,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solution": None}, "rows:0: no solution; there are video, problem"),
        ({"solution": "0.25"}, r"rows:0: solution '0.25' of 30.0 should be two shares"),
        ({"video_length": "long"}, "rows:0: .*a length in seconds"),
    ],
)
def test_a_row_of_another_form_is_named(change, message):
    with pytest.raises(DataError, match=message):
        beside("temporal_r1", "data").converted([{**SPAN_ROWS[0], **change}])


def test_the_script_writes_what_the_data_set_file_reads(tmp_path):
    source = tmp_path / "published.json"
    source.write_text(json.dumps(SPAN_ROWS))
    folder = tmp_path / "data" / "temporal_r1"
    script = ROOT / "recipes" / "temporal_r1" / "data.py"
    line = [sys.executable, str(script), "--from", str(source), "--to", str(folder)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    made = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert made.returncode == 0, made.stderr
    assert "1 rows; left out:" in made.stdout
    (tmp_path / "datasets_cfg").mkdir()
    cfg = tmp_path / "datasets_cfg" / "temporal_r1.yaml"
    cfg.write_text((ROOT / "datasets_cfg" / "temporal_r1.yaml").read_text())
    (folder / "videos" / "a").mkdir(parents=True)
    (folder / "videos" / "a" / "3MSZA.mp4").write_bytes(b"")
    view = open_data({"cfg": str(cfg)}, "train")
    assert view.size == 1 and view[0].question == "he sits"
    assert TASKS.get("temporal").gold(view[0]).endswith("<answer>[7.5,15.0]</answer>")


def a_row(kind: str, answer: str, **more: object) -> dict[str, object]:
    return {"problem_id": 1, "problem": "?", "problem_type": kind, "data_type": "video",
            "path": "./a.mp4", "options": [], "solution": f"<answer>{answer}</answer>",
            **more}  # fmt: skip


def test_rows_that_their_kind_can_judge_are_kept():
    rows = [
        a_row("multiple choice", "B"),
        a_row("numerical", "42"),
        a_row("regression", "0"),
        a_row("free-form", "a red car"),
        a_row("OCR", "STOP"),
        a_row("numerical", "many"),
        a_row("multiple choice", "the left one"),
        a_row("essay", "A"),
        {**a_row("OCR", ""), "solution": "STOP"},
    ]
    kept, left_out = beside("t_grpo", "data").judged(rows)
    assert kept == rows[:5]
    assert left_out == {
        "numerical: the answer is none": 1,
        "multiple choice: the answer is none": 1,
        "essay: the answer is none": 1,
        "OCR: the answer is none": 1,
    }


def test_a_completion_is_one_reasoning_and_one_answer():
    rows = [
        a_row("numerical", "2", process="<think>one and one</think>"),
        a_row("numerical", "2", process="one and one"),
        a_row("numerical", "2", process="<think>a</think><think>b</think>"),
    ]
    kept, left_out = beside("t_grpo", "data").completed(rows)
    assert [r["completion"] for r in kept] == ["<think>one and one</think><answer>2</answer>"]
    assert left_out == {"no_reasoning": 1, "repeated_tag": 1}


def test_the_benchmarks_of_the_paper_are_read_in_its_row_form(tmp_path):
    """What full.yaml evaluates on; the rows are real ones of MMVU in that form."""
    (tmp_path / "datasets_cfg").mkdir()
    (tmp_path / "data" / "video_r1_eval").mkdir(parents=True)
    for place, source in (
        ("datasets_cfg/video_r1_eval.yaml", "datasets_cfg/video_r1_eval.yaml"),
        ("data/video_r1_eval/eval_mmvu.json", "tests/data/rows/video_r1_choices.json"),
    ):
        (tmp_path / place).write_text((ROOT / source).read_text())
    view = open_data({"cfg": str(tmp_path / "datasets_cfg/video_r1_eval.yaml")}, "mmvu")
    assert (view.size, view[0].target, view[0].media[0].kind) == (3, "A", "video")
    loaded = load_recipe(ROOT / "recipes" / "t_grpo" / "full.yaml")
    assert [(e.cfg, e.split) for e in loaded.run.eval.data] == [
        ("datasets_cfg/video_r1_eval.yaml", "vsibench")
    ]


def trained(folder: Path, **values: dict[str, float]) -> Trained:
    evaluations = {
        name: Evaluation(
            step=0,
            items=tuple(
                Item(id=i, task="clip_order", values={"right": v}, texts=())
                for i, v in given.items()
            ),
        )
        for name, given in values.items()
    }
    return Trained(arm="a", seed=0, folder=folder, model=folder, evaluations=evaluations)


def test_the_gap_is_of_the_same_clips(tmp_path):
    ordered, shuffled = {"a": 1.0, "b": 0.5, "c": 0.0}, {"a": 0.25, "b": 0.75}
    found = trained(tmp_path, ordered=ordered, shuffled=shuffled)
    assert beside("t_grpo", "measures").gap(found) == pytest.approx((0.75 - 0.25) / 2)


def test_flat_groups_are_counted_in_the_stage_that_trains(tmp_path):
    lines = [
        {"kind": "step", "stage": "filter", "zero_spread": 0.9},
        {"kind": "eval", "step": 1, "iou": 0.5},
        {"kind": "step", "stage": "rl", "zero_spread": 0.25},
        {"kind": "step", "stage": "rl", "zero_spread": 0.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    assert beside("temporal_r1", "measures").flat_groups(trained(tmp_path)) == 0.125


def test_the_first_pass_is_seven_steps_of_the_stage_that_trains(tmp_path):
    shares = [0.5, 0.25, 0.0, 0.0, 0.0, 0.5, 0.5, 1.0, 1.0]
    lines = [{"kind": "step", "stage": "filter", "zero_spread": 0.9}] * 16
    lines += [{"kind": "step", "stage": "rl", "zero_spread": share} for share in shares]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    measures = beside("temporal_r1", "measures")
    assert measures.flat_groups_first(trained(tmp_path)) == 1.75 / 7
    assert measures.flat_groups(trained(tmp_path)) == 3.75 / 9


def test_mechanisms_are_functions_of_the_seed_alone():
    flat, t_grpo = beside("temporal_r1", "mechanism").flat_share, beside("t_grpo", "mechanism")
    paid, tilt = t_grpo.paid, t_grpo.tilt
    for function in (flat, paid, tilt):
        assert function(3) == function(3) != function(4)
    assert flat(3)["dual"] < 0.05 < 0.3 < flat(3)["option_alone"]
    assert paid(3)["order_helps"] > 0.25 > 0.15 > paid(3)["order_hurts"]
    on, off, std = (tilt(3)[name] for name in ("t_grpo", "grpo", "t_grpo_std"))
    assert on > 1.1 * off and std == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("paper", ["temporal_r1", "t_grpo"])
def test_tiny_and_full_are_of_the_paper_and_the_claims_name_its_arms(paper):
    for size in ("tiny", "full"):
        loaded = load_recipe(ROOT / "recipes" / paper / f"{size}.yaml")
        for stage in stages_of(loaded.run):
            if stage.kind == "rl":
                assert stage_spec(loaded, stage).name == paper
    opened = open_paper(ROOT / "recipes" / paper)
    assert any(arm.blank for arm in opened.arms.values())
    assert {"sees"} <= {claim.name for claim in opened.trained_claims}


def test_grpo_is_t_grpo_without_its_bonus():
    """The same assembly as method grpo with those rewards."""
    opened = open_paper(ROOT / "recipes" / "t_grpo")
    loaded = load_recipe(opened.recipe, dict(opened.arms["grpo"].overrides))
    (stage,) = stages_of(loaded.run)
    spec = stage_spec(loaded, stage)
    method = spec.build(TASKS.get("clip_order"))
    assert spec.group_size == 8
    assert method.plan is None and method.probes == () and method.bonuses == ()
    assert [t.name for t in method.terms] == ["policy"]
    assert {r.name: r.weight for r in method.rewards} == {"choice": 1.0, "format": 1.0}
