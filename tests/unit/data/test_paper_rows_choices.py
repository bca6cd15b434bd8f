"""What recipes/care/data.py and recipes/acre/data.py make of rows of the published form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrl.data.load import open_dataset
from mmrl.data.spec import load_spec
from mmrl.errors import DataError
from mmrl.rewards.functions import module_of_file
from mmrl.tasks.base import TASKS
from mmrl.tasks.choice_options import options_of

ROOT = Path(__file__).parents[3]
acre = module_of_file(ROOT / "recipes" / "acre" / "data.py")
care = module_of_file(ROOT / "recipes" / "care" / "data.py")


@pytest.fixture(autouse=True)
def shipped_tasks(monkeypatch):
    monkeypatch.setattr(TASKS, "_loaded", False)


def a_row(number: int, source: str = "NeXT-QA", **changes):
    return {
        "problem_id": number,
        "problem": "what is done?",
        "data_type": "video",
        "problem_type": "multiple choice",
        "options": ["A. cut", "B. stir"],
        "solution": "<answer>B</answer>",
        "path": f"./NeXT-QA/{number}.mp4",
        "data_source": source,
        **changes,
    }


def test_only_questions_with_options_and_one_of_their_letters_are_kept():
    rows = [
        a_row(1),
        a_row(2, problem_type="numerical", options=[], solution="<answer>3</answer>"),
        a_row(3, options=["A. cut"]),
        a_row(4, solution="<answer>C</answer>"),
        a_row(5, options=None),
    ]
    assert [row["problem_id"] for row in acre.with_options(rows)] == [1]
    with pytest.raises(DataError, match="row 1: no options; there are problem_id, problem"):
        acre.with_options([a_row(1), {k: v for k, v in a_row(2).items() if k != "options"}])


def test_acre_takes_clips_and_pictures_of_mathematics():
    picture = {"data_type": "image"}
    rows = {
        "clip": a_row(1),
        "mathematics": a_row(2, path="./Math/GEOS/2.png", **picture),
        "from the root": a_row(3, path="/Math/GEOS/3.png", **picture),
        "chart": a_row(4, path="./Chart/Math/4.png", **picture),
        "knowledge": a_row(5, path="./Knowledge/5.png", **picture),
        "text": a_row(6, path="", data_type="text"),
    }
    kept = [name for name, row in rows.items() if acre.of_the_paper(row)]
    assert kept == ["clip", "mathematics", "from the root"]


def test_rows_are_drawn_in_turn_from_the_sources():
    rows = [a_row(i, "many") for i in range(50)] + [a_row(100 + i, "few") for i in range(3)]
    taken = acre.drawn(rows, 10)
    assert [row["data_source"] for row in taken[:6]] == ["few", "many"] * 3
    assert [row["data_source"] for row in taken[6:]] == ["many"] * 4
    assert len({row["problem_id"] for row in taken}) == 10
    assert acre.drawn(rows, 10) == taken != acre.drawn(rows, 10, seed=1)
    assert len(acre.drawn(rows, 99)) == 53


def test_acre_rows_are_read_by_the_shipped_yaml(tmp_path, capsys):
    rows = tmp_path / "Video-R1-260k.json"
    chart = a_row(4, data_type="image", path="./Chart/4.png")
    rows.write_text(json.dumps([a_row(1), a_row(2, problem_type="OCR"), a_row(3), chart]))
    acre.main(["--rows", str(rows)])
    said = capsys.readouterr().out
    assert "2 of 2 questions with options on clips and mathematics (1 on other pictures)" in said
    given = (ROOT / "datasets_cfg" / "acre.yaml").read_text()
    shipped = load_spec(ROOT / "datasets_cfg" / "acre.yaml")
    assert shipped.expected_rows == {"train": acre.NUMBER}
    kept = [x for x in given.splitlines() if not x.startswith("expected_rows")]
    path = tmp_path / "acre.yaml"
    path.write_text("\n".join(kept).replace(shipped.source, "acre.json"))
    data = open_dataset(path)
    sample = data[0]
    assert options_of(sample) == ("cut", "stir") and sample.target == "B" and data.size == 2
    with pytest.raises(SystemExit, match="no such file; `hf download"):
        acre.main(["--rows", str(tmp_path / "none.json")])


def a_folder(folder: Path, *, media: bool = True) -> Path:
    (folder / "annotations").mkdir(parents=True)
    (folder / "videos").mkdir()
    if media:
        (folder / "videos" / "c.mp4").write_bytes(b"clip")
        (folder / "videos" / "o.png").write_bytes(b"picture")
    asked = {"question": "what next?", "video_source": "x", "video_basename": "c.mp4"}
    seen = {"current_observation_basename": "o.png", "task_progress_metadata": [{"a": 1}]}
    train = {**asked, **seen, "answer": "open", "negative_answers": ["cut", "stir", "wash"]}
    given = {f"choice_{letter}": letter * 3 for letter in "abcd"}
    level = {**asked, **seen, **given, "golden_choice_idx": "c"}
    files = {"training_6k": train, **{f"validation_L{n}": level for n in (1, 2, 3)}}
    for name, row in files.items():
        text = json.dumps({"sample_id": name, **row}) + "\n"
        (folder / "annotations" / f"{name}.jsonl").write_text(text)
    return folder


def test_seed_bench_r1_becomes_its_training_rows_and_three_levels(tmp_path, capsys):
    source, to = a_folder(tmp_path / "SEED-Bench-R1"), tmp_path / "to"
    care.main(["--from", str(source), "--to", str(to)])
    assert capsys.readouterr().out.count("1 rows") == 4
    given = (ROOT / "datasets_cfg" / "seed_bench_r1.yaml").read_text()
    shipped = load_spec(ROOT / "datasets_cfg" / "seed_bench_r1.yaml")
    kept = [x for x in given.splitlines() if not x.startswith("expected_rows")]
    path = tmp_path / "seed.yaml"
    path.write_text("\n".join(kept).replace(shipped.source, "to"))
    for split in ("train", "level1", "level2", "level3"):
        (sample,) = (open_dataset(path, split)[i] for i in range(1))
        assert options_of(sample)["ABCD".index(sample.target)] in ("open", "ccc")
        assert [m.kind for m in sample.media] == ["video", "image"]
        (message,) = TASKS.get(sample.task).messages(sample)
        assert [part["type"] for part in message["content"]] == ["video", "image", "text"]
        assert "inside <think>" in message["content"][-1]["text"]


def test_what_is_missing_is_said_in_words(tmp_path, monkeypatch):
    bare = a_folder(tmp_path / "bare", media=False)
    with pytest.raises(SystemExit, match="unpack the archives there"):
        care.main(["--from", str(bare), "--to", str(tmp_path / "to")])
    (bare / "annotations" / "training_6k.jsonl").unlink()
    with pytest.raises(SystemExit, match=r"training_6k.jsonl: no such file; there are valid"):
        care.main(["--from", str(bare), "--to", str(tmp_path / "to")])

    def no_network(*given, **named):
        raise OSError("no route to host")

    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub, "snapshot_download", no_network)
    with pytest.raises(SystemExit, match=r"could not be downloaded .no route to host.*copy it"):
        care.main(["--from", str(tmp_path / "none"), "--to", str(tmp_path / "to")])
