"""The groups that a report shows: the most telling of all written steps.

Two passes over the rollout files: the first keeps a few numbers a group, the second reads the
chosen ones, so that memory stays flat on a run of any length.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrl.eval.lines import read_jsonl
from mmrl.eval.report_media import media_html, opened_store
from mmrl.eval.series import is_number
from mmrl.media.store import MediaStore
from mmrl.parse.visible import safe_html

Row = Mapping[str, Any]
EACH = 2
"""Groups shown of each kind."""
MOST_TEXT = 2000
"""Characters of a completion that are shown."""
MOST_ROLLOUTS = 16


@dataclass(frozen=True, slots=True)
class GroupKey:
    """Where a group is, and the numbers that it is chosen by."""

    file: Path
    draw: str
    step: int
    sample: str
    reward: float
    score: float
    best: float
    """Greatest score of its rollouts."""
    spread: float
    longest: int
    gain: float = 0.0
    """Its score minus that of the first group of the same sample."""


def groups_html(folder: Path) -> str:
    """The chosen groups with pictures, questions, targets and every rollout; "" without any."""
    keys = with_gains(scan(folder))
    if not keys:
        return ""
    out, seen = ["<h2>Groups</h2>"], set[tuple[Path, str]]()
    out.append(
        f'<p class="dim">Chosen among {len(keys)} groups of all written steps. On pictures: '
        "the reference dashed green, answers in pink, the best one strongest.</p>"
    )
    with opened_store() as store:
        for title, chosen in choose(keys):
            fresh = [k for k in chosen if (k.file, k.draw) not in seen]
            if fresh:
                out.append(f"<h3>{safe_html(title)}</h3>")
            for key in fresh:
                seen.add((key.file, key.draw))
                out.append(_group(folder, key, store))
    return "".join(out)


def choose(keys: Sequence[GroupKey]) -> list[tuple[str, list[GroupKey]]]:
    """Up to `EACH` groups of each kind, later steps first among equals."""

    def top(measure: Callable[[GroupKey], float], pool: Iterable[GroupKey]) -> list[GroupKey]:
        return heapq.nlargest(EACH, pool, key=lambda k: (measure(k), k.step))

    return [
        ("Best: the highest mean reward", top(lambda k: k.reward, keys)),
        ("Largest gain: the same sample at a later step", top(_gain, _only(keys, _gain))),
        ("Nothing right: the lowest of the best scores", top(lambda k: -k.best, keys)),
        ("Largest loss: the same sample at a later step", top(_loss, _only(keys, _loss))),
        ("Largest spread of rewards", top(lambda k: k.spread, _only(keys, lambda k: k.spread))),
        ("Longest completion", top(lambda k: k.longest, keys)),
    ]


def _gain(key: GroupKey) -> float:
    return key.gain


def _loss(key: GroupKey) -> float:
    return -key.gain


def _only(keys: Sequence[GroupKey], measure: Callable[[GroupKey], float]) -> list[GroupKey]:
    return [k for k in keys if measure(k) > 0]


def with_gains(keys: Sequence[GroupKey]) -> list[GroupKey]:
    """The keys in order of steps, each with its gain over the sample's first group."""
    first: dict[str, float] = {}
    out = []
    for k in sorted(keys, key=lambda k: k.step):
        start = first.setdefault(k.sample, k.score)
        gain = k.score - start
        out.append(
            GroupKey(
                *(k.file, k.draw, k.step, k.sample, k.reward, k.score),
                *(k.best, k.spread, k.longest, gain),
            )
        )
    return out


def scan(folder: Path) -> list[GroupKey]:
    """The key of every group of every rollout file, also of further ranks."""
    keys = []
    for path in sorted((folder / "rollouts").glob("step-*.jsonl")):
        for rows in _groups_of(path):
            keys.append(_key(path, rows))
    return keys


def _groups_of(path: Path) -> Iterator[list[Row]]:
    """The rows of each group of a file; unreadable rows are no rows."""
    groups: dict[str, dict[int, Row]] = {}
    for row in read_jsonl(path):
        place = row.get("rollout")
        if isinstance(row.get("draw"), str) and isinstance(place, int):
            groups.setdefault(row["draw"], {}).setdefault(place, row)
    for rows in groups.values():
        yield list(rows.values())


def _key(path: Path, rows: Sequence[Row]) -> GroupKey:
    rewards = [float(r["reward"]) for r in rows if is_number(r.get("reward"))]
    scores = [float(r["score"]) for r in rows if is_number(r.get("score"))]
    lengths = [int(r["num_tokens"]) for r in rows if is_number(r.get("num_tokens"))]
    step = rows[0].get("step")
    return GroupKey(
        file=path,
        draw=str(rows[0]["draw"]),
        step=int(step) if isinstance(step, int) else 0,
        sample=str(rows[0].get("sample")),
        reward=sum(rewards) / len(rewards) if rewards else 0.0,
        score=sum(scores) / len(scores) if scores else 0.0,
        best=max(scores, default=0.0),
        spread=max(rewards) - min(rewards) if len(rewards) > 1 else 0.0,
        longest=max(lengths, default=0),
    )


def _group(folder: Path, key: GroupKey, store: MediaStore) -> str:
    rows = next(rows for rows in _groups_of(key.file) if rows[0]["draw"] == key.draw)
    first = rows[0]
    target = json.dumps(first.get("target"), default=str, ensure_ascii=False)
    facts = [f"step {key.step}", f"sample {key.sample}", f"task {first.get('task')}"]
    facts += [f"mean reward {key.reward:.3f}", f"score {key.score:.3f}", f"spread {key.spread:.3f}"]
    if key.gain:
        facts.append(f"score {key.gain:+.3f} since it was first drawn")
    ranked = sorted(rows, key=lambda r: -(r["reward"] if is_number(r.get("reward")) else -1e9))
    shown = [_rollout(row) for row in ranked[:MOST_ROLLOUTS]]
    if len(ranked) > MOST_ROLLOUTS:
        shown.append(f'<p class="dim">and {len(ranked) - MOST_ROLLOUTS} more rollouts</p>')
    return (
        f'<article class="group"><div class="media">{media_html(folder, ranked, store)}</div>'
        f'<div class="said"><p class="question">{_cut(str(first.get("question")), 1000)}</p>'
        f'<p>Target <code>{_cut(target, 500)}</code></p><p class="dim">'
        f"{safe_html(' · '.join(facts))}</p>{''.join(shown)}</div></article>"
    )


def _rollout(row: Row) -> str:
    parts = row.get("parts") or {}
    bits = [f"{name} {_number(value)}" for name, value in parts.items()]
    advantage = (row.get("advantage") or {}).get("main")
    if is_number(advantage):
        bits.append(f"advantage {advantage:+.3f}")
    bits += [str(row[k]) for k in ("verdict", "stop") if row.get(k) not in (None, "ok", "eos")]
    for name, reason in (row.get("failures") or {}).items():
        bits.append(f"{name} failed: {reason}")
    reward = row.get("reward")
    figure = f"{reward:.3f}" if is_number(reward) else "unscorable"
    return (
        f'<div class="rollout"><b>{figure}</b><pre>{_cut(str(row.get("text")), MOST_TEXT)}</pre>'
        f'<p class="dim">{_cut(" · ".join(bits), 500)}</p></div>'
    )


def _number(value: Any) -> str:
    return f"{value:.3f}" if is_number(value) else "none"


def _cut(text: str, most: int) -> str:
    """Safe HTML of the text's beginning, and how much is left out."""
    if len(text) <= most:
        return safe_html(text)
    return f'{safe_html(text[:most])}<span class="dim"> … {len(text) - most} more characters</span>'
