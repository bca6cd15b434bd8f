"""Staged runs on a scripted policy, of which one rank alone is told to leave, or both break.

Writes to FOLDER/rank<n>.json how each run of `main` ended, on this rank.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist

from mmrl.config.load import load_recipe
from mmrl.data.registry import register_dataset
from mmrl.policy.scripted import Scripted
from mmrl.rewards.builtin import FORMAT
from mmrl.roles import Reward
from mmrl.tasks.base import TASKS, Task
from mmrl.train import run as run_module
from mmrl.train.models import Doors
from mmrl.train.observers.files import RolloutFiles
from mmrl.train.ranks import Ranks
from mmrl.train.session import Session
from mmrl.types import Sample

RANK = int(os.environ["RANK"])


class PowerCut(Exception):
    """Ends both processes' run at once."""


def says(answer: str) -> str:
    return f"<think>x</think><answer>{answer}</answer>"


def right(rollout, sample, evidence=None, clock=None, /) -> float:
    return float(rollout.parsed.answer == sample.target)


SCRIPT = {
    "half": [says("yes"), says("no")],
    "always": [says("yes")],
    "seldom": [says("yes"), *[says("no")] * 3],
}
POLICY = Scripted(SCRIPT)
RECIPE = {
    "name": "ranks",
    "policy": {"model": "none"},
    "method": {"name": "grpo", "group_size": 4, "beta": 0.1},
    "data": [{"dataset": "rank_rows"}],
    "optimizer": {"lr": 0.1},
    "train": {"prompts_per_step": 2},
    "stages": [
        {"name": "filter", "kind": "collect", "steps": 4, "collect": {"samples": 4}},
        {"name": "learn", "steps": 6, "data": [{"stage": "filter.kept"}]},
    ],
    # three prompts one at a time: the first rank evaluates two of them, the other one
    "eval": {"data": [{"dataset": "rank_rows"}], "limit": 3, "batch_prompts": 1, "every": 3},
    "checkpoint": {"every": 2},
    "log": {"console": "quiet"},
}


def rows(split: str) -> list[Sample]:
    asked = [*SCRIPT, *SCRIPT, "half", "seldom"]
    return [
        Sample(id=f"{split}-{i}", task="said", question=question, target="yes")
        for i, question in enumerate(asked)
    ]


def load(loaded: Any, *, quarantine: Any = None) -> Doors:
    POLICY.bias.data.zero_()
    return Doors(POLICY, POLICY, loaded.run.rollout, seed=loaded.run.seed)


def start(folder: Path, where: str = "", at: int = -1, do: Callable[[], None] = print) -> Any:
    """Trains in `folder`; `do` happens in a method `where` of a part when the run is at `at`."""
    owner: Any = RolloutFiles if where == "on_step" else Session
    inner = getattr(owner, where, None)

    def wrapped(self: Any, *told: Any) -> Any:
        result = inner(self, *told)
        step = told[0].clock.step if where == "on_step" else self.progress.step
        if step == at:
            do()
        return result

    loaded = load_recipe({**RECIPE, "run_dir": str(folder)})
    if inner is not None:
        setattr(owner, where, wrapped)
    try:
        result = run_module.train(loaded)
        return "interrupted" if result.interrupted else POLICY.bias.item()
    except PowerCut:
        return "power cut"
    finally:
        if inner is not None:
            setattr(owner, where, inner)


def interrupt_one() -> None:
    if RANK == 1:
        os.kill(os.getpid(), signal.SIGINT)


def power_cut() -> None:
    raise PowerCut


def slow_disk() -> None:
    """Gives every other process time to find a file before this one removes it."""
    unlink = Path.unlink

    def late(self: Path, missing_ok: bool = False) -> None:
        time.sleep(0.3)
        unlink(self, missing_ok)

    Path.unlink = late  # type: ignore[method-assign]


def one_clock() -> Callable[[], None]:
    """Lets the time limit pass on the second rank alone; the call returned undoes it."""
    inner = Session._check_time

    def check(self: Session) -> None:
        if RANK == 1 and self.progress.step == 2:
            self.progress.stopped = "time limit"

    Session._check_time = check  # type: ignore[method-assign]
    return lambda: setattr(Session, "_check_time", inner)


def main(folder: Path) -> None:
    run_module.load_models = load
    run_module.write_report = lambda path: path / "report.html"
    task = Task(
        name="said",
        template="{question}",
        rewards=(Reward(name="right", fn=right), FORMAT),
        score=right,
        gold=lambda sample: says(str(sample.target)),
        score_name="right",
    )
    TASKS._parts["said"] = task
    register_dataset("rank_rows")(rows)
    Ranks.close = lambda self: None  # type: ignore[method-assign]  # one group for all runs
    slow_disk()
    ended = {"whole": start(folder / "whole")}
    broken = folder / "broken"
    ended["collecting"] = start(broken, "on_step", 2, power_cut)
    ended["learning"] = start(broken, "on_step", 5, interrupt_one)
    ended["cut"] = start(broken, "on_step", 7, power_cut)
    ended["evaluating"] = start(broken, "_eval_progress", 9, interrupt_one)
    ended["resumed"] = start(broken)
    undo = one_clock()
    ended["limited"] = start(folder / "limited")
    undo()
    (folder / f"rank{RANK}.json").write_text(json.dumps(ended))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
