"""`mmrl show … --to`: sheets of samples."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrl.cli import main, sheet
from mmrl.cli.sheet import draw_sheet
from mmrl.media.store import MediaStore
from mmrl.tasks.base import TASKS
from mmrl.types import Sample

ROOT = Path(__file__).parents[3]
OUTLINE = (235, 0, 200)


def draw(task: str, count: int = 1, **options: object) -> list[Sample]:
    world = TASKS.get(task).world
    assert world is not None
    return [world(i, split="val", seed=3, **options) for i in range(count)]


def pixels(samples: list[Sample]) -> np.ndarray:
    with MediaStore(workers=0) as store:
        return np.asarray(draw_sheet(samples, store, "t"))


def places(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((picture == colour).all(-1))


def test_the_reference_box_is_outlined_where_the_thing_is() -> None:
    sample = draw("digit_box")[0]
    found = places(pixels([sample]), OUTLINE)
    top, left = 8 + 15, 8  # below the title, inside the margin; 112 pixels stand for 224
    wanted = np.array(sample.target) * 2.24
    y1, x1 = found.min(0) - (top, left)
    y2, x2 = found.max(0) - (top, left)
    assert np.abs(np.array([x1, y1, x2, y2]) - wanted).max() <= 2.0


def test_the_picture_stands_enlarged_by_two_without_smoothing() -> None:
    sample = draw("picture_choice")[0]
    data = sample.media[0].data
    assert data is not None
    own = np.asarray(Image.open(io.BytesIO(data)))
    side = own.shape[0]
    assert side == 112
    shown = pixels([sample])[23 : 23 + 224, 8 : 8 + 224]
    assert (shown == own.repeat(2, 0).repeat(2, 1)).all()


def test_frames_inside_the_span_are_underlined() -> None:
    sample = draw("digit_span")[0]
    picture = pixels([sample])
    columns = sorted({int(x - 8) // 100 for _, x in places(picture, OUTLINE)})
    start, end = sample.target
    seconds = [round(i * 39 / 7) / 10 for i in range(8)]  # 40 frames, 10 a second
    assert columns == [i for i, s in enumerate(seconds) if start <= s < end]


def test_long_words_and_many_lines_stay_inside() -> None:
    lines = sheet._wrapped("a" * 400 + "\n" + "word " * 400, 240)
    assert len(lines) == 12 and lines[-1].endswith("…")
    assert all(sheet._font().getlength(line) <= 240 for line in lines[:-1])


def test_a_task_a_data_set_and_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    to = tmp_path / "a" / "x.png"
    assert main(["show", "which_picture", "count=4", "--samples", "2", "--to", str(to)]) == 0
    assert capsys.readouterr().out == f"{to}\n"
    assert Image.open(to).size[0] > 2 * 228
    assert (
        main(["show", str(ROOT / "datasets_cfg" / "boxes.yaml"), "--samples", "1", "--to", str(to)])
        == 0
    )
    other = tmp_path / "only_test.yaml"
    rows = ROOT / "assets" / "examples"
    other.write_text(
        f"name: mine\nsource: {rows}\nsplits: {{test: boxes.jsonl}}\nmedia_root: {rows}/boxes\n"
        "task: grounding\nlicence: CC0\nfields: {answer: box}\ncoord_space: abs_original\n"
    )
    assert main(["show", str(other), "--samples", "1", "--to", str(to)]) == 0
    assert main(["show", "plain_text", "--samples", "3", "--to", str(to)]) == 0
    capsys.readouterr()
    assert main(["show", "which_picture", "cuont=4", "--to", str(to)]) == 2
    assert 'unknown option "cuont". Did you mean "count"?' in capsys.readouterr().err
    assert main(["show", "which_picture", "--to", str(tmp_path / "x.jpg")]) == 2
    assert "ends in .png" in capsys.readouterr().err


def test_worlds_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(sheet, "sheet_of", lambda entry, n, seed, to: drawn.append(entry) or to)
    assert main(["show", "worlds", "--split", "test", "--to", str(tmp_path)]) == 0
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert "digit_box.png" in names and "chart_hard.png" in names and len(names) == len(drawn)
    assert {"task": "chart", "split": "test", "options": {"level": "hard"}} in drawn
    assert main(["show", "worlds"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["chart", "hard", "level=hard"] in lines and ["digit_box", "default"] in lines


def test_every_level_of_every_world_has_a_light_sheet_in_the_repository() -> None:
    folder = ROOT / "assets" / "worlds"
    for name in TASKS:
        task = TASKS.get(name)
        for level in task.levels if task.world is not None else ():
            path = folder / (f"{name}.png" if level == "default" else f"{name}_{level}.png")
            assert path.is_file(), f"mmrl show {name} … --samples 2 --to {path}"
            assert path.stat().st_size <= sheet.LIGHT
