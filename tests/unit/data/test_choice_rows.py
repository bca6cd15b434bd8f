"""Choice data sets: their published rows, converted, read by the shipped YAML and checked."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import a_rollout

from mmrl.data.check import check_data
from mmrl.data.load import open_dataset
from mmrl.data.spec import load_spec
from mmrl.media.store import MediaStore
from mmrl.tasks.base import TASKS
from mmrl.tasks.choice_options import options_of, reordered
from mmrl.types import Sample

ROOT = Path(__file__).parents[3]
ROWS = ROOT / "tests" / "data" / "rows"


@pytest.fixture(autouse=True)
def shipped_tasks(monkeypatch):
    monkeypatch.setattr(TASKS, "_loaded", False)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "datasets_cfg" / "choice_rows.py"
    spec = importlib.util.spec_from_file_location("choice_rows", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def convert(script, monkeypatch, capsys):
    def run(name: str, source: Path, to: Path, *more: str) -> str:
        argv = ["choice_rows", name, "--from", str(source), "--to", str(to), *more]
        monkeypatch.setattr(sys, "argv", argv)
        script.main()
        return capsys.readouterr().out

    return run


def configured(name: str, rows: Path, tmp_path: Path) -> Path:
    """The shipped YAML with its source where the test has its rows, and no number of rows."""
    given = load_spec(ROOT / "datasets_cfg" / f"{name}.yaml")
    text = (ROOT / "datasets_cfg" / f"{name}.yaml").read_text()
    text = text.replace(f"source: {given.source}", f"source: {rows}")
    kept = [line for line in text.splitlines() if not line.startswith("expected_rows")]
    path = tmp_path / f"{name}.yaml"
    path.write_text("\n".join(kept))
    return path


def all_of(path: Path, split: str = "train") -> list[Sample]:
    view = open_dataset(path, split)
    assert view.size is not None
    return [view[i] for i in range(view.size)]


def earns_all(sample: Sample) -> bool:
    task = TASKS.get(sample.task)
    return task.score(a_rollout(task.gold(sample)), sample) == 1.0


def moves(sample: Sample) -> bool:
    """Whether the options can be put in another order, and gold follows."""
    size = len(options_of(sample))
    moved = reordered(sample, (*range(1, size), 0))
    return moved is not None and moved.target != sample.target and earns_all(moved)


def test_geometry3k(convert, tmp_path):
    for number in (11, 12):
        folder = tmp_path / "train" / str(number)
        folder.mkdir(parents=True)
        shutil.copy(ROWS / "geometry3k" / f"{number}.json", folder / "data.json")
        shutil.copy(ROWS / "images" / f"geometry3k_{number}.png", folder / "img_diagram.png")
    (tmp_path / "train" / "13").mkdir()
    shutil.copy(ROWS / "geometry3k" / "12.json", tmp_path / "train" / "13" / "data.json")
    out = convert("geometry3k", tmp_path / "train", tmp_path / "to")
    assert out.endswith("2 rows, left out: 1 without a diagram\n")
    path = configured("geometry3k", tmp_path / "to" / "rows.jsonl", tmp_path)
    first, second = all_of(path)
    assert first.target == "D" and options_of(first) == ("30", "40", "60", "80")
    assert first.question.endswith("\nA. 30\nB. 40\nC. 60\nD. 80")
    assert earns_all(first) and moves(first) and moves(second)
    with MediaStore(workers=0) as store:
        assert check_data(path, store=store) == []


def test_math_vision(convert, tmp_path):
    (tmp_path / "images").mkdir()
    for number in (129, 163, 178):
        shutil.copy(ROWS / "images" / f"{number}.jpg", tmp_path / "images")
    shutil.copy(ROWS / "math_vision.jsonl", tmp_path / "test.jsonl")
    out = convert("math_vision", tmp_path, tmp_path / "to")
    assert out.endswith("3 rows, left out: 1 without options or one number\n")
    path = configured("math_vision", tmp_path / "to" / "rows.jsonl", tmp_path)
    by_id = {sample.id: sample for sample in all_of(path)}
    assert by_id["129"].target == "E" and moves(by_id["129"])
    assert by_id["163"].target == "2" and "<image" not in by_id["163"].question
    with MediaStore(workers=0) as store:
        assert check_data(path, store=store) == []


def test_k12(convert, tmp_path):
    shutil.copy(ROWS / "k12.json", tmp_path / "k12.json")
    rows = json.loads((ROWS / "k12.json").read_text())
    name = Path(rows[0]["image_path"]).name
    (tmp_path / "images").mkdir()
    shutil.copy(ROWS / "images" / f"k12_{name}", tmp_path / "images" / name)
    out = convert("k12", tmp_path / "k12.json", tmp_path / "to")
    assert out.endswith("1 rows, left out: 1 without one number as answer\n")
    path = configured("k12", tmp_path / "to" / "rows.jsonl", tmp_path)
    (sample,) = all_of(path)
    assert sample.target == "50" and sample.task == "number"
    with MediaStore(workers=0) as store:
        assert check_data(path, store=store) == []


def test_mmmu_pro(convert, tmp_path):
    rows = [json.loads(line) for line in (ROWS / "mmmu_pro.jsonl").read_text().splitlines()]
    picture = {"bytes": (ROWS / "images" / "geometry3k_11.png").read_bytes(), "path": None}
    for i, row in enumerate(rows):
        row |= {f"image_{n}": picture if n <= i + 1 else None for n in range(1, 8)}
    bad = {**rows[0], "id": "test_Bad_1", "answer": "K"}
    (tmp_path / "standard").mkdir()
    pq.write_table(pa.Table.from_pylist([*rows, bad]), tmp_path / "standard" / "test-0.parquet")
    out = convert("mmmu_pro", tmp_path / "standard", tmp_path / "to")
    assert out.endswith("3 rows, left out: 1 without a letter among the options\n")
    path = configured("mmmu_pro", tmp_path / "to", tmp_path)
    first, second, third = all_of(path, "test")
    assert first.target == "J" and len(options_of(first)) == 10 and moves(first)
    assert "in the image 1 is best" in first.question
    assert options_of(second)[0] == "image 3" and moves(second)
    assert [len(s.media) for s in (first, second, third)] == [1, 2, 3]
    with MediaStore(workers=0) as store:
        assert check_data(path, split="test", store=store) == []


def test_seed_bench_r1_in_the_form_of_its_training_and_its_levels(convert, tmp_path):
    asked = {"question": "what next?", "video_source": "x", "video_basename": "c.mp4"}
    seen = {"current_observation_basename": "o.png", "task_progress_metadata": [{"a": 1}]}
    trained = {
        **asked,
        **seen,
        "answer": "open",
        "negative_answers": ["cut", "stir", "cut", "wash"],
    }
    rows = [
        {"sample_id": 7, **trained},
        {"sample_id": 8, **trained, "task_progress_metadata": []},
        {"sample_id": 9, **trained, "negative_answers": ["cut", "open", "cut"]},
        {"sample_id": 10, **trained, "current_observation_basename": "lost.png"},
    ]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "videos" / "flat").mkdir(parents=True)
    shutil.copy(ROWS / "images" / "geometry3k_11.png", tmp_path / "images" / "o.png")
    (tmp_path / "videos" / "flat" / "c.mp4").write_bytes(b"clip")
    source = tmp_path / "annotations" / "train.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = convert("seed_bench_r1", source, tmp_path / "to", "--name", "train.jsonl")
    assert "2 rows, left out: 1 without four options; 1 without their picture or clip" in out
    given = {f"choice_{letter}": letter * 3 for letter in "abcd"}
    level = {"sample_id": "L1_0", **asked, **seen, **given, "golden_choice_idx": "c"}
    (tmp_path / "annotations" / "l1.jsonl").write_text(json.dumps(level) + "\n")
    source_1 = tmp_path / "annotations" / "l1.jsonl"
    convert("seed_bench_r1", source_1, tmp_path / "to", "--name", "level1.jsonl")
    path = configured("seed_bench_r1", tmp_path / "to", tmp_path)
    first, second = all_of(path)
    assert sorted(options_of(first)) == ["cut", "open", "stir", "wash"]
    for sample in (first, second):
        assert options_of(sample)["ABCD".index(sample.target)] == "open"
        assert len(set(options_of(sample))) == 4 and moves(sample)
    assert [m.kind for m in first.media] == ["video", "image"]  # what was done, what is seen
    assert [m.kind for m in second.media] == ["image"]
    (third,) = all_of(path, "level1")
    assert third.target == "C" and options_of(third) == ("aaa", "bbb", "ccc", "ddd")
    again = convert("seed_bench_r1", source, tmp_path / "two", "--name", "train.jsonl")
    assert "2 rows" in again
    assert (tmp_path / "two/train.jsonl").read_text() == (tmp_path / "to/train.jsonl").read_text()


def test_nextgqa_choices_on_real_rows(tmp_path):
    shutil.copy(ROWS / "nextgqa.json", tmp_path / "nextgqa_val_mixed.json")
    path = configured("nextgqa_choices", tmp_path / "nextgqa_val_mixed.json", tmp_path)
    samples = all_of(path, "test")
    assert len(samples) == 4 and samples[0].target == "B,C"
    assert options_of(samples[0]) == ("unwrap it", "playing with toy train", "gesture something")
    assert all(earns_all(s) and moves(s) for s in samples)
    assert samples[0].media[0].path == tmp_path / "NExTQA/videos/4882821564.mp4"


def test_video_r1_rows_with_options(tmp_path):
    path = configured("video_r1", ROWS / "video_r1_choices.json", tmp_path)
    samples = all_of(path)
    assert len(samples) == 3 and samples[0].target == "A"
    assert options_of(samples[0]) == ("10.0", "5.0", "12.0", "15.0", "20.0")
    assert all(earns_all(s) and moves(s) and s.media[0].kind == "video" for s in samples)


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        ("$$50$$", "50"),
        ("$$\\number{29}$$", "29"),
        ("12.", "12"),
        ("30°", "30"),
        ("$30^{\\circ}$", "30"),
        ("-2.5", "-2.5"),
        ("1,000", "1000"),
        ("$\\frac{7}{2}$", None),
        ("$\\frac{\\pi}{4}$", None),
        ("$\\sqrt{5}$", None),
        ("$3\\sqrt{2}$", None),
        ("(15,0)", None),
        ("(7, 3)", None),
        ("1:3:2", None),
        ("x > 1", None),
        ("2n+1.", None),
        ("", None),
    ],
)
def test_answers_that_are_one_number(script, answer, want):
    assert script.plain_number(answer) == want


def test_a_missing_column_or_file_ends_in_words(convert, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.jsonl").write_text('{"id": 1, "text": "q"}\n')
    with pytest.raises(SystemExit, match=r"a\.jsonl:1: no column 'question'; there are id, text"):
        convert("math_vision", tmp_path / "x", tmp_path / "to")
    with pytest.raises(SystemExit, match="no such file or folder"):
        convert("k12", tmp_path / "none.json", tmp_path / "to")
    with pytest.raises(SystemExit, match="no rows; is this the folder"):
        convert("geometry3k", tmp_path / "x", tmp_path / "to")
    with pytest.raises(SystemExit, match=r"no \.parquet here"):
        convert("mmmu_pro", tmp_path / "x", tmp_path / "to")
