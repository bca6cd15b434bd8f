"""The run on a terminal: lines, the live table, warnings, quiet."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console as Terminal

from mmrl.eval.measures import Estimate
from mmrl.eval.run import Evaluation
from mmrl.train.observers.console import Console, Mode
from mmrl.train.observers.panel import Panel, clock, memory_text, resident_bytes
from mmrl.types import Clock


def a_report(step: int, stage: str = "train", **metrics: float) -> Any:
    clock = Clock(step=step, stage=stage, stage_step=step, stage_steps=100)
    return SimpleNamespace(clock=clock, metrics=metrics)


def a_console(mode: Mode, *, terminal: bool = False) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    screen = Terminal(file=out, force_terminal=terminal, width=120, highlight=False)
    return Console(mode, screen), out


def an_info(folder: Path, **more: Any) -> Any:
    settings = {"total_steps": 100, "start_step": 0, "resumed": False, **more}
    return SimpleNamespace(run=SimpleNamespace(name="x"), folder=folder, **settings)


def test_figures_are_exponential_means_and_the_rate_gives_the_time_left() -> None:
    panel = Panel(10)
    panel.step({"step": 0, "stage": "train", "reward": 1.0, "zero_spread": 0.5}, 2.0)
    panel.step({"step": 1, "stage": "train", "reward": 0.0, "zero_spread": 0.5}, 12.0)
    # reward 0.9·1 + 0.1·0; rate 0.9·2 + 0.1·12 = 3; eight steps of 3 s
    assert panel.figures() == {"reward": "0.9", "zero spread": "50%"}
    assert panel.seconds_left == pytest.approx(24.0)
    panel.memory = "1.5 GiB"
    assert panel.line() == "step 2/10  reward 0.9  zero spread 50%  3.00 s/step  ETA 0:24  1.5 GiB"


def test_a_new_stage_starts_its_figures_anew() -> None:
    panel = Panel(None)
    panel.step({"step": 0, "stage": "cold", "loss": 2.0, "length": 90.0}, None)
    assert panel.line() == "step 1  cold  length 90  loss 2"
    panel.step({"step": 1, "stage": "rl", "loss": 0.1, "reward": 0.5, "length": 30.0}, None)
    assert panel.line() == "step 2  rl  reward 0.5  length 30"
    panel.step({"step": 2, "stage": "rl", "truncated": 0.3}, None)
    assert panel.line() == "step 3  rl  reward 0.5  length 30  truncated 30%"


def test_what_is_not_finite_is_left_out() -> None:
    panel = Panel(5)
    for value in (0.5, float("nan"), None, float("inf")):
        panel.step({"step": 0, "stage": "train", "reward": value}, 1.0)
    assert panel.figures() == {"reward": "0.5"}


def test_clock_rounds_to_seconds() -> None:
    assert [clock(s) for s in (0.4, 59.6, 3661.4)] == ["0:00", "1:00", "1:01:01"]


def test_memory_grows_with_what_is_held() -> None:
    before = resident_bytes()
    held = bytearray(64 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert 48 << 20 < resident_bytes() - before < 200 << 20
    assert memory_text().endswith(" GiB")


def test_lines_begin_end_and_warn_once(tmp_path: Path) -> None:
    console, out = a_console("auto")
    console.on_start(an_info(tmp_path, total_steps=60))
    for step in range(60):
        console.on_step(a_report(step, reward=0.5, truncated=0.5))
    console.on_end({"lines": ["done [not markup]"]})
    lines = out.getvalue().splitlines()
    assert lines[0] == f"training x in {tmp_path}, 60 steps"
    assert lines[1].startswith("step 1/60  reward 0.5  truncated 50%") and "GiB" in lines[1]
    warnings = [line for line in lines if line.startswith("warning")]
    assert len(warnings) == 1 and warnings[0].startswith("warning (truncated) at step 39: 50%")
    assert lines[-2].startswith("step 60/60") and lines[-1] == "done [not markup]"


def test_a_resumed_run_does_not_tell_old_warnings_again(tmp_path: Path) -> None:
    log = "".join(
        f'{{"kind": "step", "step": {i}, "stage": "train", "truncated": 0.5}}\n' for i in range(50)
    )
    (tmp_path / "metrics.jsonl").write_text(log)
    console, out = a_console("lines")
    console.on_start(an_info(tmp_path, start_step=50, resumed=True))
    for step in range(50, 60):
        console.on_step(a_report(step, truncated=0.5))
    assert "resuming" in out.getvalue() and "warning" not in out.getvalue()


def test_an_evaluation_warns_when_held_out_falls_while_reward_rises(tmp_path: Path) -> None:
    console, out = a_console("lines")
    console.on_start(an_info(tmp_path))
    for step, mean in ((0, 0.6), (60, 0.4)):
        if step:
            for i in range(60):
                console.on_step(a_report(i, reward=0.3 + 0.005 * i))
        value = Estimate(mean, mean - 0.05, mean + 0.05, 64)
        console.on_eval(Evaluation(step=step, items=(), estimates={"accuracy": value}), 3.0)
    assert "step 60: 0 held-out samples in 3 s: accuracy 0.400" in out.getvalue()
    assert out.getvalue().count("warning (reward_without_score) at step 59") == 1


def test_a_terminal_gets_a_live_table_that_is_taken_away(tmp_path: Path) -> None:
    console, out = a_console("auto", terminal=True)
    console.on_start(an_info(tmp_path))
    assert console.mode == "live" and console.live.is_started
    console.on_step(a_report(0, reward=0.5, zero_spread=0.25))
    console.on_progress("evaluating", 3, 8)
    console.live.refresh()
    shown = out.getvalue()
    assert "step 1/100" in shown and "25%" in shown and "evaluating 3/8" in shown
    console.on_end({})
    assert not console.live.is_started
    console.close()


def test_quiet_says_nothing(tmp_path: Path) -> None:
    console, out = a_console("quiet")
    console.on_start(an_info(tmp_path))
    for step in range(50):
        console.on_step(a_report(step, truncated=0.9))
    console.on_eval(Evaluation(step=1, items=()), 0.0)
    console.on_end({"lines": ["x"], "table": []})
    assert out.getvalue() == ""
