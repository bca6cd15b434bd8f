"""Samples a second on one core: every level of every world, drawn fresh.

Each round draws samples that were never drawn before, levels in turn; the median of the rounds.
The process keeps to one core meanwhile where the system lets it choose (Linux). `a_cpu_second` is
the same by processor time: what a core gives that nothing else is running on.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from mmrl.bench.measure import (
    alternate,
    at_least_1,
    machine,
    median,
    parser,
    progress,
    told,
    versions,
    write_json,
)
from mmrl.errors import ConfigError, nearest
from mmrl.tasks.base import TASKS
from mmrl.types import Sample


def run(arguments: Sequence[str] = ()) -> dict[str, Any]:
    """A row a level of each world with its samples a second; the slowest beside them."""
    args = _parser().parse_args(list(arguments))
    levels = chosen_levels(args.worlds, args.level)
    figures: dict[str, Any] = {"rows": []}
    with one_core() as pinned:
        for level in levels:
            figures["rows"].append(_row(level, args.samples, args.repeats))
            write_json(args.json, figures)
            progress(f"{level[0]} {level[1]}: {figures['rows'][-1]['samples_a_second']} a second")
    slowest = min(figures["rows"], key=lambda row: row["samples_a_second"])
    figures |= {
        "least_samples_a_second": slowest["samples_a_second"],
        "slowest": f"{slowest['world']} {slowest['level']}",
        "on_one_core": pinned,
        "samples_a_round": args.samples,
        "repeats": args.repeats,
        "versions": versions("matplotlib", "opencv-python-headless", "pillow", "av"),
        "machine": machine(),
    }
    write_json(args.json, figures)
    return figures


def chosen_levels(worlds: Sequence[str], level: str | None) -> list[tuple[str, str]]:
    """(world, level) of the worlds named, or of all; `level` keeps those of that name."""
    known = [name for name in TASKS if TASKS.get(name).world is not None]
    for name in worlds:
        if name not in known:
            raise ConfigError(f'bench worlds: no world "{name}".{nearest(name, known)}')
    found = [(name, each) for name in worlds or known for each in TASKS.get(name).levels]
    kept = [pair for pair in found if level in (None, pair[1])]
    if not kept:
        names = {each for _, each in found}
        raise ConfigError(f'bench worlds: no level "{level}" there.{nearest(str(level), names)}')
    return kept


@contextmanager
def one_core() -> Iterator[bool]:
    """Keeps all threads of this process on one core; yields whether that was possible."""
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    _keep_to({max(before)})
    try:
        yield True
    finally:
        _keep_to(before)


def _keep_to(cores: set[int]) -> None:
    for thread in Path("/proc/self/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except ProcessLookupError:
            continue  # the thread ended meanwhile


def _row(level: tuple[str, str], samples: int, repeats: int) -> dict[str, Any]:
    name, chosen = level
    task = TASKS.get(name)
    assert task.world is not None
    world, options = task.world, {**task.world_options, **task.levels[chosen]}
    indices = count()
    drawn: list[Sample] = []
    cpu: list[float] = []

    def draw() -> None:
        start = time.process_time()
        drawn[:] = [world(next(indices), split="train", seed=0, **options) for _ in range(samples)]
        cpu.append(time.process_time() - start)

    seconds = alternate({"draw": draw}, repeats)["draw"]
    return {
        "world": name,
        "level": chosen,
        "samples_a_second": round(samples / median(seconds), 1),
        "a_cpu_second": round(samples / median(cpu[1:]), 1),
        "bytes_a_sample": round(sum(map(_num_bytes, drawn)) / samples),
        "seconds_of_each_round": [round(t, 6) for t in seconds],
    }


def _num_bytes(sample: Sample) -> int:
    return sum(len(ref.data) for ref in sample.media if ref.data is not None)


def _parser() -> argparse.ArgumentParser:
    made = parser("worlds", __doc__)
    made.add_argument("worlds", nargs="*", metavar="WORLD", help="tasks; none takes all")
    made.add_argument("--level", metavar="NAME", help="only levels of that name")
    made.add_argument("--samples", type=at_least_1, default=20, help="drawn a round (20)")
    return made


if __name__ == "__main__":
    print(told(run(sys.argv[1:]), sys.argv[1:]))
