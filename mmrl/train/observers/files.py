"""metrics.jsonl and rollouts/: the record of a run, in files that can be read while they grow.

metrics.jsonl                   one line a step or evaluation
rollouts/step-000012.jsonl      one line a rollout
rollouts/step-000012.tokens.parquet   ids, offsets, log-probs, advantages, weights (and
                                      entropy, where a probe told it) by token
rollouts/media/<digest>.<ext>   every picture or clip once, by content
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmrl.eval.run import Evaluation
from mmrl.media.beginnings import HEAD_BYTES, form_of
from mmrl.train.loop import StepReport
from mmrl.train.observers.base import Observer, StageEnd, due
from mmrl.train.observers.records import group_records, token_rows
from mmrl.train.promotion import Promotion, promotion_record
from mmrl.types import CreditedGroup, MediaRef


class MetricsFile(Observer):
    """Appends a JSON line a step and an evaluation, flushed at once.

    Keys that begin with `time/` are clock readings; all else is reproducible.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_step(self, report: StepReport) -> None:
        clock = report.clock
        record = {"kind": "step", "step": clock.step, "stage": clock.stage}
        record |= {k: _plain(v) for k, v in sorted(report.metrics.items())}
        record |= {f"time/{k}": round(v, 4) for k, v in report.seconds.items()}
        self._append(record)

    def on_eval(self, evaluation: Evaluation, seconds: float) -> None:
        record: dict[str, Any] = {"kind": "eval", "step": evaluation.step}
        for name, value in sorted(evaluation.estimates.items()):
            record[name] = _plain(value.mean)
            record[f"{name}_ci95"] = [_plain(value.low), _plain(value.high)]
        record["items"] = len(evaluation.items)
        record["skipped"] = len(evaluation.skipped)
        record["time/eval"] = round(seconds, 4)
        self._append(record)

    def on_promotion(self, promotion: Promotion, seconds: float) -> None:
        means = promotion.evaluation.estimates.items()
        figures = {f"eval/{name}": _plain(value.mean) for name, value in sorted(means)}
        timed = {"time/eval": round(seconds, 4)}
        self._append({**promotion_record(promotion), **figures, **timed})

    def on_stage(self, end: StageEnd) -> None:
        facts = end.facts()
        named = {"stage": facts.pop("name"), "stage_kind": facts.pop("kind")}
        self._append({"kind": "stage", "step": end.step, **named, **facts})

    def _append(self, record: Mapping[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


class RolloutFiles(Observer):
    """Writes this rank's rollouts of every k-th step."""

    def __init__(self, folder: Path, *, every: int, tokens: bool, rank: int = 0) -> None:
        self.folder, self.every, self.tokens = folder, every, tokens
        self.suffix = f".rank{rank}" if rank else ""

    def on_step(self, report: StepReport) -> None:
        if not due(report, self.every):
            return
        (self.folder / "media").mkdir(parents=True, exist_ok=True)
        name = f"step-{report.clock.step:06d}{self.suffix}"
        lines: list[str] = []
        tokens: list[dict[str, Any]] = []
        for credited in report.credited:
            media = self._save_media(credited)
            for g, record in enumerate(group_records(report.clock, credited, media)):
                lines.append(json.dumps(record, default=str))
                tokens.extend(token_rows(credited, g, len(lines) - 1))
        _replace(self.folder / f"{name}.jsonl", ("\n".join(lines) + "\n").encode())
        if self.tokens:
            aside = self.folder / f".{name}.part"
            pq.write_table(_table(tokens), aside)
            aside.replace(self.folder / f"{name}.tokens.parquet")

    def _save_media(self, credited: CreditedGroup) -> list[dict[str, Any]]:
        group = credited.group
        out = []
        infos = group.rollouts[0].prompt.media
        for ref, info in zip(group.sample.media, infos, strict=False):
            out.append(
                {
                    "kind": info.kind,
                    "file": self._save_one(ref, info.digest),
                    "original_size": list(info.original_size),
                    "processed_size": list(info.processed_size),
                    "seconds": list(info.seconds),
                }
            )
        return out

    def _save_one(self, ref: MediaRef, digest: str) -> str:
        """Generated media are saved once; files of the user's are named where they lie."""
        if ref.data is None:
            return str(ref.path)
        form = form_of(ref.data[:HEAD_BYTES])
        suffix = ".bin" if form is None else form.suffix
        path = self.folder / "media" / f"{digest[:20]}{suffix}"
        if not path.exists():
            _replace(path, ref.data)
        return f"media/{path.name}"


def _table(tokens: list[dict[str, Any]]) -> pa.Table:
    """The token table; without the column entropy where no probe told any."""
    table = pa.Table.from_pylist(tokens)
    told = any(row["entropy"] is not None for row in tokens)
    return table if told or not tokens else table.drop_columns(["entropy"])


def _plain(value: float) -> float | None:
    """JSON has no NaN: an undefined figure is null."""
    return value if math.isfinite(value) else None


def _replace(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(data)
    aside.replace(path)
