"""The inspector benchmark: a small run of its form is written, indexed whole and asked."""

from __future__ import annotations

import json
from pathlib import Path

from mmrl.bench import inspector
from mmrl.inspector.index import RolloutIndex
from mmrl.inspector.query import Query
from mmrl.inspector.runs import RunFiles


def test_the_run_it_writes_has_the_size_and_form_that_it_says(tmp_path: Path) -> None:
    inspector.write_large_run(tmp_path / "run", rollouts=90, steps=4)
    run = RunFiles(tmp_path / "run")
    index = RolloutIndex(run)
    progress = index.refresh()
    # 90 over 4 steps: 22, 23, 22, 23; each is three groups, the last one not whole
    assert (progress.files, progress.rollouts, progress.bad_lines) == (4, 90, 0)
    assert [r["step"] for r in run.metrics()] == [0, 1, 2, 3]
    assert [g.num for g in index.groups(Query(steps=(0, 1))).rows] == [8, 8, 6, 8, 8, 7]
    facets = index.facets()
    assert facets.parts == ("detail", "format", "iou") and len(facets.tasks) == 2
    texts = [
        s.record["text"] for g in index.groups(Query()).rows for s in index.group(g.step, g.draw)
    ]
    assert all(40 <= len(text) <= 400 for text in texts)
    index.close()


def test_figures_are_of_every_filter(tmp_path: Path) -> None:
    goal = tmp_path / "figures.json"
    words = ["--rollouts", "400", "--steps", "20", "--repeats", "1", "--json", str(goal)]
    figures = inspector.run(words)
    assert json.loads(goal.read_text()) == figures
    rows = {row["filter"]: row for row in figures["rows"]}
    assert rows.keys() == inspector.FILTERS.keys()
    # 20 rollouts a step: two groups of 8 and one of 4
    assert (rows["none"]["groups"], rows["none"]["rollouts"]) == (60, 400)
    assert rows["text, none has it"]["groups"] == 0
    assert 0 < rows["correct"]["rollouts"] < 400 and 0 < rows["zero spread"]["groups"] < 60
    assert figures["slowest_filter_s"] == max(
        max(row["groups_s"], row["rollouts_s"]) for row in figures["rows"]
    )
    assert figures["first_view_s"] > 0 and figures["new_step_s"] > 0
