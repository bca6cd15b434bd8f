"""The Samples view: every data set opens, references lie on targets, broken rows are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from html_reading import Reading
from PIL import Image

from mmrl.data.registry import DATASETS, open_data
from mmrl.data.spec import dataset_files, load_spec
from mmrl.errors import ConfigError, DataError
from mmrl.inspector.browse import Catalogue, Choice, Look
from mmrl.inspector.draw import GOLD
from mmrl.inspector.html_sample import origin_html, sample_html
from mmrl.media.workers import DecodePool
from mmrl.tasks.base import TASKS
from mmrl.types import Sample

ROOT = Path(__file__).parents[3]
WORLDS = [
    (name, level)
    for name in TASKS
    if TASKS.get(name).world is not None
    for level in TASKS.get(name).levels
]
HOSTILE = (
    "<script>alert(1)</script> ${alert(2)} {{x}} <img src=x onerror=alert(3)> \x1b[2J \u202eabc"
)


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(1, 60.0) as pool:
        yield pool


@pytest.fixture
def catalogue(pool: DecodePool, monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    monkeypatch.chdir(ROOT)
    return Catalogue((), pool)


def write_rows(folder: Path, lines: list[str], name: str = "mine") -> Path:
    """A data set file in a folder, its rows as they are given."""
    (folder / "rows.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / f"{name}.yaml").write_text(
        f"name: {name}\nsource: rows.jsonl\nlicence: CC0-1.0\ntask: grounding\n"
        "fields: {answer: box}\ncoord_space: abs_original\n"
    )
    return folder


def row(number: int, image: str = "a.png", question: str = "box of it") -> str:
    return json.dumps(
        {"id": f"r{number}", "question": question, "image": image, "box": [4, 6, 24, 18]}
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 30), (90, 90, 90)).save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    lines = [
        row(0),
        row(1, image="gone.png"),
        "{broken",
        row(3, image="cut.png"),
        row(4, image="../../etc/passwd"),
        row(5, question=HOSTILE),
        json.dumps({"id": "r6", "question": "?", "image": "a.png", "box": "no box"}),
    ]
    return write_rows(tmp_path, lines)


def gold_reach(look: Look, number: int = 0) -> tuple[float, float, float, float]:
    """The box around everything in the reference's colour, as shares of the picture."""
    picture = look.media[number].drawn
    assert picture is not None
    ys, xs = np.nonzero((np.asarray(picture) == GOLD).all(-1))
    return (
        xs.min() / picture.width,
        ys.min() / picture.height,
        (xs.max() + 1) / picture.width,
        (ys.max() + 1) / picture.height,
    )


@pytest.mark.parametrize(("name", "level"), WORLDS)
def test_the_first_sample_of_every_world_is_shown(
    catalogue: Catalogue, name: str, level: str
) -> None:
    look = catalogue.look(name, Choice(level=level, split="test"))
    assert look.problems == () and look.sample is not None and look.gold is not None
    assert [seen.kind for seen in look.media] == [ref.kind for ref in look.sample.media]
    assert all(seen.drawn is not None for seen in look.media)
    assert Reading(sample_html(look)).pictures == len(look.sample.media)


def test_every_data_set_file_is_listed_and_shown_or_says_how_to_get_it(
    catalogue: Catalogue,
) -> None:
    shown, told = [], []
    for name, path in dataset_files().items():
        origin = catalogue.origin(name)
        assert Path(origin.entry["cfg"]) == path and load_spec(path).licence in origin.about
        look = catalogue.look(name, Choice())
        Reading(sample_html(look))
        if look.sample is not None:
            assert look.problems == () and all(seen.drawn for seen in look.media)
            shown.append(name)
        else:
            assert len(look.problems) == 1 and "To get the rows: " in look.problems[0]
            told.append(name)
    assert {"boxes", "charts"} <= set(shown)
    assert len(shown) + len(told) == len(dataset_files()) >= 29


def test_the_reference_of_a_drawn_box_is_drawn_on_its_target(catalogue: Catalogue) -> None:
    look = catalogue.look("digit_box", Choice(index=2))
    assert look.sample is not None and look.marked
    wanted = [v / 100 for v in look.sample.target]
    assert gold_reach(look) == pytest.approx(wanted, abs=0.006)  # half of a line of 3 pixels of 560


def test_the_reference_of_a_row_is_drawn_on_its_pixels(catalogue: Catalogue) -> None:
    look = catalogue.look("boxes", Choice(index=0))
    assert look.media[0].info is not None
    width, height = look.media[0].info.original_size
    wanted = (106 / width, 11 / height, 135 / width, 52 / height)  # boxes-00 of boxes.jsonl
    assert gold_reach(look) == pytest.approx(wanted, abs=0.008)


def test_the_reference_span_begins_below_its_frame(catalogue: Catalogue) -> None:
    look = catalogue.look("shape_span", Choice())
    picture = look.media[0].drawn
    assert look.sample is not None and picture is not None
    start, end = look.sample.target
    left, _, right, _ = (v * picture.width for v in gold_reach(look))
    # 16 frames of a clip of 4 s: 116 pixels a frame, the first behind the word "gold"
    assert (right - left) / 116 * (4 / 15) == pytest.approx(end - start, abs=0.2)


def test_a_look_is_of_the_sample_that_a_run_would_draw(catalogue: Catalogue) -> None:
    choice = Choice(index=5, split="test", seed=3, options="noise=0 shapes=[2,2]")
    wanted = open_data({"task": "digit_box", "options": {"noise": 0, "shapes": [2, 2]}}, "test", 3)[
        5
    ]
    look = catalogue.look("digit_box", choice)
    assert look.sample == wanted == catalogue.sample("digit_box", choice)
    other = catalogue.sample("digit_box", Choice(index=5, split="test", seed=4))
    assert other.media != wanted.media


def test_rows_that_cannot_be_read_say_why_and_the_next_are_shown(
    root: Path, pool: DecodePool
) -> None:
    catalogue = Catalogue((root,), pool)
    assert "mine" in catalogue.names()
    looks = [catalogue.look("mine", Choice(index=i)) for i in range(7)]
    assert [look.size for look in looks] == [7] * 7
    assert looks[0].problems == () and looks[0].media[0].drawn is not None
    assert "no such file" in looks[1].media[0].problem and looks[1].sample is not None
    assert looks[2].sample is None and "rows.jsonl:3" in looks[2].problems[0]
    assert "(truncated)" in looks[3].media[0].problem or "(corrupt)" in looks[3].media[0].problem
    assert "leaves the media folder" in looks[4].problems[0]
    assert "at least one box" in looks[6].problems[0] and looks[6].media[0].drawn is not None
    for look in looks:
        Reading(sample_html(look))
    assert catalogue.look("mine", Choice(index=99)).index == 6  # held at the last row
    assert catalogue.look("mine", Choice(index=-5)).index == 0


def test_hostile_questions_and_columns_are_shown_inert(root: Path, pool: DecodePool) -> None:
    look = Catalogue((root,), pool).look("mine", Choice(index=5))
    seen = Reading(sample_html(look)).text
    assert "<script>alert(1)</script> ${alert(2)} {{x}} <img src=x onerror=alert(3)>" in seen
    assert "«ESC»[2J" in seen and "«U+202E»" in seen and "\u202e" not in seen


def test_equal_names_are_told_apart_by_their_folder(
    root: Path, tmp_path: Path, pool: DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    inner = root / "datasets_cfg"
    inner.mkdir()
    write_rows(inner, [row(0)], name="boxes")
    (inner / "recipe.yaml").write_text("policy: {model: x}\n")
    catalogue = Catalogue((root,), pool)
    names = catalogue.names()
    assert len(names) == len(set(names)) and "recipe" not in names
    assert catalogue.origin("boxes").entry["cfg"] == "datasets_cfg/boxes.yaml"
    assert catalogue.origin("datasets_cfg/boxes").entry["cfg"] == str(inner / "boxes.yaml")


def test_a_registered_data_set_is_shown(pool: DecodePool, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [Sample(id="x", task="text", question="2+3?", target="5")]
    monkeypatch.setitem(DATASETS._parts, "sums_of_mine", lambda split: samples)
    catalogue = Catalogue((), pool)
    look = catalogue.look("sums_of_mine", Choice())
    assert look.sample == samples[0] and look.gold == "<think>It is 5.</think><answer>5</answer>"
    assert "plug-in" in origin_html(catalogue.origin("sums_of_mine"))


@pytest.mark.parametrize(
    "name", ["../boxes", "/etc/passwd", "datasets_cfg/boxes.yaml", "", "a" * 10_000, "grounding"]
)
def test_only_names_of_the_catalogue_are_opened(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(ConfigError, match="no data set"):
        catalogue.origin(name)
    assert catalogue.look(name, Choice()).sample is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("noise", "wanted key=value"),
        ("nois=3", 'Did you mean "noise"'),
        ("noise=1e9", "above 4096"),
        ("shapes=[1,99999]", "above 4096"),
        ("noise=.inf", "above 4096"),
        ("x=1 " * 200, "at most 500 characters"),
        ("side=abc", "Error"),
        ("shapes=[2,[1,2]]", "Error"),
    ],
)
def test_options_that_are_none_are_told(catalogue: Catalogue, options: str, words: str) -> None:
    look = catalogue.look("digit_box", Choice(options=options))
    assert look.sample is None and words in look.problems[0]
    Reading(sample_html(look))


def test_an_unknown_level_and_split_are_told(catalogue: Catalogue) -> None:
    assert 'no level "nope"' in catalogue.look("chart", Choice(level="nope")).problems[0]
    assert 'no split "nope"' in catalogue.look("boxes", Choice(split="nope")).problems[0]
    with pytest.raises(DataError):
        catalogue.sample("digit_box", Choice(options="side=abc"))


def test_nothing_is_fetched_from_the_hub(
    tmp_path: Path, pool: DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(datasets, "load_dataset", never)
    (tmp_path / "far.yaml").write_text(
        "name: far\nsource: hub:somebody/something\nlicence: unknown\ntask: text\n"
    )
    look = Catalogue((tmp_path,), pool).look("far", Choice())
    assert "nothing is downloaded here" in look.problems[0]


def test_a_broken_data_set_file_is_told_and_the_others_stay(root: Path, pool: DecodePool) -> None:
    (root / "bad.yaml").write_text("source: rows.jsonl\nname: [\n")
    catalogue = Catalogue((root,), pool)
    assert {"bad", "mine"} <= set(catalogue.names())
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        catalogue.origin("bad")
    assert "bad.yaml" in catalogue.look("bad", Choice()).problems[0]
    assert catalogue.look("mine", Choice()).problems == ()
