"""Permanent links: there and back, and what a hostile one does."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from mmrl.inspector.links import Filters, Where, from_link, known_filters, to_link
from mmrl.inspector.rows import Facets

RUNS = ("first", "second & third")
FULL = Where(
    view="compare",
    run="second & third",
    step=12,
    all_steps=True,
    draw="12.0",
    measure="entropy",
    filters=Filters(
        stage="warm",
        task="digit_box",
        correct="wrong",
        stop="length",
        verdict="no_answer",
        part="box_iou",
        low=-0.5,
        high=0.25,
        shortest=3,
        longest=40,
        flat=True,
        text='a=b&c "d" <e> é',
        sort="part/box_iou",
        descending=True,
    ),
    other="first",
    sample="digit_box-train-0-3",
    step_b=0,
    draw_b="0.1",
    runs=("first", "second & third"),
    keys=("reward", "eval/iou"),
    keep=0.5,
    band=None,
)
FACETS = Facets(
    steps=(0, 1), stages=("warm",), tasks=("digit_box",), stops=("eos", "length"),
    verdicts=("ok",), parts=("box_iou",),
)  # fmt: skip


def read(link: str) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(link[1:], strict_parsing=True).items()}


@pytest.mark.parametrize("where", [FULL, Where(run="first"), replace(FULL, band="interval")])
def test_a_link_leads_back_to_where_it_was_made(where: Where) -> None:
    assert from_link(read(to_link(where)), RUNS) == (where, "")


def test_what_is_as_by_default_is_not_in_the_link() -> None:
    assert to_link(Where(run="first", step=3)) == "?view=rollouts&run=first&step=3"


def test_a_link_without_anything_shows_the_first_run() -> None:
    assert from_link({}, RUNS) == (Where(run="first"), "")


HOSTILE = [
    ("view", "<script>"),
    ("run", "../../etc/passwd"),
    ("run", "/etc"),
    ("other", "nobody"),
    ("step", "-1"),
    ("step", "1e3"),
    ("step", "9" * 500),
    ("step", "٣"),
    ("step_b", "x"),
    ("shortest", "NaN"),
    ("low", "nan"),
    ("high", "inf"),
    ("low", "1;drop table groups"),
    ("keep", "much"),
    ("tokens", "__class__"),
    ("correct", "maybe"),
    ("band", "all"),
    ("sort", "reward; drop table groups"),
]


@pytest.mark.parametrize(("key", "value"), HOSTILE)
def test_a_bad_value_is_told_and_the_rest_is_kept(key: str, value: str) -> None:
    where, wrong = from_link({"draw": "7.1", key: value}, RUNS)
    assert where == Where(run="first", draw="7.1")
    assert wrong.startswith("This link is not quite right: ")
    assert ("order" if key == "sort" else key) in wrong
    assert len(wrong) < 400
    assert wrong.isascii()


@pytest.mark.parametrize("value", [None, 3, ["a"], {"a": 1}, b"x"])
def test_values_that_are_no_text_count_as_none(value: object) -> None:
    keys = ("view", "run", "step", "draw", "text", "runs", "keys", "low", "flat")
    assert from_link(dict.fromkeys(keys, value), RUNS) == (Where(run="first"), "")


def test_long_values_are_cut() -> None:
    where, _ = from_link({"draw": "d" * 10**6, "text": "t" * 10**6, "keys": "k\n" * 10**5}, RUNS)
    assert (len(where.draw), len(where.filters.text), len(where.keys)) == (300, 300, 40)


def test_smoothing_is_held_within_its_range() -> None:
    assert [from_link({"keep": k}, RUNS)[0].keep for k in ("-3", "0", "0.99", "7")] == [
        0.0,
        0.0,
        0.99,
        0.99,
    ]


def test_names_that_a_run_does_not_have_are_left_out_of_its_filters() -> None:
    kept = known_filters(FULL.filters, FACETS)
    assert (kept.stage, kept.task, kept.stop, kept.part) == (
        "warm",
        "digit_box",
        "length",
        "box_iou",
    )
    assert (kept.verdict, kept.sort) == ("", "part/box_iou")
    strange = known_filters(replace(FULL.filters, sort="part/none", part="none"), FACETS)
    assert (strange.sort, strange.part) == ("step", "")


def test_a_query_asks_for_what_the_filters_say() -> None:
    query = FULL.filters.query(12, offset=20)
    assert (query.steps, query.correct, query.zero_spread, query.offset) == (12, False, True, 20)
    assert query.parts == {"box_iou": (-0.5, 0.25)}
    assert (query.num_tokens, query.sort, query.descending) == ((3, 40), "part/box_iou", True)
    plain = Filters().query(None)
    assert (plain.steps, plain.correct, plain.stage, plain.parts) == (None, None, None, {})
