"""metrics.jsonl and rollouts/: the record of a run, in files that can be read while they grow.

metrics.jsonl                   one line a step or evaluation
rollouts/step-000012.jsonl      one line a rollout
rollouts/step-000012.tokens.parquet   ids, offsets, log-probs, advantages, weights by token
rollouts/media/<digest>.<ext>   every picture or clip once, by content
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmrl.eval.run import Evaluation
from mmrl.train.loop import StepReport
from mmrl.train.observers.base import Observer
from mmrl.train.rows import broadcast
from mmrl.types import CreditedGroup, Group, MediaRef


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

    def _append(self, record: Mapping[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")


class RolloutFiles(Observer):
    """Writes this rank's rollouts of every k-th step."""

    def __init__(self, folder: Path, *, every: int, tokens: bool, rank: int = 0) -> None:
        self.folder, self.every, self.tokens = folder, every, tokens
        self.suffix = f".rank{rank}" if rank else ""

    def on_step(self, report: StepReport) -> None:
        step = report.clock.step
        if not self.every or step % self.every or not report.credited:
            return
        (self.folder / "media").mkdir(parents=True, exist_ok=True)
        name = f"step-{step:06d}{self.suffix}"
        lines: list[str] = []
        tokens: list[dict[str, Any]] = []
        for credited in report.credited:
            media = self._save_media(credited)
            for g in range(len(credited.group.rollouts)):
                lines.append(json.dumps(_record(report, credited, g, media), default=str))
                tokens.extend(_token_rows(credited, g, len(lines) - 1))
        _replace(self.folder / f"{name}.jsonl", ("\n".join(lines) + "\n").encode())
        if self.tokens:
            aside = self.folder / f".{name}.part"
            pq.write_table(pa.Table.from_pylist(tokens), aside)
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
        path = self.folder / "media" / f"{digest[:20]}{_extension(ref.data)}"
        if not path.exists():
            _replace(path, ref.data)
        return f"media/{path.name}"


def _record(
    report: StepReport, credited: CreditedGroup, g: int, media: list[dict[str, Any]]
) -> dict[str, Any]:
    scored, group = credited.scored, credited.group
    rollout, sample = group.rollouts[g], group.sample
    advantage = {
        name: values[g] if isinstance(values[g], float) else None
        for name, values in credited.advantages.items()
    }
    return {
        "step": report.clock.step,
        "stage": report.clock.stage,
        "draw": group.draw_id,
        "rollout": g,
        "sample": sample.id,
        "task": sample.task,
        "question": sample.question,
        "target": sample.target,
        "media": media,
        "text": rollout.text,
        "reasoning": rollout.parsed.reasoning,
        "answer": rollout.parsed.answer,
        "verdict": rollout.parsed.verdict,
        "stop": rollout.stop,
        "num_tokens": len(rollout.token_ids),
        "parts": {name: values[g] for name, values in scored.parts.items()},
        "failures": {n: v[g] for n, v in scored.failures.items() if v[g]},
        "score": scored.score[g],
        "reward": scored.rewards[g],
        "advantage": advantage,
        "evidence": _evidence_of(group, g),
        "policy_step": rollout.policy_step,
    }


def _evidence_of(group: Group, g: int) -> dict[str, Any]:
    """What probes found of one rollout, of the kinds that say how to log them (`record()`)."""
    return {
        kind.__name__: values[g].record()
        for kind, values in group.evidence.items()
        if hasattr(values[g], "record")
    }


def _token_rows(credited: CreditedGroup, g: int, line: int) -> Iterator[dict[str, Any]]:
    rollout = credited.group.rollouts[g]
    advantages = broadcast(credited.advantages["main"][g], len(rollout.token_ids))
    for t, token in enumerate(rollout.token_ids):
        yield {
            "line": line,
            "position": t,
            "token": token,
            "offset": rollout.offsets[t],
            "logp": rollout.logps[t],
            "advantage": advantages[t],
            "weight": credited.weights[g][t],
        }


def _extension(data: bytes) -> str:
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return ".png"
    if data[:2] == b"\xff\xd8":
        return ".jpg"
    return ".mp4" if data[4:8] == b"ftyp" else ".bin"


def _plain(value: float) -> float | None:
    """JSON has no NaN: an undefined figure is null."""
    return value if math.isfinite(value) else None


def _replace(path: Path, data: bytes) -> None:
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(data)
    aside.replace(path)
