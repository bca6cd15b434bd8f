"""Temporal-R1: what and when are paid each by its weight, and only spread teaches."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from builders import CLOCK, a_group, a_sample, alone, answered

from mmrl.data.registry import open_data
from mmrl.errors import ConfigError, DataError
from mmrl.methods.base import method_spec
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Group, Sample

ROOT = Path(__file__).parents[2]
SPANS = ("[1, 3]", "[2, 4]", "[5, 6]", "from 1 to 3")
"""tIoU with [1, 3]: 1, 1/3, 0, 1; the last has not the form of a span alone."""


def scored(task, sample, answers, **settings):
    """The scored group of these answers under the method, and the method."""
    spec = method_spec({"name": "temporal_r1", "group_size": 4, **settings}, max_length=64)
    method = spec.build(TASKS.get(task))
    rollouts = tuple(answered(text) for text in answers)
    group = Group(draw_id="0.0", sample=sample, rollouts=rollouts)
    scorer = Scorer(
        rewards={task: spec.rewards(TASKS.get(task))},
        bonuses=method.bonuses,
        combine=method.combine,
    )
    (found,) = scorer([group], CLOCK)
    return found, method


def sample_of(task, target, **meta):
    return Sample(id="s", task=task, question="?", target=target, meta=meta)


def test_a_span_earns_half_its_overlap_and_half_its_form():
    found, method = scored("temporal", sample_of("temporal", [1, 3]), SPANS)
    assert found.parts["span_iou"] == pytest.approx((1.0, 1 / 3, 0.0, 1.0))
    assert found.parts["span_format"] == (1.0, 1.0, 1.0, 0.0)
    want = [1.0, 0.5 + 0.5 / 3, 0.5, 0.5]
    assert found.rewards == pytest.approx(want)
    (advantages,) = method.credit([found], alone, CLOCK)
    # mean 2/3; squares (1/3)^2 + 0 + (1/6)^2 + (1/6)^2 = 1/6; std = sqrt(1/6 / 3)
    std = (1 / 18) ** 0.5
    assert list(advantages) == pytest.approx([(r - 2 / 3) / (std + 1e-6) for r in want])
    assert [t.name for t in method.terms] == ["policy", "kl", "entropy"]
    assert [t.coefficient for t in method.terms] == [1.0, 0.01, 0.001]


def test_an_option_earns_half_and_its_form_half():
    found, _ = scored("choice", sample_of("choice", "B"), ("B", "A", "(B)", "B."))
    assert found.parts["choice"] == (1.0, 0.0, 1.0, 1.0)
    assert found.parts["when"] == (None,) * 4  # the row tells no span
    assert found.rewards == pytest.approx((1.0, 0.5, 1.0, 1.0))


def test_several_letters_are_right_or_wrong():
    """The task's own reward pays half for one of two; the paper's is 0 or 1."""
    found, _ = scored("choices", sample_of("choices", "A,C"), ("A,C", "A", "C,A", "A,B"))
    assert found.parts["choices_exact"] == (1.0, 0.0, 1.0, 0.0)
    assert found.rewards == pytest.approx((1.0, 0.5, 1.0, 0.5))
    assert "choices" not in found.parts


GROUNDED = ("B. [1, 3]", "B. [2, 4]", "A. [1, 3]", "B")


@pytest.mark.parametrize(
    ("settings", "want"),
    [
        ({}, (0.5 + 0.5 + 0.5, 0.5 + 0.5 / 3 + 0.5, 0.0 + 0.5 + 0.5, 0.5 + 0.0 + 0.5)),
        ({"w_tmp": 0.0}, (1.0, 1.0, 0.5, 1.0)),
        ({"w_sem": 0.0}, (1.0, 0.5 + 0.5 / 3, 1.0, 0.5)),
        ({"w_sem": 2.0, "w_format": 0.1}, (1.6, 1.1 + 0.5 / 3, 0.6, 1.1)),
    ],
)
def test_grounded_questions_are_paid_for_what_and_for_when(settings, want):
    found, _ = scored("choice", sample_of("choice", "B", span=[1.0, 3.0]), GROUNDED, **settings)
    assert found.rewards == pytest.approx(want)


def test_mechanism_when_tells_apart_what_the_option_alone_does_not():
    """All four chose B: with the temporal part switched off no rollout is better than another."""
    sample = sample_of("choice", "B", span=[1.0, 3.0])
    said = ("B. [1, 3]", "B. [2, 4]", "B. [5, 6]", "B. [1, 2]")
    with_it, method = scored("choice", sample, said)
    without, _ = scored("choice", sample, said, w_tmp=0.0)
    (on,), (off,) = (method.credit([f], alone, CLOCK) for f in (with_it, without))
    assert without.spread == 0.0 and list(off) == [0.0] * 4
    assert with_it.spread == 0.5
    # overlaps 1, 1/3, 0, 1/2 of mean 11/24
    assert [a > 0 for a in on] == [True, False, False, True]
    assert on[0] == max(on) and on[2] == min(on)


def test_the_nearest_of_several_spans_counts():
    sample = sample_of("choice", "B", glue=[[1.0, 3.0], [5.0, 6.0]])
    found, _ = scored("choice", sample, ("B. [5, 6]", "B. [1, 3]", "B", "B."), span_column="glue")
    assert found.parts["when"] == (1.0, 1.0, 0.0, 0.0)


def test_nextgqa_grounded_rows_are_asked_for_both_and_paid_for_both(tmp_path):
    """Two of the four real rows are negated; the first of the others is C, seen five times."""
    script, rows = ROOT / "datasets_cfg/nextgqa_grounded.py", ROOT / "tests/data/rows/nextgqa.json"
    folder = tmp_path / "data" / "nextgqa"
    line = [sys.executable, str(script), "--from", str(rows), "--to", str(folder)]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    made = subprocess.run(line, capture_output=True, text=True, env=environment, check=False)
    assert made.returncode == 0, made.stderr
    assert "2 rows; left out: {'negated': 2}" in made.stdout
    (tmp_path / "datasets_cfg").mkdir()
    cfg = tmp_path / "datasets_cfg" / "nextgqa_grounded.yaml"
    cfg.write_text((ROOT / "datasets_cfg" / "nextgqa_grounded.yaml").read_text())
    view = open_data({"cfg": str(cfg)}, "val")
    sample = view[0]
    assert (view.size, sample.target, len(sample.meta["span"])) == (2, "C", 5)
    assert sample.media[0].path == folder / "NExTQA/videos/2435100235.mp4"
    asked = str(TASKS.get(sample.task).messages(sample))
    assert "C. show him the watch" in asked and "<answer>B. [1.5, 3.2]</answer>" in asked
    found, _ = scored(sample.task, sample, ("C. [50.5, 57.5]", "C", "A. [58.5, 63.6]", "C. [0, 1]"))
    assert found.rewards == pytest.approx((1.5, 1.0, 1.0, 1.0))


@pytest.mark.parametrize("span", ["1-3", [], 4.0])
def test_a_span_that_is_none_is_an_error_of_the_data(span):
    with pytest.raises(DataError, match=r'sample "s": meta\["span"\] should be a span'):
        scored("choice", sample_of("choice", "B", span=span), ("B",) * 4)


def test_a_task_without_spans_and_options_is_refused():
    with pytest.raises(ConfigError, match=r"judges spans \(span_iou\).*task digit_box has neither"):
        method_spec({"name": "temporal_r1"}, max_length=64).build(TASKS.get("digit_box"))
    with pytest.raises(ConfigError, match=r"method\.w_temporal: temporal_r1 has no such setting"):
        method_spec({"name": "temporal_r1", "w_temporal": 1.0})


def test_a_group_without_spread_gets_nothing():
    method = scored("temporal", sample_of("temporal", [1, 3]), SPANS)[1]
    flat = a_group([0.5] * 4, sample=a_sample([1, 3]))
    (advantages,) = method.credit([flat], alone, CLOCK)
    assert list(advantages) == [0.0] * 4
