"""The tiny level: a grid of cells, answers that a blank picture does not give away, marks."""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrl.errors import ConfigError
from mmrl.parse.tables import table_of_csv
from mmrl.tasks.base import TASKS
from mmrl.tasks.chart_grid import COLUMNS, GRID_INKS, GRID_KINDS, grid_fits, grid_table
from mmrl.tasks.chart_scene import INKS, Look, Scene
from mmrl.tasks.chart_world import LEVELS, draw_question
from mmrl.tasks.drawing import generator
from mmrl.types import Sample


def draw(index: int, **options: Any) -> Sample:
    world = TASKS.get("chart_brief").world
    assert world is not None
    return world(index, **{"split": "train", "seed": 0, "level": "tiny", **options})


def pixels(sample: Sample) -> np.ndarray:
    data = sample.media[0].data
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_bar_is_as_many_half_cells_high_as_its_number_and_stands_over_its_letter() -> None:
    seen = 0
    for index in range(30):
        sample = draw(index, kinds=["bar"], low=0.0, labels=0.0, marks=True)
        picture, table = pixels(sample), table_of_csv(sample.meta["csv_gt"])
        assert picture.shape == (168, 168, 3)
        for column, value in zip(COLUMNS[table.num_rows], table.cells[1], strict=True):
            assert isinstance(value, float)
            x = 28 * column + 14
            rows = picture[:138, x - 8 : x + 8].min(-1)  # the grid is 205, the strokes 255
            inked = np.flatnonzero((rows < 150).any(1))
            # 14 pixels a half cell from the base line at y = 140; the edge is 0.8 wide
            assert min(inked) == pytest.approx(140 - 14 * value, abs=1.5)
            seen += 1
        letters = {(x, y): w for kind, w, x, y in sample.meta["marks"] if kind == "text"}
        for column, name in zip(COLUMNS[table.num_rows], table.cells[0], strict=True):
            assert letters[(28 * column + 14, 154)] == name
    assert seen > 60


def test_a_blank_picture_leaves_the_answer_to_chance() -> None:
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for index in range(1500):
        rng = generator("chart", "train", 0, index)
        _, asked = draw_question(rng, "train", LEVELS["tiny"], GRID_KINDS, 0.4)
        told, form = asked.answer, asked.about
        if (two := re.findall(r": (\\w+) or (\\w+)$", asked.brief)) and form != "drift":
            told = "first" if told == two[0][0] else "second"
        answers[form][told] += 1
    assert set(answers) >= {"lookup", "count", "compare", "extreme", "total", "trend", "colour"}
    for form in ("compare", "taller", "trend", "drift"):  # a half each
        assert max(answers[form].values()) / sum(answers[form].values()) < 0.65, form
    for form, most in (("lookup", 0.2), ("extreme", 0.25), ("colour", 0.25), ("by_colour", 0.3)):
        assert max(answers[form].values()) / sum(answers[form].values()) < most, form


def test_marks_name_what_stands_at_their_pixels() -> None:
    for index in range(40):
        plain, sample = draw(index), draw(index, marks=True)
        assert plain.media == sample.media and "marks" not in plain.meta
        picture = pixels(sample).astype(int)
        kinds = Counter(mark[0] for mark in sample.meta["marks"])
        assert kinds["colour"] or kinds["line"]
        for kind, word, x, y in sample.meta["marks"]:
            assert 0 <= x < 168 and 0 <= y < 168
            near = picture[max(0, int(y) - 6) : int(y) + 7, max(0, int(x) - 6) : int(x) + 7]
            if kind in ("colour", "line"):
                assert word in GRID_INKS
                assert (abs(near - np.array(INKS[word])).max(-1) < 40).any(), (index, word, x, y)
            elif kind == "text":
                assert len(word) == 1 and near.std() > 20
            else:
                assert kind == "value" and 1 <= int(word) <= 9
        values = [word for kind, word, *_ in sample.meta["marks"] if kind == "value"]
        cells = table_of_csv(sample.meta["csv_gt"]).cells[1]
        if values:
            assert values == [str(int(cell)) for cell in cells if isinstance(cell, float)]


def test_a_slice_carries_its_own_letter_and_number() -> None:
    for index in range(20):
        sample = draw(index, kinds=["pie"], low=0.0, marks=True)
        marks, picture = sample.meta["marks"], pixels(sample)
        inks = [word for kind, word, *_ in marks if kind == "colour"]
        rows = list(zip(*table_of_csv(sample.meta["csv_gt"]).cells, strict=True))
        for (name, value), ink in zip(rows, inks, strict=True):
            for told in (name, str(int(value))):
                places = [(x, y) for kind, word, x, y in marks if (kind, word) == ("text", told)]
                assert any(_ground(picture, x, y) == INKS[ink] for x, y in places), (index, told)


def _ground(picture: np.ndarray, x: float, y: float) -> tuple[int, ...]:
    """The commonest colour within 6 pixels."""
    near = picture[int(y) - 6 : int(y) + 7, int(x) - 6 : int(x) + 7].reshape(-1, 3)
    return Counter(map(tuple, near.tolist())).most_common(1)[0][0]


def test_marks_of_other_levels_stand_in_the_picture() -> None:
    for index, kind in enumerate(["bar", "line", "scatter", "pie", "grouped", "stacked"]):
        sample = draw(index, level="medium", kinds=[kind], marks=True, low=0.0)
        side, marks = 336, sample.meta["marks"]
        assert {"text", "value"} <= {mark[0] for mark in marks}
        assert all(0 <= x <= side and 0 <= y <= side for *_, x, y in marks)


def test_a_slice_without_room_for_its_label_is_not_drawn() -> None:
    def pie(*values: int) -> Scene:
        table = table_of_csv("x,y\n" + "".join(f"{'ABCD'[i]},{v}\n" for i, v in enumerate(values)))
        source = grid_table(np.random.default_rng(0), "train", "pie", 2)
        look = Look(colours=GRID_INKS[:4], values=True, axis=True, special=None, legend="left")
        made = Scene(kind="pie", source=source, look=look, grid=True)
        object.__setattr__(made.source, "table", table)
        return made

    assert grid_fits(pie(5, 5)) and grid_fits(pie(1, 1, 1, 1)) and grid_fits(pie(9, 2))
    assert not grid_fits(pie(1, 9, 9, 9))  # 13 degrees


def test_what_does_not_fit_the_grid_is_refused() -> None:
    with pytest.raises(ConfigError, match="level tiny draws bar, line, scatter, pie"):
        draw(0, kinds=["stacked"])
    with pytest.raises(ConfigError, match="room for 2 to 5 rows of 1 series"):
        draw(0, rows=[2, 9])
    with pytest.raises(ConfigError, match="draws its own tables"):
        draw(0, tables="real")
