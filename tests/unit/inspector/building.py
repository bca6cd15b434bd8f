"""Run folders by hand, in the form that a training writes them: for tests that need no model.

    write_run(tmp_path / "a", steps=6, groups=2, size=4)            # a finished run of 48 rollouts
    append_step(tmp_path / "a", 6, groups=2, size=4)                # the training goes on

Everything follows from `seed`: samples come again every `SAMPLES` draws with the same picture, and
guesses come nearer to the gold box with the steps.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from mmrl.config.load import dump_run, load_run

SAMPLES = 5
"""Different samples of a run."""
WIDTH, HEIGHT = 112, 84
WEIGHTS = {"box_iou": 1.0, "format": 0.2}
NEW_KEYS = (
    "correct",
    "score_name",
    "weights",
    "reasoning_span",
    "answer_span",
    "coord_space",
    "overlay",
    "gold_overlay",
)
"""What runs of earlier versions did not write."""

Record = dict[str, Any]
Change = Callable[[Record], None]


def write_run(
    folder: Path,
    *,
    steps: int = 6,
    groups: int = 2,
    size: int = 4,
    every: int = 1,
    ranks: int = 1,
    seed: int = 0,
    name: str | None = None,
    stages: tuple[str, ...] = ("train",),
    tokens: bool = True,
    new_keys: bool = True,
    finished: bool = True,
    settings: dict[str, Any] | None = None,
    change: Change | None = None,
) -> Path:
    """Writes a run folder of `steps` steps with `groups` draws of `size` rollouts a rank each.

    `every`: steps between rollout files. `stages` share the steps. `new_keys=False` leaves out what
    older runs lack. `settings` go into config.yaml. `change(record)` may alter a record in place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = load_run(
        {
            "name": name or folder.name,
            "run_dir": str(folder),
            "seed": seed,
            "policy": {"model": "assets/tiny-vlm"},
            "data": [{"task": "digit_box"}],
            "train": {"steps": steps, "prompts_per_step": groups * ranks},
            **(settings or {}),
        }
    )
    (folder / "config.yaml").write_text(dump_run(run))
    write_eval(folder, 0)
    for step in range(steps):
        stage = stages[step * len(stages) // steps]
        append_step(
            folder, step, groups=groups, size=size, every=every, ranks=ranks, seed=seed,
            stage=stage, tokens=tokens, new_keys=new_keys, change=change,
        )  # fmt: skip
    write_eval(folder, steps)
    if finished:
        summary = {"finished": True, "steps": steps, "stopped": "", "name": run.name, "seed": seed}
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def append_step(
    folder: Path,
    step: int,
    *,
    groups: int = 2,
    size: int = 4,
    every: int = 1,
    ranks: int = 1,
    seed: int = 0,
    stage: str = "train",
    tokens: bool = True,
    new_keys: bool = True,
    change: Change | None = None,
) -> list[Record]:
    """Writes one step as the training does: rollout files of all ranks, then its metrics line."""
    written: list[Record] = []
    for rank in range(ranks):
        records = []
        for k in range(groups):
            draw = rank * groups + k
            records += a_group(step, draw, size, seed=seed, stage=stage, folder=folder)
        for record in records:
            if change is not None:
                change(record)
            if not new_keys:
                for key in NEW_KEYS:
                    record.pop(key, None)
        if step % every == 0:
            stem = f"step-{step:06d}" + (f".rank{rank}" if rank else "")
            lines = "".join(json.dumps(r) + "\n" for r in records)
            _replace(folder / "rollouts" / f"{stem}.jsonl", lines.encode())
            if tokens:
                rows = [row for line, r in enumerate(records) for row in token_rows(r, line)]
                pq.write_table(
                    pa.Table.from_pylist(rows), folder / "rollouts" / f"{stem}.tokens.parquet"
                )
        written += records
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(metrics_of(step, stage, written)) + "\n")
    return written


def a_group(
    step: int,
    draw: int,
    size: int = 4,
    *,
    seed: int = 0,
    stage: str = "train",
    folder: Path | None = None,
) -> list[Record]:
    """The records of one draw; its picture is saved where a run folder is given."""
    number = (step * 7 + draw) % SAMPLES
    gold = _gold(number)
    random_ = random.Random(f"{seed}/{step}/{draw}")
    flat = random_.random() < 0.25
    records = []
    for g in range(size):
        if flat and g:
            record = dict(records[0], rollout=g)
        else:
            record = _record(step, stage, draw, g, number, gold, random_)
        records.append(record)
    mean = statistics.fmean(r["reward"] for r in records)
    for record in records:
        record["advantage"] = {"main": record["reward"] - mean}
    if folder is not None:
        _save_picture(folder, number)
    return records


def token_rows(record: Record, line: int) -> Iterator[dict[str, Any]]:
    """Rows of the token table: tokens of three characters each, and the entropy of each."""
    for t, offset in enumerate(range(0, len(record["text"]), 3)):
        yield {
            "line": line,
            "position": t,
            "token": 100 + t,
            "offset": offset,
            "logp": -0.125 * (t % 8),
            "advantage": record["advantage"]["main"],
            "weight": 1.0,
            "entropy": 0.25 * (t % 4),
        }


def metrics_of(step: int, stage: str, records: list[Record]) -> dict[str, Any]:
    """The metrics line of a step, from its records."""
    by_draw: dict[str, list[float]] = {}
    for r in records:
        by_draw.setdefault(r["draw"], []).append(r["reward"] or 0.0)
    flat = [max(v) == min(v) for v in by_draw.values()]
    return {
        "kind": "step",
        "step": step,
        "stage": stage,
        "clip_high": 0.01,
        "entropy": 1.0 / (1 + step),
        "format": statistics.fmean(r["parts"].get("format") or 0.0 for r in records),
        "grad_norm": 0.5,
        "kl_old": 0.001 * step,
        "learning_rate": 2e-5,
        "length": statistics.fmean(r["num_tokens"] for r in records),
        "reward": statistics.fmean(r["reward"] or 0.0 for r in records),
        **{
            f"reward/{part}": statistics.fmean(r["parts"].get(part) or 0.0 for r in records)
            for part in WEIGHTS
        },
        "score": statistics.fmean(r["score"] or 0.0 for r in records),
        "zero_spread": statistics.fmean(flat),
        "time/rollout": 0.2,
        "time/learn": 0.4,
    }


def write_eval(folder: Path, step: int) -> None:
    """Appends the evaluation after `step` steps to the metrics."""
    iou = 1 - 0.5 / (1 + step)
    record = {
        "kind": "eval",
        "step": step,
        "iou": iou,
        "iou_ci95": [iou - 0.05, iou + 0.05],
        "items": 16,
        "skipped": 0,
        "time/eval": 0.5,
    }
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


def picture(number: int) -> bytes:
    """The PNG of a sample: its gold box in red on grey."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (190, 190, 190))
    ImageDraw.Draw(image).rectangle(_gold(number), fill=(200, 40 + 10 * number, 40))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _gold(number: int) -> tuple[int, int, int, int]:
    return (5 + 8 * number, 4 + 6 * number, 45 + 8 * number, 34 + 6 * number)


def _record(
    step: int,
    stage: str,
    draw: int,
    g: int,
    number: int,
    gold: tuple[int, int, int, int],
    random_: random.Random,
) -> Record:
    off = [random_.randint(-24, 24) // (1 + step // 4) for _ in range(4)]
    box = [a + b for a, b in zip(gold, off, strict=True)]
    reasoning, answer = f"row {number} col {g}, step {step}", json.dumps(box)
    kind = random_.random()
    stop, verdict, well = "eos", "ok", 1.0
    text = f"<think>{reasoning}</think><answer>{answer}</answer>"
    said: str | None = answer
    if kind < 0.1:  # ran out of tokens
        text, said = text[: text.index("<answer>") + 12], None
        stop, verdict, well = "length", "unclosed_tag", 0.0
    elif kind < 0.2:
        text, verdict, well = f"{text} so there", "extra_text", 0.0
    iou = _iou(box, gold) if said else 0.0
    start = text.index("<think>") + 7
    begin = text.index("<answer>") + 8
    parts = {"box_iou": iou, "format": well}
    return {
        "step": step,
        "stage": stage,
        "draw": f"{step}.{draw}",
        "rollout": g,
        "sample": f"digit_box-train-0-{number}",
        "task": "digit_box",
        "question": f"box of the {number}",
        "target": list(gold),
        "media": [
            {
                "kind": "image",
                "file": f"media/{_digest(number)[:20]}.png",
                "original_size": [WIDTH, HEIGHT],
                "processed_size": [WIDTH, HEIGHT],
                "seconds": [],
            }
        ],
        "text": text,
        "reasoning": reasoning,
        "answer": said,
        "verdict": verdict,
        "stop": stop,
        "num_tokens": -(-len(text) // 3),
        "parts": parts,
        "failures": {},
        "score": iou,
        "reward": sum(WEIGHTS[k] * v for k, v in parts.items()),
        "advantage": {"main": 0.0},
        "evidence": {},
        "policy_step": step,
        "correct": iou >= 0.5,
        "score_name": "iou",
        "weights": dict(WEIGHTS),
        "reasoning_span": [start, start + len(reasoning)],
        "answer_span": [begin, begin + len(answer)] if said else None,
        "coord_space": "abs_resized",
        "overlay": _overlay(box, "answer") if said else None,
        "gold_overlay": _overlay(gold, "gold"),
    }


def _overlay(box: list[int] | tuple[int, ...], label: str) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    shares = [x1 / WIDTH, y1 / HEIGHT, x2 / WIDTH, y2 / HEIGHT]
    boxes = [{"medium": 0, "box": shares, "label": label}]
    return {"boxes": boxes, "points": [], "spans": [], "routes": []}


def _iou(a: list[int], b: tuple[int, int, int, int]) -> float:
    if a[2] <= a[0] or a[3] <= a[1]:
        return 0.0
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _digest(number: int) -> str:
    return hashlib.sha256(f"picture {number}".encode()).hexdigest()


def _save_picture(folder: Path, number: int) -> None:
    path = folder / "rollouts" / "media" / f"{_digest(number)[:20]}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        _replace(path, picture(number))


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(data)
    aside.replace(path)
