"""Curves of several runs: keys, smoothing, bands, borders, phases, labels that do nothing.

The figures are read back as the JSON that a browser gets.
"""

from __future__ import annotations

import html
import json
import math
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.errors import ConfigError, DataError
from mmrl.inspector.curves import TITLES, Curves, RunRecords
from mmrl.inspector.figure import COLOURS, label
from mmrl.inspector.seeds import band_of, seed_groups
from mmrl.parse.visible import visible

pytest.importorskip("plotly")


def steps(values, key="reward", stage="train"):
    return [{"kind": "step", "step": i, "stage": stage, key: v} for i, v in enumerate(values)]


def run(name="a", values=(1.0, 2.0), config=None, **kwargs):
    return RunRecords(name=name, records=steps(values, **kwargs), config=config or {})


def drawn(figure):
    return json.loads(figure.to_json())


def settings_of(seed, **kwargs):
    return {"seed": seed, "name": f"s{seed}", "run_dir": f"runs/s{seed}", **kwargs}


def test_keys_come_known_first_then_parts_evaluations_the_rest_and_times():
    step = {
        "kind": "step",
        "step": 0,
        "stage": "t",
        "zero_spread": 0.0,
        "reward": 0.5,
        "clip_low": 0.25,
        "clip_high": 0.5,
        "reward/iou": 0.5,
        "draws": 16.0,
        "time/learn": 1.0,
        "kl": None,
        "entropy": math.nan,
        "flag": True,
    }
    evaluation = {"kind": "eval", "step": 0, "iou": 0.5, "iou_ci95": [0.4, 0.6], "items": 9}
    curves = Curves([RunRecords(name="a", records=[step, evaluation])])
    first = ["reward", "zero_spread", "clip_share", "reward/iou", "eval/iou"]
    assert curves.first_keys() == first
    assert curves.keys() == [*first, "clip_high", "clip_low", "draws", "time/learn"]
    assert curves.series("clip_share", 0) == ([0], [0.75])
    assert curves.series("eval/iou", 0) == ([0], [0.5])


def test_the_smoothed_line_lies_over_the_faint_values():
    data = drawn(Curves([run(values=[4.0, None, 8.0])]).figure("reward", keep=0.5))["data"]
    assert [d["x"] for d in data] == [[0, 2], [0, 2]]
    assert data[0]["y"] == [4.0, 8.0] and data[0]["opacity"] == 0.3
    assert data[1]["y"] == pytest.approx([4.0, 20 / 3])  # (0.5 * 2 + 4) / 0.75


def test_without_smoothing_there_is_one_line():
    data = drawn(Curves([run(values=[4.0, 8.0])]).figure("reward", keep=0.0))["data"]
    assert [d["y"] for d in data] == [[4.0, 8.0]]


def test_a_run_keeps_its_colour_where_another_has_no_such_key():
    curves = Curves([run("a", key="loss"), run("b", [3.0, 4.0])])
    (line,) = drawn(curves.figure("reward", keep=0.0))["data"]
    assert line["line"]["color"] == COLOURS[1] and line["name"] == "b"
    both = drawn(Curves([run("a"), run("b")]).figure("reward", keep=0.0))
    assert [d["line"]["color"] for d in both["data"]] == list(COLOURS[:2])
    assert both["layout"]["showlegend"]


def test_twenty_four_runs_look_different():
    data = drawn(Curves([run(str(i)) for i in range(24)]).figure("reward", keep=0.0))["data"]
    assert len({(d["line"]["color"], d["line"]["dash"]) for d in data}) == 24


def test_evaluations_have_their_intervals():
    rows = [
        {"kind": "eval", "step": 0, "iou": 0.5, "iou_ci95": [0.25, 0.625]},
        {"kind": "eval", "step": 40, "iou": 0.75, "iou_ci95": [None, None]},
        {"kind": "eval", "step": 60, "iou": None, "iou_ci95": [0.0, 1.0]},
    ]
    (line,) = drawn(Curves([RunRecords(name="a", records=rows)]).figure("eval/iou"))["data"]
    assert (line["x"], line["y"]) == ([0, 40], [0.5, 0.75])
    assert line["error_y"]["array"] == [0.125, 0.0]
    assert line["error_y"]["arrayminus"] == [0.25, 0.0]


def test_long_series_are_thinned_and_keep_their_spike():
    values = [0.0] * 5000
    values[1234] = 9.0
    data = drawn(Curves([run(values=values)]).figure("reward", keep=0.9))["data"]
    assert all(len(d["x"]) <= 1000 for d in data)
    assert data[0]["y"][data[0]["x"].index(1234)] == 9.0


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(DataError, match=r'"rewrd".* Did you mean "reward"'):
        Curves([run()]).figure("rewrd")


def test_runs_that_differ_in_the_seed_alone_belong_together():
    train = {"lr": 1, "time_limit_s": 9}
    configs = [
        settings_of(0, train=train),
        settings_of(0, train={"lr": 2}),
        settings_of(
            1, train={**train, "time_limit_s": None, "prefetch": 1}, log={}, checkpoint={"every": 1}
        ),
        {},
        {},
        settings_of(0, train=train),  # the seed of the first again
        settings_of(2, train={"lr": 2}),
    ]
    assert seed_groups(configs) == [[0, 2], [1, 6], [3], [4], [5]]


def test_a_band_by_hand():
    series = [([0, 1, 2], [1.0, 2.0, 3.0]), ([1, 2, 3], [4.0, 5.0, 6.0]), ([2, 1], [7.0, 6.0])]
    assert band_of(series, "range") == ([1, 2], [4.0, 5.0], [2.0, 3.0], [6.0, 7.0])
    x, mean, low, high = band_of(series, "interval")
    # values 2, 4, 6: s = 2, t(0.975, 2) = 4.302653, arm = 4.302653 * 2 / sqrt(3) = 4.968276
    assert (x, mean) == ([1, 2], [4.0, 5.0])
    assert low == pytest.approx([4.0 - 4.968276, 5.0 - 4.968276], abs=1e-5)
    assert high == pytest.approx([4.0 + 4.968276, 5.0 + 4.968276], abs=1e-5)
    assert band_of([], "range") == ([], [], [], [])
    assert band_of([([5], [2.0])], "interval") == ([5], [2.0], [2.0], [2.0])


FEW = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6)


@settings(deadline=None)
@given(FEW, st.sampled_from(["range", "interval"]))
def test_the_mean_lies_in_its_band_and_order_does_not_matter(values, band):
    _, (mean,), (low,), (high,) = band_of([([0], [v]) for v in values], band)
    assert low <= mean + 1e-9 and mean <= high + 1e-9
    again = band_of([([0], [v]) for v in values[::-1]], band)
    assert [again[1][0], again[2][0], again[3][0]] == pytest.approx([mean, low, high], abs=1e-6)


@pytest.mark.parametrize(
    ("band", "words"), [("range", "min to max"), ("interval", "95 % interval of the mean")]
)
def test_seeds_are_drawn_as_one_line_in_a_band_that_says_what_it_is(band, words):
    curves = Curves([run("a", [1.0, 2.0], settings_of(0)), run("b", [3.0, 6.0], settings_of(1))])
    area, line = drawn(curves.figure("reward", keep=0.0, band=band))["data"]
    assert line["y"] == [2.0, 4.0] and line["name"] == f"a · 2 seeds: mean, {words}"
    assert area["fill"] == "toself" and area["x"] == [0, 1, 1, 0]
    if band == "range":
        assert area["y"] == [3.0, 6.0, 2.0, 1.0]
    apart = drawn(curves.figure("reward", keep=0.0, band=None))["data"]
    assert [d["y"] for d in apart] == [[1.0, 2.0], [3.0, 6.0]]


def test_seeds_without_a_common_step_are_drawn_apart():
    late = [{"kind": "step", "step": 9, "stage": "t", "reward": 1.0}]
    runs = [
        run("a", config=settings_of(0)),
        RunRecords(name="b", records=late, config=settings_of(1)),
    ]
    data = drawn(Curves(runs).figure("reward", keep=0.0))["data"]
    assert [d["name"] for d in data] == ["a", "b"]


def test_stage_borders_are_marked_once_with_their_names():
    records = steps([1.0] * 4, stage="judge")
    records[2]["stage"] = records[3]["stage"] = "plan <b>"
    curves = Curves([RunRecords(name=n, records=records) for n in "ab"])
    layout = drawn(curves.figure("reward"))["layout"]
    assert [(s["x0"], s["x1"]) for s in layout["shapes"]] == [(2, 2)]
    assert [(a["x"], a["text"]) for a in layout["annotations"][1:]] == [(2, "plan &#60;b&#62;")]
    assert "shapes" not in drawn(Curves([run()]).figure("reward"))["layout"]


def test_phases_are_stacked_and_a_missing_one_is_no_time():
    rows = [
        {"kind": "step", "step": 0, "stage": "t", "time/rollout": 1.0, "time/learn": 2.0},
        {"kind": "step", "step": 1, "stage": "t", "time/rollout": 3.0},
        {"kind": "step", "step": 2, "stage": "t"},
        {"kind": "step", "step": 3, "stage": "t", "time/rollout": 5.0, "time/learn": 4.0},
    ]
    curves = Curves([RunRecords(name="a", records=rows)])
    learn, rollout = drawn(curves.phases(0))["data"]
    assert (learn["x"], learn["y"], learn["name"]) == ([0, 1, 3], [2.0, 0.0, 4.0], "learn")
    assert rollout["y"] == [1.0, 3.0, 5.0] and rollout["stackgroup"] == learn["stackgroup"]
    learn, rollout = drawn(curves.phases(0, most=2))["data"]
    assert (learn["x"], learn["y"], rollout["y"]) == ([0, 1], [2.0, 2.0], [1.0, 4.0])
    with pytest.raises(DataError, match="how long its phases took"):
        Curves([run()]).phases(0)


HOSTILE = [
    "<b>bold</b>",
    '<a href="javascript:alert(1)">press</a>',
    "<img src=x onerror=alert(1)>",
    "$\\href{javascript:alert(1)}{x}$",
    "%{y} %{customdata[0]}",
    "a<extra></extra>b",
    "&lt;b&gt;",
    "\u202egnp\x1b[31m\ud800",
    "{{7*7}} <br> <span style='x'>",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_files_are_labels_that_do_nothing(name):
    second = {"kind": "step", "step": 1, "stage": "2" + name}
    records = [*steps([1.0], stage=name), second | {f"reward/{name}": 1.0, f"time/{name}": 1.0}]
    curves = Curves([RunRecords(name=name, records=records)] * 2)
    figures = [curves.figure("reward"), curves.figure(f"reward/{name}"), curves.phases(0)]
    for figure in map(drawn, figures):
        texts = [figure["layout"]["title"]["text"]]
        texts += [a["text"] for a in figure["layout"]["annotations"]]
        for trace in figure["data"]:
            texts.append(trace["name"])
            if "hovertemplate" in trace:
                whole = r"%\{y:[.\dg]+\}(?: s)?<extra>(.*)</extra>"
                texts.append(re.fullmatch(whole, trace["hovertemplate"])[1])
        assert not [t for t in texts if re.search(r"[<>$%{}\"'\x00-\x1f\ud800-\udfff]", t)]


@settings(deadline=None)
@given(st.text(st.characters(), max_size=100))
def test_a_label_says_the_text_and_has_no_sign_with_a_meaning(text):
    made = label(text)
    assert not set(made) & set("<>$%{}\"'\n\t")
    assert "&" not in re.sub(r"&#\d+;", "", made)
    assert html.unescape(made) == " ".join(visible(text[:80]).split()) + "…" * (len(text) > 80)


def test_a_long_label_is_cut():
    assert label("a" * 90) == "a" * 80 + "…"


def test_figures_are_transparent_with_colours_that_fit_both_themes():
    layout = drawn(Curves([run()]).figure("reward"))["layout"]
    assert layout["paper_bgcolor"] == layout["plot_bgcolor"] == "rgba(0,0,0,0)"
    for page in ("#ffffff", "#0b0f19"):
        assert contrast(layout["font"]["color"], page) > 4.0


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2 defines it."""
    lights = []
    for colour in (one, other):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        lights.append(0.2126 * r + 0.7152 * g + 0.0722 * b)
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_without_plotly_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(ConfigError, match=r"plotly: pip install 'mmrl\[inspect\]'"):
        Curves([run()]).figure("reward")


def test_numbers_at_the_end_of_the_floats_are_drawn():
    big = sys.float_info.max
    runs = [run(n, [big, -big, 10**400, 1.0], settings_of(s)) for s, n in enumerate("ab")]
    data = drawn(Curves(runs).figure("reward", band="interval"))["data"]
    assert data[1]["x"] == [0, 1, 3]


def test_every_known_title_is_a_title():
    curves = Curves([RunRecords(name="a", records=steps([1.0], key=k)) for k in TITLES])
    assert curves.keys() == list(TITLES)
    for key in TITLES:
        assert drawn(curves.figure(key))["layout"]["title"]["text"] == TITLES[key]
