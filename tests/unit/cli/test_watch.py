"""`mmrl watch`: a run followed from its log, with a clock that the tests turn."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console as Terminal

from mmrl.cli import main
from mmrl.cli.watch import SILENT_S, Watcher
from mmrl.errors import ConfigError


def a_step(step: int, **figures: Any) -> dict[str, Any]:
    figures = {"reward": 0.5, "length": 20.0, "time/learn": 2.0, **figures}
    return {"kind": "step", "step": step, "stage": "train", **figures}


class World:
    """A run folder, and a clock on which something happens at every sleep."""

    def __init__(self, folder: Path, *, steps: int = 3, terminal: bool = False) -> None:
        self.folder = folder
        self.steps = steps
        self.seconds = 1000.0
        self.todo: list[Callable[[], None]] = []
        self.out = io.StringIO()
        self.watcher = Watcher(
            folder,
            Terminal(file=self.out, force_terminal=terminal, width=120, highlight=False),
            sleep=self.sleep,
            now=lambda: self.seconds,
        )

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "config.yaml").write_text(f"train: {{steps: {self.steps}}}\n")

    def log(self, *records: dict[str, Any], tail: str = "") -> None:
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write("".join(json.dumps(r) + "\n" for r in records) + tail)

    def end(self, **more: Any) -> None:
        summary = {"steps": self.steps, "stopped": "", **more}
        (self.folder / "summary.json").write_text(json.dumps(summary))

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        assert self.todo, "the watcher should have ended"
        self.todo.pop(0)()

    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()


def test_a_run_is_followed_from_before_its_start_to_its_end(tmp_path: Path) -> None:
    world = World(tmp_path / "run")

    def evaluated() -> None:
        world.log({"kind": "eval", "step": 3, "iou": 0.5, "iou_ci95": [0.4, 0.6], "items": 8})
        world.end(table=[dict(metric="iou", before=0, after=1, difference=1, low=0.5, high=1.5)])
        (world.folder / "report.html").write_text("x")

    world.todo = [
        lambda: None,
        world.start,
        lambda: world.log(a_step(0), a_step(1), tail='{"kind": "step", "st'),
        lambda: world.log(tail='ep": 2, "stage": "train", "reward": 0.9}\n'),
        evaluated,
    ]
    world.watcher.follow()
    lines = world.lines()
    assert lines[0] == f"{tmp_path / 'run'}: no run there yet; waiting for it to start."
    assert lines[1].startswith("watching ")
    # two steps of 2 s, one to go
    assert lines[2] == "step 2/3  reward 0.5  length 20  2.00 s/step  ETA 0:02"
    assert "step 3: 8 held-out samples in 0 s: iou 0.500" in lines
    assert any("iou" in line and "+1.000" in line for line in lines)
    assert lines[-2:] == [
        "the run has ended after 3 steps",
        f"report  {tmp_path / 'run' / 'report.html'}",
    ]
    assert world.watcher.panel.done == 3  # the half line was joined to its other half


def test_a_warning_is_told_once(tmp_path: Path) -> None:
    world = World(tmp_path / "run", steps=60)
    world.start()
    world.log(*(a_step(i, truncated=0.5) for i in range(60)))
    world.end()
    world.watcher.follow()
    told = [line for line in world.lines() if line.startswith("warning (truncated) at step 39")]
    assert len(told) == 1
    assert world.lines()[-1] == f"report  mmrl report {tmp_path / 'run'}"


def test_silence_is_said_once_and_ends_with_the_next_line(tmp_path: Path) -> None:
    world = World(tmp_path / "run")
    world.start()
    world.log(a_step(0))
    watcher = world.watcher
    assert not watcher.look()
    world.seconds += SILENT_S - 1
    assert not watcher.look()
    assert "nothing written" not in world.out.getvalue()
    world.seconds += 2
    assert not watcher.look() and not watcher.look()
    assert world.out.getvalue().count("nothing written for 2:01") == 1
    world.log(a_step(1))
    assert not watcher.look() and watcher.panel.note == ""


def test_silence_of_an_old_run_counts_from_its_last_line(tmp_path: Path) -> None:
    world = World(tmp_path / "run")
    world.start()
    (world.folder / "metrics.jsonl").write_text("")
    os.utime(world.folder / "metrics.jsonl", (100.0, 100.0))
    world.watcher.look()
    assert "nothing written for 15:00" in world.out.getvalue()  # 1000 s - 100 s


def test_slow_steps_are_no_silence(tmp_path: Path) -> None:
    world = World(tmp_path / "run")
    world.start()
    world.log(a_step(0) | {"time/learn": 100.0})
    world.watcher.look()
    world.seconds += 900
    world.watcher.look()
    assert "nothing written" not in world.out.getvalue()


def test_a_run_that_goes_back_to_a_checkpoint_is_followed_anew(tmp_path: Path) -> None:
    world = World(tmp_path / "run", steps=9)
    world.start()
    world.log(*(a_step(i) for i in range(5)))
    world.watcher.look()
    assert world.watcher.panel.done == 5
    (world.folder / "metrics.jsonl").write_text(json.dumps(a_step(0)) + "\n")
    world.watcher.look()
    assert world.watcher.panel.done == 1
    assert "resumed from an earlier checkpoint" in world.out.getvalue()


def test_a_resumed_run_that_is_past_where_it_was_is_followed_anew(tmp_path: Path) -> None:
    world = World(tmp_path / "run", steps=99)
    world.start()
    world.log(*(a_step(i) for i in range(5)))
    world.watcher.look()
    (world.folder / "metrics.jsonl").unlink()
    world.log(*(a_step(i, reward=0.75) for i in range(9)))  # longer than what was read
    world.watcher.look()
    assert world.watcher.panel.done == 9
    assert world.watcher.panel.figures()["reward"] == "0.75"  # none of the 0.5 from before
    assert "resumed from an earlier checkpoint" in world.out.getvalue()


def test_a_prolonged_run_has_not_ended(tmp_path: Path) -> None:
    world = World(tmp_path / "run", steps=9)
    world.start()
    world.end(steps=3)
    assert not world.watcher.look()
    world.end(steps=3, stopped="time limit")
    assert world.watcher.look()


def test_a_terminal_gets_the_table(tmp_path: Path) -> None:
    world = World(tmp_path / "run", terminal=True)
    world.start()
    world.log(*(a_step(i, score=0.25, zero_spread=0.5) for i in range(3)))
    world.end()
    world.watcher.follow()
    shown = world.out.getvalue()
    assert "zero spread" in shown and "50%" in shown and "0.25" in shown
    assert not world.watcher.live.is_started


def test_names_in_the_log_cannot_move_the_cursor(tmp_path: Path) -> None:
    world = World(tmp_path / "run", steps=2)
    world.start()
    name = "\x1b[2Jx"
    world.log(a_step(0) | {"stage": name}, {"kind": "eval", "step": 1, name: 0.5})
    world.log({"kind": "eval", "step": 1, name: 0.5, f"{name}_ci95": [0, 1], "items": name})
    world.end(stopped=name)
    world.watcher.follow()
    assert "\x1b" not in world.out.getvalue()
    assert world.out.getvalue().count("«ESC»[2Jx") == 4


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="not a run folder"):
        World(tmp_path).watcher.follow()


def test_ctrl_c_leaves_the_run_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(self: Watcher) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Watcher, "follow", interrupted)
    assert main(["watch", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "left; the run goes on by itself\n"


def test_report_and_watch_stand_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = World(tmp_path / "run", steps=1)
    world.start()
    world.log(a_step(0))
    world.end()
    assert main(["watch", str(world.folder)]) == 0
    assert "the run has ended after 1 steps" in capsys.readouterr().out
    out = tmp_path / "r.html"
    assert main(["report", str(world.folder), "--to", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert "1 steps, finished" in out.read_text()
    assert main(["report", str(world.folder), "--to", "r.pdf"]) == 2
    assert "ends in .html" in capsys.readouterr().err
