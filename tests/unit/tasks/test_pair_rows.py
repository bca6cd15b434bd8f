"""Preference rows: real ones converted, read, checked and turned; orders shuffled by their ids."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from mmrl.config.yaml import load_yaml
from mmrl.data.check import check_data
from mmrl.data.load import open_dataset
from mmrl.data.spec import parse_spec
from mmrl.media.store import MediaStore
from mmrl.tasks.base import TASKS
from mmrl.tasks.swap import swapped

ROOT = Path(__file__).parents[3]
ROWS = ROOT / "tests" / "data" / "rows" / "pairs"
SCRIPT = ROOT / "datasets_cfg" / "pair_rows.py"
_spec = importlib.util.spec_from_file_location("pair_rows", SCRIPT)
assert _spec is not None and _spec.loader is not None
pair_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pair_rows)


@pytest.fixture(scope="module")
def store():
    with MediaStore(workers=1) as made:
        yield made


def converted(name: str, folder: Path, source: Path | None = None) -> Path:
    """`pairs.jsonl` made by the script as a user runs it."""
    command = [
        sys.executable,
        SCRIPT,
        name,
        "--from",
        source or ROWS / f"{name}.json",
        "--to",
        folder,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "pairs.jsonl"


def spec_of(name: str, folder: Path, **changes):
    """The shipped YAML, read as if it lay beside `folder`'s data."""
    values, _ = load_yaml(ROOT / "datasets_cfg" / f"{name}.yaml")
    (folder / "cfg").mkdir(exist_ok=True)
    return parse_spec({**values, **changes}, folder / "cfg" / f"{name}.yaml")


def a_picture(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (32, 32), (shade, 0, 0)).save(path)


def test_answers_of_vl_rewardbench(tmp_path, store):
    folder = tmp_path / "data" / "vl_rewardbench"
    converted("vl_rewardbench", folder)
    real = {r["id"]: r for r in json.loads((ROWS / "vl_rewardbench.json").read_text())}
    for row in real.values():
        a_picture(folder / row["image"])
    spec = spec_of("vl_rewardbench", tmp_path)
    assert check_data(spec, split="test", store=store) == []
    samples = list(open_dataset(spec, "test"))
    assert [s.id for s in samples] == list(real)
    for sample in samples:
        row = real[sample.id]
        best = row["response"][row["human_ranking"].index(0)].strip()
        assert sample.meta["answers"]["AB".index(sample.target)] == best
        assert sample.question.startswith(row["query"].strip() + "\n")
        assert sample.question.endswith(
            f"\nAnswer A: {sample.meta['answers'][0]}\nAnswer B: {sample.meta['answers'][1]}"
        )
        turned = swapped(sample)
        assert turned.question.endswith(
            f"\nAnswer A: {sample.meta['answers'][1]}\nAnswer B: {sample.meta['answers'][0]}"
        )
        assert turned.target != sample.target and len(sample.media) == 1
    assert {s.target for s in samples} == {"A", "B"}
    text = TASKS.get("preference").messages(samples[0])[0]["content"][-1]["text"]
    assert "give the letter of the better one, A or B, inside <answer>" in text


def test_pictures_of_imagereward(tmp_path, store):
    folder = tmp_path / "data" / "imagereward"
    file = converted("imagereward", folder)
    real = {r["id"]: r for r in json.loads((ROWS / "imagereward.json").read_text())}
    pairs = [json.loads(line) for line in file.read_text().splitlines()]
    for pair in pairs:
        for picture in pair["images"]:
            a_picture(folder / picture)
        name, i, j = pair["id"].rsplit("-", 2)
        rank = dict(zip(real[name]["generations"], real[name]["ranking"], strict=True))
        ranks = [rank[p] for p in pair["images"]]
        assert pair["ranks"] == ranks and pair["answer"] == ("A" if ranks[0] < ranks[1] else "B")
        assert {real[name]["generations"][int(k)] for k in (i, j)} == set(pair["images"])
    apart = [
        (a, b)
        for row in real.values()
        for n, a in enumerate(row["ranking"])
        for b in row["ranking"][n + 1 :]
        if a != b
    ]
    assert len(pairs) == len(apart) and len({p["id"] for p in pairs}) == len(pairs)
    spec = spec_of("imagereward", tmp_path, expected_rows={"test": len(pairs)})
    assert check_data(spec, split="test", limit=12, store=store) == []
    sample = open_dataset(spec, "test")[0]
    assert len(sample.media) == 2 and swapped(sample).media == sample.media[::-1]


def test_the_known_order_of_four_real_pictures(tmp_path, store):
    # scores 0.58, 0.27, -1.41, -2.03 in ImageReward's own README
    prompt = "a painting of an ocean with clouds and birds, day time, low depth field effect"
    row = {"id": "four", "prompt": prompt, "ranking": [1, 2, 3, 4]}
    row["generations"] = [f"images/{k}.webp" for k in range(1, 5)]
    (tmp_path / "test.json").write_text(json.dumps([row]))
    file = converted("imagereward", tmp_path, tmp_path / "test.json")
    spec = spec_of(
        "imagereward", tmp_path, source=str(file), media_root=str(ROWS), expected_rows={"test": 6}
    )
    assert check_data(spec, split="test", store=store) == []
    for sample in open_dataset(spec, "test"):
        first, second = (int(m.path.stem) for m in sample.media)
        assert sample.target == ("A" if first < second else "B")


def test_orders_are_shuffled_by_the_rows_own_ids():
    fair = Counter(pair_rows.first_is_swapped(f"row-{i}") for i in range(2000))
    assert 880 < fair[True] < 1120  # 1,000 expected, 5 standard deviations
    assert [pair_rows.first_is_swapped(n) for n in ("a", "b", "c", "d")] == [
        pair_rows.first_is_swapped(n) for n in ("a", "b", "c", "d")
    ]
    # all better ones first, as published: about half come out as B
    same = {"query": "?", "human_ranking": [0, 1], "image": "i"}
    rows = [{"id": f"q{i}", "response": [f"x{i}", f"y{i}"], **same} for i in range(400)]
    made = list(pair_rows.vl_rewardbench(rows, Counter()))
    assert 140 < sum(r["answer"] == "B" for r in made) < 260
    again = list(pair_rows.vl_rewardbench(rows[::-1], Counter()))
    assert {r["id"]: r["answer"] for r in made} == {r["id"]: r["answer"] for r in again}


def test_what_is_left_out_is_counted_and_what_is_wrong_is_named():
    row = {"id": "q", "query": "?", "response": ["x", "y"], "human_ranking": [1, 1], "image": "i"}
    skips = Counter()
    assert list(pair_rows.vl_rewardbench([row], skips)) == [] and skips == {"ties": 1}
    same = {**row, "response": ["x", " x"], "human_ranking": [0, 1]}
    assert list(pair_rows.vl_rewardbench([same], skips)) == []
    assert skips["with answers that are equal or empty"] == 1
    with pytest.raises(SystemExit, match='row 0: no column "query"; there are id'):
        list(pair_rows.vl_rewardbench([{"id": "q"}], skips))
    with pytest.raises(SystemExit, match=r"row 0 \(q\): expected two answers"):
        list(pair_rows.vl_rewardbench([{**row, "response": ["x"]}], skips))
    with pytest.raises(SystemExit, match="1 pictures, 2 ranks"):
        bad = {"id": "q", "prompt": "p", "generations": ["a"], "ranking": [1, 2]}
        list(pair_rows.imagereward([bad], skips))


@pytest.mark.parametrize(("text", "message"), [("[1]", "list of objects"), ("{", "not JSON")])
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SystemExit, match=message):
        pair_rows.read_rows(tmp_path / "x.json")


def test_rows_in_the_form_of_unifiedreward_think(tmp_path, store):
    """Hand-made in the published form: the prompt in `problem`, the verdict as a sentence."""
    folder = tmp_path / "data" / "unifiedreward_think"
    for name in "abcd":
        a_picture(folder / f"{name}.png", ord(name))
    problem = "<image>\n<image>\nYou are given a text caption and two images …"
    rows = [
        {"problem": text, "solution": f"{verdict} is better", "images": [f"{n}.png" for n in names]}
        for text, verdict, names in (
            (problem, "Image 2", "ab"),
            ("<image>\nTwo answers …", "Answer 1", "c"),
            ("Two clips …", "Video 1", "abcd"),
        )
    ]
    (folder / "train.json").write_text(json.dumps(rows))
    spec = spec_of("unifiedreward_think", tmp_path)
    assert check_data(spec, store=store) == []
    samples = list(open_dataset(spec))
    assert samples[0].question == "You are given a text caption and two images …"
    assert [s.target for s in samples] == [r["solution"] for r in rows]
    messages = TASKS.get(samples[0].task).messages(samples[0])
    assert [part["type"] for part in messages[0]["content"]] == ["image", "image", "text"]
    assert messages[0]["content"][-1]["text"] == samples[0].question
    assert swapped(samples[2]).media == (*samples[2].media[2:], *samples[2].media[:2])
