"""`mmrl bench worlds`: what is drawn, what is said of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mmrl.bench import worlds
from mmrl.errors import ConfigError
from mmrl.tasks.base import TASKS


def test_every_level_has_a_row_and_no_sample_is_drawn_twice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[tuple[str, int]] = []

    def world(index: int, /, *, split: str, seed: int, level: str = "x") -> Any:
        seen.append((level, index))
        return SimpleNamespace(media=[SimpleNamespace(data=b"four")] * 2)

    task = SimpleNamespace(
        world=world, world_options={}, levels={"low": {"level": "low"}, "top": {"level": "top"}}
    )

    class Registry(dict[str, Any]):
        get = dict.__getitem__

    monkeypatch.setattr(worlds, "TASKS", Registry(mine=task, rows=SimpleNamespace(world=None)))
    out = tmp_path / "w.json"
    figures = worlds.run(["--samples", "3", "--repeats", "5", "--json", str(out)])
    assert [(row["world"], row["level"]) for row in figures["rows"]] == [
        ("mine", "low"),
        ("mine", "top"),
    ]
    assert len(seen) == len(set(seen)) == 2 * 3 * (5 + 1)
    assert {row["bytes_a_sample"] for row in figures["rows"]} == {8}
    assert figures["least_samples_a_second"] == min(r["samples_a_second"] for r in figures["rows"])
    assert json.loads(out.read_text()) == figures
    for row in figures["rows"]:
        middle = sorted(row["seconds_of_each_round"])[2]
        assert row["samples_a_second"] == pytest.approx(3 / middle, rel=0.2)


def test_the_process_is_on_one_core_meanwhile_and_free_again() -> None:
    before = os.sched_getaffinity(0)
    with worlds.one_core() as pinned:
        assert pinned and len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_a_real_world_and_names_that_are_none() -> None:
    row = worlds.run(["plain_text", "--samples", "2", "--repeats", "1"])["rows"][0]
    assert row["world"] == "plain_text" and row["samples_a_second"] > 0
    assert worlds.chosen_levels(["chart"], "hard") == [("chart", "hard")]
    assert len(worlds.chosen_levels([], None)) == sum(
        len(TASKS.get(t).levels) for t in TASKS if TASKS.get(t).world
    )
    with pytest.raises(ConfigError, match='no world "chrat"\\. Did you mean "chart"'):
        worlds.run(["chrat"])
    with pytest.raises(ConfigError, match='no world "choice"'):
        worlds.run(["choice"])
    with pytest.raises(ConfigError, match='no level "hrad" there\\. Did you mean "hard"'):
        worlds.run(["chart", "--level", "hrad"])
