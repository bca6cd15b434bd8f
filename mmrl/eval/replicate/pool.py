"""Arm-runs side by side: one process of one thread each, and a line that says how far they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmrl.errors import MmrlError
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.job import run_arm, run_folder
from mmrl.eval.replicate.keys import line_key

Finished = Callable[["Job", Mapping[str, Any]], None]

_PATIENCE_S = 90.0
"""How long a job that was asked to stop may take to write its checkpoint."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
_PACKAGES = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One arm and seed of a paper."""

    paper: Paper
    arm: str
    seed: int
    runs: Path

    @property
    def name(self) -> str:
        return f"{self.paper.name} {self.arm}_{self.seed}"

    @property
    def folder(self) -> Path:
        return run_folder(self.runs, self.paper, self.arm, self.seed)


def run_jobs(jobs: Sequence[Job], workers: int, finished: Finished, show: bool = True) -> None:
    """Runs the jobs in their order, `workers` at a time; 0 runs them in this process.

    `finished` is told of each line, in this process. After a failure no further job is started;
    the running ones end, and an MmrlError says what failed. Ctrl-C lets every job write its
    checkpoint; a second one does not wait.
    """
    progress = Progress(total=len(jobs), workers=max(1, workers), show=show)
    if not workers:
        for job in jobs:
            progress.started(job)
            line = run_arm(job.paper, job.paper.arms[job.arm], job.seed, job.runs)
            finished(job, line)
            progress.finished(job)
        return
    waiting, running = list(jobs), dict[Job, subprocess.Popen[bytes]]()
    failures: list[str] = []
    try:
        while (waiting and not failures) or running:
            while waiting and not failures and len(running) < workers:
                job = waiting.pop(0)
                running[job] = _start(job)
                progress.started(job)
            time.sleep(0.2)
            for job, process in list(running.items()):
                if process.poll() is None:
                    continue
                del running[job]
                if process.returncode:
                    failures.append(f"{job.name} ended with {process.returncode}: {_said(job)}")
                    continue
                finished(job, json.loads((job.folder / "line.json").read_text()))
                progress.finished(job)
            progress.tick(waiting)
    except KeyboardInterrupt:
        print("\nstopping: every job writes its checkpoint …", file=sys.stderr)
        _stop(running)
        raise
    finally:
        for process in running.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        progress.close()
    if failures:
        raise MmrlError("\n".join(failures))


def _start(job: Job) -> subprocess.Popen[bytes]:
    job.folder.parent.mkdir(parents=True, exist_ok=True)
    paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    key = line_key(job.paper, job.paper.arms[job.arm])
    words = [job.paper.folder, job.arm, job.seed, job.runs, job.paper.least_items, key]
    with _output(job).open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "mmrl.eval.replicate", *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )


def _stop(running: Mapping[Job, subprocess.Popen[bytes]]) -> None:
    """Closes the jobs' standard input, which stops them, and waits for them."""
    for process in running.values():
        if process.stdin is not None:
            process.stdin.close()
    until = time.monotonic() + _PATIENCE_S
    for process in running.values():
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def _output(job: Job) -> Path:
    return job.folder.with_name(f"{job.folder.name}.out")


def _said(job: Job) -> str:
    """The end of what a failed job wrote."""
    lines = _output(job).read_text(errors="replace").strip().splitlines()
    return "\n".join([*lines[-12:], f"(all of it: {_output(job)})"])


@dataclass
class Progress:
    """Arms done, their rate, what is left: one line on a terminal, else a line a finished job."""

    total: int
    workers: int
    show: bool
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    running: dict[str, tuple[str, float]] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=dict)

    def started(self, job: Job) -> None:
        self.running[job.name] = (job.arm, time.monotonic())

    def finished(self, job: Job) -> None:
        arm, began = self.running.pop(job.name)
        self.took.setdefault(arm, []).append(time.monotonic() - began)
        self.done += 1
        if self.show:
            clear = "\r\x1b[K" if sys.stderr.isatty() else ""
            seconds = self.took[arm][-1]
            print(f"{clear}{job.name} done in {seconds:.0f} s", file=sys.stderr, flush=True)

    def tick(self, waiting: Sequence[Job]) -> None:
        if self.show and sys.stderr.isatty():
            print(f"\r\x1b[K{self.line(waiting)}", end="", file=sys.stderr, flush=True)

    def line(self, waiting: Sequence[Job]) -> str:
        """`3 of 20 arms · 0.9 a minute · 14 minutes left · mats grpo_1`"""
        minutes = (time.monotonic() - self.began) / 60
        parts = [f"{self.done} of {self.total} arms"]
        if self.done:
            parts += [f"{self.done / minutes:.1f} a minute"]
            parts += [f"{self.seconds_left(waiting) / 60:.0f} minutes left"]
        return " · ".join([*parts, ", ".join(self.running)])

    def seconds_left(self, waiting: Sequence[Job]) -> float:
        """By what each arm took so far (an arm that has not ended yet: the mean of the others)."""
        known = [s for took in self.took.values() for s in took]
        usual = {arm: sum(took) / len(took) for arm, took in self.took.items()}
        mean, now = sum(known) / len(known), time.monotonic()
        ahead = sum(usual.get(job.arm, mean) for job in waiting)
        begun = sum(max(0.0, usual.get(a, mean) - (now - t)) for a, t in self.running.values())
        return (ahead + begun) / self.workers

    def close(self) -> None:
        if self.show and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
