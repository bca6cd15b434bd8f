"""The HTML of groups, lists and comparisons, read as a browser reads it; posters and exports."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from building import a_group, append_step, token_rows, write_run
from html_reading import Reading
from PIL import Image

from mmrl.errors import DataError, MediaError
from mmrl.inspector import looking
from mmrl.inspector.export import export_group, file_stem
from mmrl.inspector.html_compare import compare_html, ranked
from mmrl.inspector.html_group import Look, group_html, highest_reward
from mmrl.inspector.html_parts import (
    balance_bar,
    evidence_table,
    in_words,
    number,
    parts_table,
    signed,
    spread_bar,
)
from mmrl.inspector.links import Filters, Where
from mmrl.inspector.page import Page
from mmrl.inspector.poster import WIDTH, poster
from mmrl.inspector.rows import Stored

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</div></article></section><iframe src=javascript:alert(1)>",
    '" onmouseover="alert(1)" x="',
    "' autofocus onfocus=alert(1) '",
    "<a href='javascript:alert(1)'>x</a>",
    "<svg/onload=alert(1)>",
    "${alert(1)}",
    "{{constructor.constructor('alert(1)')()}}",
    "{{#each this}}{{@key}}{{/each}}",
    "`${alert(1)}`",
    "<style>*{display:none}</style>",
    "<!-- <b>",
    "]]><b>",
    "&lt;b&gt; &#60;b&#62;",
    "<base href=//evil>",
    "<meta http-equiv=refresh content=0;url=//evil>",
    "\u202egnp.exe\u202c",
    "\x1b[31mred\x1b[0m\x07\x00",
    "\ud800 alone",
    "<math><mtext><script>alert(1)</script>",
    "x" * 50_000,
]


def stored(records: list[dict[str, Any]]) -> tuple[Stored, ...]:
    return tuple(Stored(record=r, rank=0, line=i) for i, r in enumerate(records))


def shown(records: list[dict[str, Any]], media: list[Any] | None = None, **look: Any) -> Reading:
    whole = a_group(3, 1, len(records))
    rows = {g: list(token_rows({**r, "text": "x" * 30}, g)) for g, r in enumerate(whole)}
    tokens = rows if look else {}
    return Reading(group_html(stored(records), media or [], tokens, Look(**look)))


def everywhere(value: Any, text: str) -> Any:
    """A record with every string and every key of its inner mappings replaced."""
    if isinstance(value, str):
        return text
    if isinstance(value, Mapping):
        return {f"{text}{i}": everywhere(v, text) for i, v in enumerate(value.values())}
    if isinstance(value, list):
        return [everywhere(v, text) for v in value]
    return value


@pytest.fixture
def page(tmp_path: Path) -> Any:
    write_run(tmp_path / "a", steps=4, groups=3, size=4)
    write_run(tmp_path / "b", steps=4, groups=3, size=4, seed=5)
    with Page.open([tmp_path / "a", tmp_path / "b"]) as page:
        for index in page.indexes.values():
            index.refresh()
        yield page


def at(page: Page, **where: Any) -> Where:
    place = Where(**{"run": "a", **where})
    return looking.settled(page, place, page.indexes[place.run].facets())


# --- a group ---------------------------------------------------------------------------------


def test_a_group_shows_every_rollout_with_its_parts_and_completion() -> None:
    records = a_group(3, 1, 4)
    found = shown(records)
    assert found.count("mi-card") == 4
    assert "box of the" in found.text and "box_iou" in found.text
    for record in records:
        assert record["text"].split("<answer>")[1][:8] in found.text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(text: str) -> None:
    records = [dict(r) for r in a_group(3, 1, 2)]
    for record in records:
        for key in ("text", "question", "draw", "sample", "task", "stage", "stop", "verdict"):
            record[key] = text
        record |= {"target": {text: [text]}, "score_name": text, "failures": {text: text}}
        record |= {"parts": {text: 0.5}, "weights": {text: 1.0}, "evidence": {text: {text: text}}}
    for found in (shown(records), shown(records, measure="logp")):
        assert found.count("mi-card") == 2
        visible = found.text.replace("\n", " ")
        if text.isascii() and text.isprintable() and len(text) < 100:
            assert visible.count(text) >= 8


@pytest.mark.parametrize("text", HOSTILE[:12])
def test_a_record_that_is_hostile_throughout_is_inert(text: str) -> None:
    records = [everywhere(r, text) | {"text": text} for r in a_group(3, 1, 2)]
    assert shown(records).count("mi-card") == 2
    Reading(compare_html(records, records, [], (text, text)))
    poster(records, [], run=text)


WRONG: list[Any] = [None, True, [], {}, "x", -1, 1e400, float("nan"), 10**400, [[1]], {"a": {}}]


@pytest.mark.parametrize("value", WRONG, ids=[ascii(str(v))[:12] for v in WRONG])
def test_records_of_any_shape_are_shown(value: Any) -> None:
    for key in [*a_group(0, 0, 1)[0], "evidence"]:
        if key in ("step", "draw", "text"):  # the index takes no record without these
            continue
        records = [{**r, key: value} for r in a_group(3, 1, 2)]
        assert shown(records).count("mi-card") == 2, key
        assert shown(records, measure="advantage").count("mi-card") == 2, key
        Reading(compare_html(records, records, [], ("a", "b")))
        poster(records, [], run="a")


def test_old_records_are_shown_without_weights_and_outcome() -> None:
    records = a_group(3, 1, 3)
    for record in records:
        for key in ("correct", "weights", "score_name", "overlay", "gold_overlay", "answer_span"):
            record.pop(key)
    found = shown(records)
    assert found.count("mi-card") == 3
    assert "of 3 right" not in found.text
    assert "× –" in found.text


def test_each_answer_is_drawn_once_in_its_card_and_with_all_above() -> None:
    records = a_group(3, 1, 4)
    picture = Image.new("RGB", (112, 84))
    drawn = sum(record["overlay"] is not None for record in records)
    pictures = [a for tag, a, _ in shown(records, [picture]).elements if tag == "img"]
    assert len(pictures) == 1 + drawn


def test_a_medium_that_cannot_be_shown_says_why() -> None:
    found = shown(a_group(3, 1, 2), [MediaError("the <file> is gone")])
    assert "the <file> is gone" in found.text
    assert not any(tag == "img" for tag, *_ in found.elements)


def test_tokens_are_coloured_on_one_scale_with_one_legend() -> None:
    records = a_group(3, 1, 2)
    found = shown(records, measure="logp")
    colours = [
        a["style"] for tag, a, _ in found.elements if "background:rgba" in (a.get("style") or "")
    ]
    # log-probs of the builder are 0, -0.125, … -0.875: the scale reaches from -1 to 0
    assert f"rgba(213,94,0,{0.875 * 0.6:.3f})" in str(colours)
    assert shown(records).count("mm-legend") == 0


def test_a_group_without_a_token_table_says_so() -> None:
    found = Reading(group_html(stored(a_group(3, 1, 2)), [], {}, Look(measure="entropy")))
    assert "no entropy of its tokens" in found.text


def test_a_huge_group_has_a_card_for_its_first_64() -> None:
    found = shown(a_group(3, 1, 70))
    assert found.count("mi-card") == 64
    assert "6 more rollouts" in found.text


# --- pieces ----------------------------------------------------------------------------------


def test_the_bar_of_spread_lies_where_the_rewards_are() -> None:
    # from 0 to 2: 0.5 stands at 25 %, 1.5 at 75 %, their mean in the middle
    html = spread_bar([0.5, None, 1.5], top=2.0)
    assert '<b style="left:25.00%;width:50.00%">' in html
    assert html.count("<i ") == 2 and 'title="rollout 2: 1.500"' in html
    assert '<u style="left:50.00%"' in html


def test_rewards_below_zero_move_the_left_end() -> None:
    # from -1 to 1: -1 at 0 %, 1 at 100 %
    assert '<b style="left:0.00%;width:100.00%">' in spread_bar([-1.0, 1.0])
    assert "mi-track" not in spread_bar([None, float("nan")])


def test_bars_of_advantage_go_to_their_side() -> None:
    assert "left:50.0%;width:25.0%" in balance_bar(0.5, 1.0)
    assert "left:0.0%;width:50.0%" in balance_bar(-3.0, 1.0)
    assert balance_bar(None, 1.0) == ""
    assert "width:0.0%" in balance_bar(0.0, 0.0)


def test_numbers_are_short_and_none_is_a_dash() -> None:
    told = [number(v) for v in (1, 0.12345, 1e-9, 1e12, None, "7", float("nan"), 10**400, True)]
    assert told == ["1", "0.123", "1e-09", "1e+12", "–", "–", "–", "–", "1"]
    assert [signed(v) for v in (0.5, -0.25, 0, None)] == ["+0.500", "−0.250", "+0", "–"]


def test_a_part_adds_its_value_times_its_weight() -> None:
    record = {
        "parts": {"iou": 0.5, "odd": None},
        "weights": {"iou": 0.5},
        "failures": {"odd": "no"},
    }
    text = Reading(parts_table(record)).text
    assert "iou0.500× 0.50.250" in text
    assert "odd–× ––no" in text


def test_the_highest_reward_is_what_all_parts_can_add() -> None:
    assert highest_reward([{"weights": {"a": 1.0, "b": 0.2, "c": -0.5}}]) == 1.2
    assert highest_reward([{}]) == 1.0
    assert highest_reward([{"weights": {"a": float("nan")}}]) == 1.0


# --- the list and the steps ------------------------------------------------------------------


def test_the_newest_step_and_its_first_group_are_opened(page: Page) -> None:
    where, found = looking.opened(page, at(page))
    assert (where.step, where.draw) == (3, "3.0")
    listed = Reading(found.html)
    assert listed.count("mi-row") == 3 and listed.count("mi-on") == 1
    assert listed.text.startswith("1–3 of 3 groups") and "box of the" in listed.text


def test_walking_with_next_visits_every_group_once(page: Page) -> None:
    where, _ = looking.opened(page, at(page, all_steps=True, step=0))
    seen = [(where.step, where.draw)]
    while (goal := looking.beside(page, where, 1)) != where:
        where = goal
        seen.append((where.step, where.draw))
    assert seen == [(s, f"{s}.{k}") for s in range(4) for k in range(3)]
    assert looking.beside(page, where, -1).draw == "3.1"


def test_steps_that_were_not_written_lead_to_the_nearest() -> None:
    steps = (0, 10, 20)
    assert [looking.nearest_step(steps, s) for s in (None, 4, 6, 15, 99, -3)] == [
        20,
        0,
        10,
        10,
        20,
        0,
    ]
    assert looking.nearest_step((), 3) is None
    assert [looking.step_beside(steps, s, w) for s, w in ((10, 1), (20, 1), (0, -1))] == [20, 20, 0]


def test_filters_reach_the_list(page: Page) -> None:
    near = at(page, all_steps=True, filters=Filters(part="box_iou", low=0.4))
    groups = {(s, f"{s}.{k}"): a_group(s, k, 4) for s in range(4) for k in range(3)}
    wanted = [
        key for key, group in groups.items() if any(r["parts"]["box_iou"] >= 0.4 for r in group)
    ]
    rows = looking.list_of(page, near).rows
    assert [(row.step, row.draw) for row in rows] == wanted
    assert 0 < len(wanted) < 12
    none = looking.list_of(page, at(page, filters=Filters(text="no such words")))
    assert "No group passes" in none.html


def test_a_page_beyond_the_end_shows_the_last_one(page: Page) -> None:
    found = looking.list_of(page, at(page, all_steps=True), offset=10_000)
    assert (found.offset, len(found.rows)) == (0, 12)


def test_names_in_the_list_are_inert(tmp_path: Path) -> None:
    def hostile(record: dict[str, Any]) -> None:
        record["draw"] = '"><img src=x onerror=alert(1)>' + record["draw"]
        record["question"] = "<script>alert(1)</script>"

    write_run(tmp_path / "c", steps=1, change=hostile)
    with Page.open([tmp_path / "c"]) as page:
        page.indexes["c"].refresh()
        where, found = looking.opened(page, at(page, run="c"))
        listed = Reading(found.html)
        assert "<script>alert(1)</script>" in listed.text
        assert {a["data-draw"] for t, a, _ in listed.elements if t == "button"} == {
            f'"><img src=x onerror=alert(1)>0.{k}' for k in range(2)
        }
        assert Reading(looking.shown_group(page, where)).count("mi-card") == 4


def test_a_new_step_is_listed_and_the_chosen_group_stays(page: Page, tmp_path: Path) -> None:
    where, _ = looking.opened(page, at(page))
    before = looking.shown_group(page, where)
    with (tmp_path / "a" / "rollouts" / "step-000004.jsonl").open("w") as file:
        file.write('{"step": 4, "draw": "4.0", "te')  # half a line
    words, mark = looking.progress_note(page.indexes["a"], 1.0)
    assert (words, page.indexes["a"].facets().steps[-1]) == ("", 3)
    append_step(tmp_path / "a", 4, groups=3, size=4)
    _, later = looking.progress_note(page.indexes["a"], 1.0)
    assert later != mark
    assert page.indexes["a"].facets().steps[-1] == 4
    assert looking.shown_group(page, where) == before


def test_what_is_left_to_read_is_told(tmp_path: Path) -> None:
    write_run(tmp_path / "many", steps=12)
    with Page.open([tmp_path / "many"]) as page:
        words, _ = looking.progress_note(page.indexes["many"], 0.0)
        assert words == "reading rollouts: 1 of 12 steps"


def test_a_group_that_is_gone_is_a_note(page: Page) -> None:
    found = Reading(looking.shown_group(page, at(page, step=1, draw="no <b>such")))
    assert "has no draw" in found.text
    assert "No group is chosen" in looking.shown_group(page, at(page))


# --- compare ---------------------------------------------------------------------------------


def test_rollouts_are_paired_by_rank_of_reward() -> None:
    given: list[Any] = [{"reward": 0.2}, {"reward": None}, {"reward": 0.9}, {"reward": "x"}]
    assert [r["reward"] for r in ranked(given)] == [0.9, 0.2, None, "x"]


def test_two_groups_show_both_texts_and_one_picture(page: Page) -> None:
    one = [s.record for s in page.indexes["a"].group(0, "0.0")]
    two = [s.record for s in page.indexes["b"].group(0, "0.0")]
    media = looking.media_of_run(page, "a", one[0])
    found = Reading(compare_html(one, two, media, ("a, step 0", "b, step 0")))
    assert found.count("mi-versus") == 4
    assert [tag for tag, *_ in found.elements].count("img") == 1
    assert "a, step 0" in found.text and "The questions of the two differ" not in found.text
    other = [dict(r, question="another") for r in two]
    assert "differ" in Reading(compare_html(one, other, media, ("a", "b"))).text


# --- export ----------------------------------------------------------------------------------


def test_json_holds_the_records_as_they_are(page: Page) -> None:
    where, _ = looking.opened(page, at(page))
    path = export_group(page, where, "json")
    told = json.loads(path.read_text())
    assert told["run"] == "a"
    assert told["rollouts"] == [dict(s.record) for s in page.indexes["a"].group(3, "3.0")]
    assert path.is_relative_to(page.scratch) and path.name == "a-step-3-draw-3-0.json"


def test_png_shows_the_group_and_is_bounded(page: Page) -> None:
    where, _ = looking.opened(page, at(page))
    with Image.open(export_group(page, where, "png")) as picture:
        assert picture.format == "PNG" and picture.width == WIDTH
        # the gold box is drawn in green on the picture
        colours = {c for _, c in picture.convert("RGB").getcolors(1 << 24) or ()}
        assert (0, 170, 110) in colours
    huge = [dict(r, text="\n\x1b[0m" + "W" * 10**6) for r in a_group(0, 0, 40)]
    tall = poster(huge, [Image.new("RGB", (10, 4000))], run="\x00" * 999)
    assert tall.height < 3000


def test_nothing_is_exported_without_a_group(page: Page) -> None:
    with pytest.raises(DataError, match="no group is chosen"):
        export_group(page, Where(run="a"), "json")
    with pytest.raises(DataError, match="has no draw"):
        export_group(page, Where(run="a", step=1, draw="../x"), "png")


NAMES_OF_FILES = ["../../x", "/etc/passwd", "a\0b", "CON", ".", "", "x" * 999, "a\nb", "<b>", "é"]


@pytest.mark.parametrize("name", NAMES_OF_FILES)
def test_names_of_exports_are_plain(name: str) -> None:
    stem = file_stem(Where(run=name, step=1, draw=name))
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}", stem)


def test_the_scratch_folder_goes_with_the_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", steps=1)
    with Page.open([tmp_path / "a"]) as page:
        page.indexes["a"].refresh()
        path = export_group(page, replace(at(page), draw="0.0"), "json")
        assert path.is_file()
    assert not path.exists() and not page.scratch.exists()


def test_evidence_is_told_in_figures_that_can_be_read() -> None:
    looks = [{"order": [1, 0], "text": "B", "content": "ring"}]
    found = {"probabilities": [0.49998845252834917, 1.1e-5], "looks": looks, "p": None}
    shown = evidence_table({"evidence": {"Heard": found}})
    assert "0.5, 1.1e-05" in shown and "[order [1, 0], text B, content ring]" in shown
    assert shown.count("Heard") == 1 and "None" in shown
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    assert in_words(deep) == "[[[[…]]]]"  # the outermost list has no brackets
