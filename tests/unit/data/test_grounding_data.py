"""Grounding data sets: published rows, converted, read by the shipped YAML and checked."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from builders import CLOCK, answered

from mmrl.data.check import check_data
from mmrl.data.load import open_dataset
from mmrl.errors import DataError
from mmrl.rewards.builtin import HIT
from mmrl.rewards.functions import load_user_function
from mmrl.tasks.base import TASKS
from mmrl.types import Sample

ROOT = Path(__file__).parents[3]
ROWS = ROOT / "tests" / "data" / "rows"
NAMES = (
    *("bccd", "bccd_count", "super_clevr", "coco_boxes", "refcoco", "screenspot"),
    *("screenspot_pro", "gui_g1", "temporal_r1", "charades_sta", "activitynet"),
)


@pytest.fixture(autouse=True)
def shipped_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "_loaded", False)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "grounding_rows", ROOT / "datasets_cfg" / "grounding_rows.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped(name: str, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the YAML in a project of its own, and the folder that it reads."""
    (tmp_path / "datasets_cfg").mkdir(exist_ok=True)
    file = tmp_path / "datasets_cfg" / f"{name}.yaml"
    text = (ROOT / "datasets_cfg" / f"{name}.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("expected_rows")]
    file.write_text("\n".join(lines) + "\n")
    source = next(line for line in lines if line.startswith("source:")).split()[1]
    folder = (file.parent / source).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return file, folder


def made(script: ModuleType, name: str, source: Path, folder: Path, *more: str) -> None:
    script.main([name, "--from", str(source), "--to", str(folder), *more])


@pytest.mark.parametrize("name", NAMES)
def test_without_its_data_the_place_is_named(name: str, tmp_path: Path) -> None:
    file, folder = shipped(name, tmp_path)
    folder.rmdir()
    findings = check_data(file, split="test")
    assert [finding.level for finding in findings] == ["error"]
    assert str(folder) in findings[0].message or 'no split "test"' in findings[0].message


def test_bccd(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = shipped("bccd", tmp_path)
    made(script, "bccd", ROWS / "bccd", folder)
    shutil.copytree(ROWS / "bccd" / "images", folder / "images")
    assert "train.jsonl: " in capsys.readouterr().out
    assert [f for f in check_data(file, split="train") if f.level == "error"] == []
    rows = list(open_dataset(file, "train"))
    white = next(row for row in rows if row.id == "BloodImage_00008-WBC")
    assert white.question == "Find every white blood cell." and len(white.target) == 1
    assert white.meta["coord_space"] == "abs_original"
    test = {row.id.partition("-")[0] for row in open_dataset(file, "test")}
    assert test and not test & {row.id.partition("-")[0] for row in rows}
    count, _ = shipped("bccd_count", tmp_path)
    assert [f for f in check_data(count, split="train") if f.level == "error"] == []
    counted = next(r for r in open_dataset(count, "train") if r.id == "BloodImage_00008-WBC")
    assert counted.target == 1 and counted.question == "How many white blood cells are there?"


def test_super_clevr(script: ModuleType, tmp_path: Path) -> None:
    file, folder = shipped("super_clevr", tmp_path)
    made(script, "super_clevr", ROWS / "super_clevr", folder)
    (folder / "images").mkdir()
    shutil.copy(ROWS / "super_clevr" / "superCLEVR_new_000002.jpg", folder / "images")
    assert [f for f in check_data(file, split="test") if f.level == "error"] == []
    rows = list(open_dataset(file, "test"))
    assert len(rows) == 5
    assert (rows[0].question, rows[0].target) == ("Point at the cyan road bike.", [360, 129])
    near = answered("[370, 140]")  # 14.9 pixels away of 640: 0.023 of the longer side
    told = Sample(
        id="x", task="pointing", question="?", target=[360, 129],
        meta={"coord_space": "abs_original", "width": 640, "height": 480},
    )  # fmt: skip
    assert HIT(near, told, {}, CLOCK) == 1.0
    assert HIT(answered("[400, 129]"), told, {}, CLOCK) == 0.0  # 40 / 640


def test_coco(script: ModuleType, tmp_path: Path) -> None:
    file, folder = shipped("coco_boxes", tmp_path)
    made(script, "coco_boxes", ROWS / "coco_boxes.jsonl", folder)
    rows = list(open_dataset(file, "test"))
    assert rows[0].question == "Detect every one of these: donut."
    assert len(rows[0].target) == 10 and rows[0].meta["coord_space"] == "norm_1"
    _gold_is_right(rows)


def test_screenspot(script: ModuleType, tmp_path: Path) -> None:
    file, folder = shipped("screenspot", tmp_path)
    row = {"img_filename": "a.png", "bbox": [10, 20, 30, 40], "instruction": "open it",
           "data_type": "icon", "data_source": "ios"}  # fmt: skip
    rows = tmp_path / "screenspot_mobile_v2.json"
    rows.write_text(json.dumps([row, {**row, "bbox": [1, 2, 0, 4]}]))
    made(script, "screenspot", rows, folder)
    (sample,) = open_dataset(file, "test")  # the flat box is left out
    assert sample.target == [10, 20, 40, 60] and sample.question == "open it"
    assert sample.meta["element"] == "icon"


def test_screenspot_pro_and_the_verdicts_of_a_real_log(script: ModuleType, tmp_path: Path) -> None:
    file, folder = shipped("screenspot_pro", tmp_path)
    made(script, "screenspot", ROWS / "screenspot_pro.jsonl", folder)
    samples = list(open_dataset(file, "test"))
    assert len(samples) == 80
    _gold_is_right(samples)
    logged = [json.loads(line) for line in (ROWS / "screenspot_pro.jsonl").read_text().splitlines()]
    for sample, row in zip(samples, logged, strict=True):
        got = HIT(answered(str(row["pred"])), sample, {}, CLOCK)
        assert got == float(row["correctness"] == "correct"), row


def test_gui_g1(tmp_path: Path) -> None:
    file, folder = shipped("gui_g1", tmp_path)
    shutil.copy(ROWS / "gui_r1.json", folder / "GUI-R1-3K.json")
    (folder / "GUI-R1-3K-Train").mkdir()
    shutil.copy(ROOT / "tests" / "data" / "media" / "1033.jpg", folder / "GUI-R1-3K-Train")
    weigh = load_user_function(f"{ROOT}/recipes/gui_g1/data.py:main")
    weigh(["--from", str(folder / "GUI-R1-3K.json"), "--to", str(folder)])
    assert [f for f in check_data(file, split="train") if f.level == "error"] == []
    (sample,) = open_dataset(file, "train")
    assert sample.meta["rate"] == 1.0 and sample.task == "gui_fast"
    assert sample.target == [1207.68, 1024.9199999999998, 1351.6799999999998, 1080.0]


def test_refcoco(tmp_path: Path) -> None:
    file, folder = shipped("refcoco", tmp_path)
    (folder / "rec_jsons_processed").mkdir()
    row = {"image": "train2014/a.jpg", "problem": "man in black", "solution": [1.5, 2, 30, 40]}
    (folder / "rec_jsons_processed" / "refcoco_val.json").write_text(json.dumps([row]))
    (sample,) = open_dataset(file, "val")
    assert (sample.question, sample.target) == ("man in black", [1.5, 2, 30, 40])
    _gold_is_right([sample])


def test_temporal_rows(script: ModuleType, tmp_path: Path) -> None:
    file, folder = shipped("temporal_r1", tmp_path)
    row = {"video": "a.mp4", "problem": "he sits", "solution": [0.25, 0.5], "video_length": 30.0}
    (folder / "train.json").write_text(json.dumps([row]))
    (sample,) = open_dataset(file, "train")
    assert TASKS.get("temporal").gold(sample).endswith("<answer>[7.5,15.0]</answer>")
    _gold_is_right([sample])

    file, folder = shipped("charades_sta", tmp_path)
    lines = tmp_path / "charades_sta_test.txt"
    lines.write_text("3MSZA 24.3 30.4##person turn a light on.\nAAAAA 5.0 5.0##nothing.\n")
    made(script, "charades_sta", lines, folder)
    (sample,) = open_dataset(file, "test")
    assert sample.target == [24.3, 30.4] and "person turn a light on." in sample.question
    lines.write_text("3MSZA 24.3##person\n")
    with pytest.raises(DataError, match=r"charades_sta_test.txt:1: wanted `VIDEO START END"):
        made(script, "charades_sta", lines, folder)

    file, folder = shipped("activitynet", tmp_path)
    made(script, "activitynet", ROWS / "activitynet.json", folder)
    samples = list(open_dataset(file, "test"))
    assert [s.id for s in samples] == ["v_hDPLy21Yyuk-0"]  # three wakeboardings are no one span
    assert samples[0].target == [21.392480499219968, 76.161]
    _gold_is_right(samples)
    captions = tmp_path / "val_1.json"
    captions.write_text(json.dumps(
        {"v": {"duration": 10.0, "timestamps": [[1, 12.5], [3, 2]], "sentences": ["a", "b"]}}
    ))  # fmt: skip
    made(script, "activitynet", captions, folder)
    (sample,) = open_dataset(file, "test")
    assert sample.target == [1.0, 10.0] and sample.meta["video_length"] == 10.0


def test_a_missing_source_is_named(script: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        made(script, "bccd", tmp_path / "nowhere", tmp_path)
    with pytest.raises(DataError, match="no rows in there"):
        made(script, "bccd", tmp_path, tmp_path)


def _gold_is_right(samples: list[Sample]) -> None:
    for sample in samples:
        task = TASKS.get(sample.task)
        gold = task.gold(sample)
        rollout = answered("")
        object.__setattr__(rollout, "parsed", task.parse(gold))
        assert task.score(rollout, sample) == pytest.approx(1.0), (sample.id, gold)
