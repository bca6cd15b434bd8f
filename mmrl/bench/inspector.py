"""The inspector on a large run, 100,000 rollouts of 5,000 steps: first view, filters, a new step.

A run folder of that size is written to a temporary folder, then measured, the median of `repeats`:

    build             the index from nothing
    first view        an indexed run opened: what is new, choices, metrics, first page, one group
    unindexed view    the same where no index is there: a slice of reading, the newest steps first
    filters           each kind of filter and sort, first page and count, of groups and of rollouts
    new step          a step that a training has just written

Every figure is taken twice: `…_s` by the clock, `…_cpu_s` of processor time, which is what counts
on a machine that does other work meanwhile. `growth_mb` is how much the resident memory of this
process grew at most.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from mmrl.bench.measure import (
    Call,
    at_least_1,
    machine,
    median,
    parser,
    progress,
    time_of,
    told,
    versions,
    write_json,
)
from mmrl.errors import DataError
from mmrl.inspector.index import RolloutIndex
from mmrl.inspector.query import Query
from mmrl.inspector.runs import RunFiles

GROUP_SIZE = 8
SAMPLES = 400
STAGES = ("look", "count", "plan")
TASKS = ("digit_box", "transit")
SLICE_S = 1.0
"""What the page gives to reading before it answers."""
_WORDS = (
    *("the", "line", "from", "north", "to", "old", "harbour", "changes", "at", "market", "then"),
    *("two", "stops", "more", "so", "it", "is", "left", "of", "blue", "square", "seven", "edge"),
)

FILTERS: Mapping[str, Query] = MappingProxyType(
    {
        "none": Query(),
        "step": Query(steps=2500),
        "steps": Query(steps=(1000, 3000)),
        "task": Query(task="transit"),
        "stage": Query(stage="count"),
        "correct": Query(correct=True),
        "stop": Query(stop="length"),
        "verdict": Query(verdict="unclosed_tag"),
        "length": Query(num_tokens=(80, 120)),
        "zero spread": Query(zero_spread=True),
        "part": Query(parts={"iou": (0.9, None)}),
        "text": Query(text="Old HARBOUR changes"),
        "text, none has it": Query(text="zebra%"),
        "by reward": Query(sort="reward", descending=True),
        "by length": Query(sort="num_tokens"),
        "by spread": Query(sort="spread", descending=True),
        "by part": Query(sort="part/iou", descending=True),
        "last page": Query(sort="reward", offset=12_000),
        "all at once": Query(
            task="digit_box", correct=False, stop="eos", num_tokens=(10, 100),
            parts={"format": (1.0, 1.0)}, text="seven", sort="part/iou",
        ),
    }
)  # fmt: skip


def run(arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Seconds of each question, memory, and what they were taken on."""
    args = _parser().parse_args(list(arguments))
    with tempfile.TemporaryDirectory(prefix="mmrl-bench-") as folder:
        path = Path(folder) / "run"
        progress(f"writing {args.rollouts} rollouts over {args.steps} steps")
        write_large_run(path, rollouts=args.rollouts, steps=args.steps)
        figures = _measure(path, args)
    write_json(args.json, figures)
    return figures


def _measure(path: Path, args: Any) -> dict[str, Any]:
    before = _resident_mb()
    progress("the first view without an index")
    unindexed = _Seconds.of(lambda: _first_view(path))
    index = RolloutIndex(RunFiles(path))
    index.refresh(0.0)
    if index.path is None:
        raise DataError(f"bench inspector: {path} has no rollouts")
    index.path.unlink()
    progress("the index from nothing")
    build = _Seconds.of(index.refresh)
    found = index.refresh().rollouts
    if found != args.rollouts:
        raise DataError(f"bench inspector: {found} rollouts indexed of {args.rollouts} written")
    first = _Seconds.of(lambda: _first_view(path), args.repeats)
    rows: list[dict[str, Any]] = []
    for name, query in FILTERS.items():
        progress(f"filter: {name}")
        groups = _Seconds.of(partial(index.groups, query), args.repeats)
        single = _Seconds.of(partial(index.rollouts, query), args.repeats)
        rows.append(
            {
                "filter": name,
                "groups": index.groups(query).total,
                "groups_s": groups.wall,
                "groups_cpu_s": groups.cpu,
                "rollouts": index.rollouts(query).total,
                "rollouts_s": single.wall,
                "rollouts_cpu_s": single.cpu,
            }
        )
    new = []
    for step in range(args.steps, args.steps + args.repeats):
        _write_step(path, step, args.steps, max(1, args.rollouts // args.steps))
        new.append(_Seconds.of(partial(index.refresh, SLICE_S)))
    figures: dict[str, Any] = {}
    for name, seconds in (("first_view", first), ("unindexed_view", unindexed), ("build", build)):
        figures |= {f"{name}_s": seconds.wall, f"{name}_cpu_s": seconds.cpu}
    for way in ("s", "cpu_s"):
        figures[f"slowest_filter_{way}"] = max(
            row[f"{kind}_{way}"] for row in rows for kind in ("groups", "rollouts")
        )
    figures["new_step_s"] = median([s.wall for s in new])
    figures["new_step_cpu_s"] = median([s.cpu for s in new])
    figures["growth_mb"] = round(_peak_mb() - before, 1)
    figures["index_mb"] = round(index.path.stat().st_size / 2**20, 1) if index.path else 0.0
    figures["rollouts_mb"] = round(_size_of(path / "rollouts") / 2**20, 1)
    index.close()
    return figures | {
        "rows": rows,
        "rollouts": args.rollouts,
        "steps": args.steps,
        "repeats": args.repeats,
        "machine": machine(),
        "versions": versions(),
    }


class _Seconds(NamedTuple):
    """Medians of several calls: by the clock, and of this process's own processor time."""

    wall: float
    cpu: float

    @classmethod
    def of(cls, call: Call, repeats: int = 1) -> _Seconds:
        walls, cpus = [], []
        for _ in range(repeats):
            start = time.process_time()
            walls.append(time_of(call))
            cpus.append(time.process_time() - start)
        return cls(median(walls), median(cpus))


def _first_view(path: Path) -> None:
    """What the page does before it shows something: everything from the disk, nothing kept."""
    run = RunFiles(path)
    index = RolloutIndex(run)
    index.refresh(SLICE_S)
    index.facets()
    run.metrics()
    page = index.groups(Query(descending=True))
    stored = index.group(page.rows[0].step, page.rows[0].draw)
    index.close()
    if len(stored) != page.rows[0].num:
        raise DataError("bench inspector: the first group is not whole")


def write_large_run(path: Path, *, rollouts: int, steps: int) -> None:
    """Writes a run folder of so many rollouts, spread evenly over the steps, without media."""
    (path / "rollouts").mkdir(parents=True)
    (path / "config.yaml").write_text("name: large\npolicy:\n  model: none\ndata: []\n")
    for step in range(steps):
        share = rollouts * (step + 1) // steps - rollouts * step // steps
        _write_step(path, step, steps, share)


def _write_step(path: Path, step: int, steps: int, number: int) -> None:
    """One step's rollout file and metrics line."""
    made = random.Random(step)
    records = [_record(made, step, steps, i) for i in range(number)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (path / "rollouts" / f"step-{step:06d}.jsonl").write_text(lines)
    rewards = [r["reward"] for r in records] or [0.0]
    mean = statistics.fmean(rewards)
    metrics: dict[str, Any] = {"kind": "step", "step": step, "stage": _stage(step, steps)}
    names = ("accuracy", "clip_high", "clip_low", "entropy", "format", "grad_norm", "kl", "length")
    metrics |= {name: round(made.random(), 6) for name in names}
    metrics |= {"reward": mean, "score": mean / 1.2, "time/rollout": 0.3, "time/learn": 0.5}
    with (path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(metrics) + "\n")


def _record(made: random.Random, step: int, steps: int, i: int) -> dict[str, Any]:
    """A rollout in the form of the training's, its text of 40 to 400 characters."""
    draw, g = divmod(i, GROUP_SIZE)
    sample = (step * 3 + draw) % SAMPLES
    flat = sample % 7 == 0
    iou = 0.5 if flat else round(made.random() ** (1 - 0.5 * step / steps), 4)
    cut = not flat and made.random() < 0.05
    length = made.randint(10, 340)
    reasoning = ""
    while len(reasoning) < length:
        reasoning += made.choice(_WORDS) + " "
    text = f"<think>{reasoning[:length]}</think><answer>[{i}, 2, 30, 40]</answer>"
    text = text[:-15] if cut else text
    parts = {"iou": iou, "format": 0.0 if cut else 1.0, "detail": round(iou / 2, 4)}
    box = {"medium": 0, "box": [0.1, 0.1, 0.5, 0.5], "label": "answer"}
    overlay = {"boxes": [box], "points": [], "spans": [], "routes": []}
    begin = text.find("<answer>") + 8
    return {
        "step": step,
        "stage": _stage(step, steps),
        "draw": f"{step}.{draw}",
        "rollout": g,
        "sample": f"large-{sample}",
        "task": TASKS[sample % len(TASKS)],
        "question": f"Where is number {sample % 10}?",
        "target": [10, 20, 30, 40],
        "media": [],
        "text": text,
        "reasoning": reasoning[:length],
        "answer": None if cut else f"[{i}, 2, 30, 40]",
        "verdict": "unclosed_tag" if cut else "ok",
        "stop": "length" if cut else "eos",
        "num_tokens": len(text) // 3,
        "parts": parts,
        "failures": {},
        "score": iou,
        "reward": round(iou + 0.2 * parts["format"], 4),
        "advantage": {"main": round(iou - 0.5, 4)},
        "evidence": {},
        "policy_step": step,
        "correct": iou >= 0.5,
        "score_name": "iou",
        "weights": {"iou": 1.0, "format": 0.2, "detail": 0.0},
        "reasoning_span": [7, 7 + length],
        "answer_span": None if cut else [begin, len(text) - 9],
        "coord_space": "norm_1000",
        "overlay": None if cut else overlay,
        "gold_overlay": overlay,
    }


def _stage(step: int, steps: int) -> str:
    return STAGES[min(step * len(STAGES) // steps, len(STAGES) - 1)]


def _resident_mb() -> float:
    """Resident memory now where the system tells it, else the most so far."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return _peak_mb()
    return pages * resource.getpagesize() / 2**20


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _size_of(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.iterdir() if p.suffix == ".jsonl")


def _parser() -> Any:
    made = parser("inspector", __doc__)
    made.add_argument("--rollouts", type=at_least_1, default=100_000, help="of the run (100,000)")
    made.add_argument("--steps", type=at_least_1, default=5_000, help="of the run (5,000)")
    return made


if __name__ == "__main__":
    print(told(run(sys.argv[1:]), sys.argv[1:]))
