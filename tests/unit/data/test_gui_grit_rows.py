"""Rows of GUI-G1 and GRIT in their published forms, converted offline."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from mmrl.config.load import load_recipe
from mmrl.data.check import check_data
from mmrl.data.load import open_dataset
from mmrl.rewards.functions import load_user_function
from mmrl.tasks.base import TASKS
from mmrl.train.recipe import stage_spec, stages_of

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def shipped_tasks(monkeypatch):
    monkeypatch.setattr(TASKS, "_loaded", False)


def recipe_function(paper, name):
    return load_user_function(f"{ROOT / 'recipes' / paper / 'data.py'}:{name}")


def screens(*boxes):
    return [{"image": "a.png", "problem": "click it", "solution": box} for box in boxes]


SIZES = {"a.png": (200, 100)}


def test_gui_rows_weigh_by_the_size_of_their_boxes():
    left_out = Counter()
    rows = screens([0, 0, 100, 40], [0, 0, 20, 10], [0, 0, 40, 20])  # shares 0.2, 0.01, 0.04
    made = recipe_function("gui_g1", "converted")(rows, SIZES, "inverse", left_out)
    # 1/λ: 5, 100, 25 -> 0.5 + 0, 1, 20/95
    assert [row["rate"] for row in made] == pytest.approx([0.5, 1.5, 0.5 + 20 / 95])
    assert made[1]["solution"] == [0.0, 0.0, 20.0, 10.0] and not left_out


def test_gui_rows_by_logarithm_or_rank():
    convert = recipe_function("gui_g1", "converted")
    rows = screens([0, 0, 100, 40], [0, 0, 20, 10], [0, 0, 40, 20], [5, 5, 45, 25])
    by_log = [row["rate"] for row in convert(rows, SIZES, "log", Counter())]
    middle = 0.5 + math.log(5) / math.log(20)
    assert by_log == pytest.approx([0.5, 1.5, middle, middle])
    by_rank = [row["rate"] for row in convert(rows, SIZES, "rank", Counter())]
    assert by_rank == [0.5, 1.5, 1.0, 1.0]
    alike = screens([0, 0, 20, 10], [20, 20, 40, 30])
    for scale in ("inverse", "log", "rank"):
        assert [r["rate"] for r in convert(alike, SIZES, scale, Counter())] == [1.0, 1.0]


def test_gui_rows_that_cannot_be_used_are_counted():
    left_out = Counter()
    rows = screens([0, 0, 10, 10], [10, 10, 5, 5], [0, 0, 201, 10], [-1, 0, 9, 9], [1, 2, 3], None)
    rows.append({"image": "b.png", "problem": "?", "solution": [0, 0, 1, 1]})
    made = recipe_function("gui_g1", "converted")(rows, SIZES, "inverse", left_out)
    assert len(made) == 1 and made[0]["rate"] == 1.0
    assert left_out == {
        "box without area or outside of its picture": 3,
        "no box of four numbers": 2,
        "no picture": 1,
    }


def test_gui_rows_without_pictures_end_with_words(tmp_path):
    (tmp_path / "rows.jsonl").write_text(json.dumps(screens([0, 0, 10, 10])[0]) + "\n")
    main = recipe_function("gui_g1", "main")
    with pytest.raises(SystemExit, match=r"no row can be used \(1 no picture\)"):
        main(["--from", str(tmp_path / "rows.jsonl"), "--to", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="no such file; clone"):
        main(["--from", str(tmp_path / "none.json"), "--to", str(tmp_path / "out")])


TALLY = {
    "question": "How many chairs are there?",
    "answer": "2",
    "image": "1.jpg",
    "width": 64,
    "height": 48,
    "bboxs": [[1.0, 2.0, 20.0, 30.0], [30.5, 4.0, 60.0, 40.0]],
    "dataset": "tallyqa",
    "split": "train",
}
VSR = {
    "question": "What is across from the truck?",
    "answer": "tv",
    "image": "2.jpg",
    "width": 64,
    "height": 48,
    "bboxs": [[5.0, 6.0, 50.0, 40.0]],
    "dataset": "vsr",
    "split": "train",
}


def published(folder, **rows):
    folder.mkdir()
    for name in ("tallyqa_train_10", "tallyqa_val", "vsr_cot_train_10", "vsr_val"):
        lines = rows.get(name) or [TALLY if name.startswith("tally") else VSR]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return folder


def test_grit_rows_are_read_as_published(tmp_path, capsys):
    (tmp_path / "datasets_cfg").mkdir()
    for name in ("grit_tallyqa", "grit_vsr"):
        text = (ROOT / "datasets_cfg" / f"{name}.yaml").read_text()
        (tmp_path / "datasets_cfg" / f"{name}.yaml").write_text(text)
    to = tmp_path / "data" / "grit"
    source = published(tmp_path / "GRIT_data", tallyqa_val=[{**TALLY, "answer": "many"}, TALLY])
    recipe_function("grit", "main")(["--from", str(source), "--to", str(to)])
    assert "tallyqa_test.jsonl: 1 rows, left out: 1 answers that are no count" in (
        capsys.readouterr().out
    )
    for kind, name in (("tallyqa", "1.jpg"), ("vsr", "2.jpg")):
        (to / kind).mkdir()
        Image.new("RGB", (64, 48)).save(to / kind / name)
    for kind, split in (("tallyqa", "train"), ("tallyqa", "test"), ("vsr", "train")):
        file = tmp_path / "datasets_cfg" / f"grit_{kind}.yaml"
        assert [f for f in check_data(file, split=split) if f.level == "error"] == []
    (sample,) = open_dataset(tmp_path / "datasets_cfg" / "grit_tallyqa.yaml", "train")
    assert (sample.task, sample.target) == ("boxed_count", 2)
    assert [list(box) for box in sample.meta["boxes"]] == TALLY["bboxs"]
    assert TASKS.get("boxed_count").gold(sample).startswith("<think>[1, 2, 20, 30] [30.5, 4, ")
    (sample,) = open_dataset(tmp_path / "datasets_cfg" / "grit_vsr.yaml", "train")
    assert sample.target == "tv" and "bounding box" in TASKS.get(sample.task).template


def test_grit_boxes_without_area_are_left_out():
    left_out = Counter()
    row = {**TALLY, "bboxs": [[9, 9, 3, 3], [1, 2, 3], [0, 0, 5, 5]], "answer": 3.0}
    (made,) = recipe_function("grit", "converted")([row], "tallyqa", left_out)
    assert made["boxes"] == [[0.0, 0.0, 5.0, 5.0]] and made["answer"] == 3
    assert made["image"] == "tallyqa/1.jpg" and left_out == {"boxes without area": 2}


def test_grit_says_which_file_is_missing(tmp_path):
    source = published(tmp_path / "GRIT_data")
    (source / "vsr_val.jsonl").unlink()
    with pytest.raises(SystemExit, match=r"vsr_val\.jsonl: no such file; there are tallyqa_train"):
        recipe_function("grit", "main")(["--from", str(source), "--to", str(tmp_path / "out")])


@pytest.mark.parametrize("paper", ["gui_g1", "grit"])
def test_the_full_recipe_spells_out_the_papers_method(paper):
    loaded = load_recipe(ROOT / "recipes" / paper / "full.yaml")
    defaults = type(stage_spec(loaded, stages_of(loaded.run)[-1]))().model_dump()
    said = loaded.run.method
    differ = {k for k, v in said.items() if v != defaults[k]} - {"max_length"}
    assert differ == set(), "a default of the method file is the paper's: full.yaml repeats it"
