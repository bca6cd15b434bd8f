"""The chart worlds: same bytes for a seed, disjoint splits, answers that the table bears out."""

from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from builders import CLOCK, a_rollout
from PIL import Image

from mmrl.data.check import check_data
from mmrl.data.load import open_dataset
from mmrl.errors import ConfigError
from mmrl.media.store import MediaStore
from mmrl.parse.boxed import Strategy, strategy_of
from mmrl.parse.code_tables import table_of_completion
from mmrl.parse.tables import Table, table_of_csv
from mmrl.tasks.base import TASKS
from mmrl.tasks.chart_canvas import draw_on_canvas
from mmrl.tasks.chart_grid import GRID_KINDS
from mmrl.tasks.chart_looks import LOOKS_OF, WITHOUT_AXIS
from mmrl.tasks.chart_questions import ASKED_OF, Asked
from mmrl.tasks.chart_scene import INKS, KINDS, Kind, Scene, nice_ticks
from mmrl.tasks.chart_tables import REAL_TABLES, belongs, real_tables, row_names
from mmrl.tasks.chart_world import LEVELS, draw_question
from mmrl.tasks.drawing import generator
from mmrl.types import Sample

LEVELS_AND_KINDS = [
    (level, kind) for level in LEVELS for kind in (GRID_KINDS if LEVELS[level].grid else KINDS)
]


def draw(index: int, task: str = "chart", split: str = "train", **options: Any) -> Sample:
    world = TASKS.get(task).world
    assert world is not None
    return world(index, **{"split": split, "seed": 0, **options})


def asked(
    index: int,
    split: str = "train",
    low: float = 0.4,
    kinds: tuple[Kind, ...] = KINDS,
    **changed: Any,
) -> tuple[Scene, Asked]:
    """What `draw` draws, but for the picture."""
    rng = generator("chart", split, 0, index)
    return draw_question(rng, split, replace(LEVELS["easy"], **changed), kinds, low)


def png(sample: Sample) -> bytes:
    data = sample.media[0].data
    assert data is not None
    return data


def pixels(sample: Sample) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png(sample))))


@pytest.mark.parametrize(("level", "kind"), LEVELS_AND_KINDS)
def test_gold_earns_each_maximum_and_empty_each_minimum(level: str, kind: str) -> None:
    for task in ("chart", "chart_brief"):
        spec = TASKS.get(task)
        for index in range(3):
            sample = draw(index, task, split="val", level=level, kinds=[kind])
            gold, empty = a_rollout(spec.gold(sample)), a_rollout("")
            assert spec.score(gold, sample) == 1.0 and spec.score(empty, sample) == 0.0
            for reward in spec.rewards:
                got = reward(gold, sample, {}, CLOCK)
                assert got is None or got == pytest.approx(reward.bounds[1]), (reward.name, gold)
                assert reward(empty, sample, {}, CLOCK) in (None, reward.bounds[0])
            high = sample.meta["programmable"] == "high"
            assert strategy_of(gold.text) is (Strategy.CODE if high else Strategy.DIRECT)
            if high:
                table = table_of_csv(sample.meta["csv_gt"])
                assert table_of_completion(gold.text) == table
                assert all(r(gold, sample, {}, CLOCK) is not None for r in spec.rewards)


@pytest.mark.parametrize(("level", "kind"), LEVELS_AND_KINDS)
def test_same_arguments_same_bytes_whatever_was_drawn_before(level: str, kind: str) -> None:
    first = [draw(i, level=level, kinds=[kind]) for i in range(3)]
    draw(77, level="medium")
    again = [draw(i, level=level, kinds=[kind]) for i in reversed(range(3))][::-1]
    assert first == again
    assert [png(s) for s in first] == [png(s) for s in again]


def test_another_process_draws_the_same_bytes() -> None:
    script = (
        "import hashlib; from mmrl.tasks.base import TASKS; w = TASKS.get('chart').world\n"
        "print(*(hashlib.sha256(w(i, split='test', seed=3, level='medium').media[0].data)"
        ".hexdigest() for i in range(4)))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    mine = [
        hashlib.sha256(png(draw(i, split="test", seed=3, level="medium"))).hexdigest()
        for i in range(4)
    ]
    assert out.stdout.split() == mine


def test_the_users_settings_of_matplotlib_do_not_matter() -> None:
    plain = png(draw(1, level="medium", kinds=["line"]))
    with matplotlib.rc_context(
        {"lines.antialiased": False, "font.family": "monospace", "text.antialiased": False}
    ):
        assert png(draw(1, level="medium", kinds=["line"])) == plain


def test_seed_split_and_index_each_change_the_sample() -> None:
    def seen(**options: Any) -> list[bytes]:
        return [png(draw(i, **options)) for i in range(5)]

    base = seen()
    assert len(set(base)) == 5
    assert seen(seed=1) != base and seen(split="test") != base


def test_splits_share_no_table() -> None:
    tables = {
        split: {asked(i, split, kinds=("bar", "pie"))[0].source.table for i in range(200)}
        for split in ("train", "val", "test")
    }
    assert not tables["train"] & tables["test"]
    assert not tables["train"] & tables["val"]
    assert not tables["val"] & tables["test"]
    table = Table(("x", "y"), (("A", "B"), (1.0, 2.0)))
    assert [belongs(s, table) for s in ("train", "val", "test")].count(True) == 1


def test_shares_of_low_programmability_and_of_kinds() -> None:
    drawn = [asked(i) for i in range(600)]
    low = sum(not question.high for _, question in drawn)
    assert 195 <= low <= 285  # 240 expected, 3.7 standard deviations
    kinds = Counter(scene.kind for scene, _ in drawn)
    assert set(kinds) == set(KINDS) and min(kinds.values()) >= 60  # 100 expected
    assert {draw(i, low=0.0).meta["programmable"] for i in range(10)} == {"high"}
    assert {draw(i, low=1.0).meta["programmable"] for i in range(10)} == {"low"}


def numbers(table: Table, name: str) -> list[float]:
    return [v for v in table.cells[table.columns.index(name)] if isinstance(v, float)]


WORDS_OF_BRIEF = {
    # brief question -> the answer worked out from the table alone
    r"(?:(\w) )?([A-H])$": lambda t, s, k: numbers(t, s)[row_names(t).index(k)],
    r"(?:(\w) )?(highest|lowest)$": lambda t, s, w: row_names(t)[
        int(np.argmax(numbers(t, s)) if w == "highest" else np.argmin(numbers(t, s)))
    ],
    r"(?:(\w) )?(rise or fall)$": lambda t, s, w: (
        "rise" if numbers(t, s)[-1] > numbers(t, s)[0] else "fall"
    ),
    r"(?:(\w) )?(mean)$": lambda t, s, w: round(float(np.mean(numbers(t, s))), 2),
    r"(?:(\w) )?(highest minus lowest)$": lambda t, s, w: max(numbers(t, s)) - min(numbers(t, s)),
    r"(?:(\w) )?how many above ([\d.]+)$": lambda t, s, level: sum(
        v > float(level) for v in numbers(t, s)
    ),
    r"(?:(\w) )?higher: (\w or \w)$": lambda t, s, two: max(
        two.split(" or "), key=lambda k: numbers(t, s)[row_names(t).index(k)]
    ),
    r"()(\w plus \w)$": lambda t, s, two: sum(
        numbers(t, "y")[row_names(t).index(k)] for k in two.split(" plus ")
    ),
    r"(?:(\w) )?(\w minus \w)$": lambda t, s, two: (
        numbers(t, s)[row_names(t).index(two[0])] - numbers(t, s)[row_names(t).index(two[-1])]
    ),
    r"()total at (\w)$": lambda t, s, k: sum(
        c[row_names(t).index(k)] for c in t.cells[1:] if isinstance(c[0], float)
    ),
    r"()higher at (\w: \w or \w)$": lambda t, s, w: max(
        w[3:].split(" or "), key=lambda c: numbers(t, c)[row_names(t).index(w[0])]
    ),
    r"(\w) where (\w) highest$": lambda t, s, w: numbers(t, s)[int(np.argmax(numbers(t, w)))],
    r"()(highest total)$": lambda t, s, w: row_names(t)[
        int(np.argmax(np.sum([numbers(t, c) for c in t.columns[1:]], axis=0)))
    ],
    r"()(how many)$": lambda t, s, w: t.num_rows,
}


def test_answers_follow_from_the_table() -> None:
    seen: Counter[str] = Counter()
    kinds = tuple(kind for kind in KINDS if kind != "scatter")
    for index in range(600):
        scene, question = asked(index, low=0.0, kinds=kinds, depths=(1, 2, 3, 4))
        table = scene.source.table
        for pattern, work in WORDS_OF_BRIEF.items():
            found = re.fullmatch(pattern, question.brief)
            if found is None:
                continue
            worked = work(table, found[1] or table.columns[1], found[2])
            got = question.answer if isinstance(worked, str) else float(question.answer)
            assert got == pytest.approx(worked), (question, table)
            seen[question.about] += 1
            break
        else:
            raise AssertionError(f"no rule for {question.brief!r}")
    assert set(seen) == {
        "lookup", "extreme", "trend", "average", "spread", "above", "compare", "total",
        "difference", "between", "at_peak", "highest_total", "count",
    }  # fmt: skip


def test_answers_about_points_follow_from_the_table() -> None:
    for index in range(200):
        scene, question = asked(index, low=0.0, kinds=("scatter",), depths=(1, 2, 3, 4))
        xs, ys = numbers(scene.source.table, "x"), numbers(scene.source.table, "y")
        about, text, target = question.about, question.text, question.answer
        if about == "lookup":
            at = float(re.findall(r"x = ([\d.]+)", text)[0])
            assert float(target) == ys[xs.index(at)]
        elif about == "count":
            assert float(target) == len(xs) and question.exact
        elif about == "extreme":
            best = max(ys) if "highest" in text else min(ys)
            assert ys[xs.index(float(target))] == best and ys.count(best) == 1
        elif about == "trend":
            assert target == ("rise" if np.polyfit(xs, ys, 1)[0] > 0 else "fall")


def test_a_colour_answer_is_on_the_picture() -> None:
    for index in range(20):
        sample = draw(index, low=1.0, level="medium", depths=[1])
        if sample.meta["about"] == "colour":
            ink = np.array(INKS[sample.target])
            assert (pixels(sample) == ink).all(-1).sum() > 20, sample.question


def test_the_taller_bar_is_taller_by_a_twentieth() -> None:
    for index in range(150):
        scene, question = asked(index, low=1.0, kinds=("bar",))
        if question.about == "taller":
            first, second = re.findall(r": (\w+) or (\w+)\?", question.text)[0]
            height = dict(zip(scene.names, scene.values[0], strict=True))
            assert question.answer == (first if height[first] > height[second] else second)
            assert abs(height[first] - height[second]) >= 0.06 * max(height.values())
            assert not scene.look.axis and not scene.look.values


def test_a_number_read_off_the_axis_may_be_wrong_by_a_line_of_it() -> None:
    seen = 0
    for index in range(60):
        rng = generator("chart", "train", 0, index)
        scene, question = draw_question(rng, "train", LEVELS["medium"], ("bar", "stacked"), 0.0)
        allowed = draw(index, level="medium", kinds=["bar", "stacked"], low=0.0).meta["tolerance"]
        if question.exact or scene.look.values:
            assert allowed == (0.0 if question.exact else 0.01)
        elif question.about == "lookup":
            axis = scene.ticks[-1] - scene.ticks[0]
            expected = max(0.05 * float(question.answer), 0.015 * axis)
            assert allowed * float(question.answer) == pytest.approx(expected, rel=0.02)
            seen += 1
    assert seen >= 5


def test_charts_asked_by_eye_carry_no_number() -> None:
    for index in range(12):
        sample = draw(index, low=1.0, kinds=["scatter"], depths=[1, 2])
        if sample.meta["about"] == "drift":  # dots and one straight line, nothing grey (no grid)
            assert not (pixels(sample) == 205).all(-1).any()


@pytest.mark.parametrize("level", sorted(LEVELS))
def test_pictures_have_the_levels_size_and_a_clean_border(level: str) -> None:
    for index in range(16):
        picture = pixels(draw(index, level=level))
        side = LEVELS[level].side
        assert picture.shape == (side, side, 3)
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edge == 255).all(), index  # nothing is cut off
    assert LEVELS["easy"].side == 224


def test_real_tables_are_read_and_belong_to_one_split() -> None:
    tables = real_tables(REAL_TABLES)
    assert len(tables) == 14
    assert {entry.split for entry in tables} == {"train", "val", "test"}
    for split in ("train", "val", "test"):
        titles = {entry.source.title for entry in tables if entry.split == split}
        for index in range(8):
            sample = draw(index, split=split, level="medium", tables="real")
            header = sample.meta["csv_gt"].splitlines()[0].split(",")
            known = [entry.source.table.columns for entry in tables if entry.source.title in titles]
            assert any(set(header) <= set(columns) for columns in known)


def test_tables_of_ones_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tables\.json: no such file"):
        draw(0, tables=str(tmp_path))
    (tmp_path / "mine.csv").write_text("town,people\nA,3\nB,7\nC,5\nD,1\n")
    (tmp_path / "tables.json").write_text(
        '[{"file": "mine.csv", "title": "Towns", "split": "train", "rows": "names"}]'
    )
    sample = draw(0, tables=str(tmp_path), kinds=["bar"])
    assert sample.meta["csv_gt"].startswith("town,people\n")
    with pytest.raises(ConfigError, match='no table of split "test"'):
        draw(0, split="test", tables=str(tmp_path), kinds=["bar"])


def test_options_are_checked() -> None:
    with pytest.raises(ConfigError, match=r'no level "eazy"\. Did you mean "easy"'):
        draw(0, level="eazy")
    with pytest.raises(ConfigError, match=r'no kind of chart "bars"\. Did you mean "bar"'):
        draw(0, kinds=["bars"])
    with pytest.raises(ConfigError, match="no question of depths"):
        draw(0, kinds=["scatter"], depths=[7], low=0.0)
    with pytest.raises(ConfigError, match='no split "tset"'):
        draw(0, split="tset")


def test_options_change_what_is_drawn() -> None:
    assert pixels(draw(0, side=112)).shape == (112, 112, 3)
    five = [draw(i, kinds=["bar"], rows=[5, 5]).meta["csv_gt"] for i in range(5)]
    assert {len(text.splitlines()) for text in five} == {6}
    three = draw(0, kinds=["stacked"], series=[3, 3]).meta["csv_gt"]
    assert three.splitlines()[0] == "x,p,q,r"
    assert {draw(i, low=0.0, depths=[4], kinds=["bar"]).meta["depth"] for i in range(5)} == {4}


def test_every_kind_has_questions_of_every_sort() -> None:
    assert set(ASKED_OF) == set(LOOKS_OF) == set(KINDS)
    assert all(len(asks) >= 6 for asks in ASKED_OF.values())
    assert {ask.__name__ for ask in WITHOUT_AXIS} == {"taller", "tallest", "drift"}


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 9, (0, 2, 4, 6, 8, 10)),
        (0, 3, (0, 0.5, 1, 1.5, 2, 2.5, 3)),
        (0, 100, (0, 20, 40, 60, 80, 100)),
        (5, 5, (5, 5.0000000002)),
        (66, 75, (66, 68, 70, 72, 74, 76)),
    ],
)
def test_ticks(low: float, high: float, ticks: tuple[float, ...]) -> None:
    found = nice_ticks(low, high)
    assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 8
    if low != high:
        assert found == pytest.approx(ticks)


def test_drawing_leaves_nothing_on_the_canvas() -> None:
    empty = draw_on_canvas(64, lambda canvas: None)
    draw_on_canvas(64, lambda canvas: canvas.rectangle(5, 5, 20, 20, (9, 9, 9)))
    assert (draw_on_canvas(64, lambda canvas: None) == empty).all()
    assert (empty == 255).all()


def test_measures_tell_how_code_is_used() -> None:
    spec = TASKS.get("chart")
    high, low = draw(0, low=0.0), draw(0, low=1.0)
    code, direct = a_rollout("<CODE>"), a_rollout("<DIRECT>")
    of = spec.measures
    assert [of["code_where_high"](r, high) for r in (code, direct)] == [1.0, 0.0]
    assert [of["code_where_low"](r, low) for r in (code, direct)] == [1.0, 0.0]
    assert of["code_where_low"](code, high) is None and of["code_where_high"](code, low) is None
    assert [of["right_way"](r, low) for r in (code, direct)] == [0.0, 1.0]


def test_the_charts_of_others_pass_the_check() -> None:
    root = Path(__file__).resolve().parents[3]
    with MediaStore(workers=0) as store:
        found = check_data(root / "datasets_cfg" / "charts.yaml", store=store)
    assert found == []
    rows = open_dataset(root / "datasets_cfg" / "charts.yaml")
    assert Counter(sample.meta["programmable"] for sample in rows) == {"high": 10, "low": 9}
