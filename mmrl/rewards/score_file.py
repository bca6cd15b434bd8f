"""Scores stored completions: a JSON Lines file in, one with scores out, and a summary."""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mmrl.errors import DataError, nearest
from mmrl.parse.completion import parse_completion
from mmrl.rewards.functions import load_user_function
from mmrl.rewards.outcome import Outcome
from mmrl.rewards.registry import REWARDS, check_reward_fn
from mmrl.rewards.workers import NO_CLOCK, RewardPool
from mmrl.roles import Reward
from mmrl.types import Parsed, Prompt, Rollout, Sample, Segment, StopReason

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "completion": ("completion", "response", "text", "prediction", "model_output"),
    "target": ("target", "answer", "solution", "ground_truth"),
    "id": ("id", "index", "doc_id"),
    "question": ("question", "prompt", "problem"),
}
"""Columns that are looked for, first present wins."""
_AHEAD = 64


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """What a reward makes of a file of completions."""

    reward: str
    rows: int
    mean: float | None
    """Over rows with a score; None when there is none."""
    low: float | None
    high: float | None
    """95 % interval of the mean (normal), the mean itself for one row."""
    unscorable: int
    failures: Mapping[str, int]
    """Kind of failure -> rows."""


def reward_named(name: str) -> Reward:
    """A registered reward, or the function that `path/to/file.py:name` names (isolated)."""
    if ":" in name:
        label = name.rpartition(":")[2]
        function = load_user_function(name)
        check_reward_fn(label, function)
        return Reward(name=label, fn=function, isolated=True)
    return REWARDS.get(name)


def score_file(
    reward: Reward | str,
    path: str | Path,
    out: str | Path | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    parse: Callable[[str], Parsed] = parse_completion,
    pool: RewardPool | None = None,
    progress: Callable[[int], None] | None = None,
) -> ScoreSummary:
    """Scores every row of `path` by a reward or its name.

    `out` gets a line a row: id, score, failure, further figures.

    `columns` says where completion, target, id and question are (dotted paths reach inside). All
    other columns are in `sample.meta`. An isolated reward runs in `pool`, or in one made for this.
    Rows are streamed; a few dozen are under way at a time, and written in order.
    """
    path = Path(path)
    reward = reward_named(reward) if isinstance(reward, str) else reward
    scores: list[float] = []
    failures: Counter[str] = Counter()
    rows = unscorable = 0
    with ExitStack() as stack:
        workers = pool if pool is not None else stack.enter_context(RewardPool())
        file = stack.enter_context(Path(out).open("w", encoding="utf-8")) if out else None
        for outcome in _outcomes(reward, path, columns or {}, parse, workers, file):
            rows += 1
            if outcome.failure is not None:
                failures[outcome.kind] += 1
            elif outcome.value is None:
                unscorable += 1
            else:
                scores.append(outcome.value)
            if progress is not None:
                progress(rows)
    mean, low, high = mean_interval(scores)
    return ScoreSummary(
        reward=reward.name,
        rows=rows,
        mean=mean,
        low=low,
        high=high,
        unscorable=unscorable,
        failures=dict(failures),
    )


def mean_interval(scores: Sequence[float]) -> tuple[float | None, float | None, float | None]:
    """Mean and its normal 95 % interval, mean ± 1.96 s / √n with the sample deviation s."""
    if not scores:
        return None, None, None
    mean = math.fsum(scores) / len(scores)
    if len(scores) == 1:
        return mean, mean, mean
    variance = math.fsum((x - mean) ** 2 for x in scores) / (len(scores) - 1)
    half = 1.96 * math.sqrt(variance / len(scores))
    return mean, mean - half, mean + half


def _outcomes(
    reward: Reward,
    path: Path,
    columns: Mapping[str, str],
    parse: Callable[[str], Parsed],
    pool: RewardPool,
    out: IO[str] | None,
) -> Iterator[Outcome]:
    waiting: deque[tuple[str, Future[Outcome]]] = deque()
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            rollout, sample = _read(line, f"{path}:{number}", columns, parse)
            waiting.append((sample.id, pool.submit_one(reward, rollout, sample, {}, NO_CLOCK)))
            if len(waiting) >= _AHEAD:
                yield _written(waiting.popleft(), out)
    while waiting:
        yield _written(waiting.popleft(), out)


def _written(item: tuple[str, Future[Outcome]], out: IO[str] | None) -> Outcome:
    row_id, future = item
    outcome = future.result()
    if out is not None:
        row: dict[str, Any] = {"id": row_id, "score": outcome.value}
        if outcome.failure is not None:
            row["failure"] = outcome.failure
        row |= dict(outcome.parts)
        out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return outcome


def _read(
    line: str, where: str, columns: Mapping[str, str], parse: Callable[[str], Parsed]
) -> tuple[Rollout, Sample]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object, found {line.strip()[:60]}")
    text = _column(row, "completion", columns, where, needed=True)
    if not isinstance(text, str):
        raise DataError(f"{where}: the completion is {text!r:.60}, expected a text")
    row_id = _column(row, "id", columns, where)
    sample = Sample(
        id=str(row_id) if row_id is not None else where.rpartition(":")[2],
        task="score",
        question=str(_column(row, "question", columns, where) or ""),
        target=_column(row, "target", columns, where),
        meta=row,
    )
    return stored_rollout(text, parse(text), sample.question), sample


def stored_rollout(text: str, parsed: Parsed, question: str = "") -> Rollout:
    """A rollout of a text alone: no tokens, no pictures."""
    prompt = Prompt(messages=({"role": "user", "content": question},), token_ids=())
    return Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(Segment(token_ids=(), sampled=True, logps=(), trainable=()),),
        text=text,
        offsets=(),
        parsed=parsed,
        stop=StopReason.EOS,
        policy_step=0,
    )


def _column(
    row: Mapping[str, Any], part: str, columns: Mapping[str, str], where: str, needed: bool = False
) -> Any:
    if part in columns:
        value: Any = row
        for name in columns[part].split("."):
            if not isinstance(value, Mapping) or name not in value:
                known = nearest(name, value if isinstance(value, Mapping) else row)
                raise DataError(f'{where}: no column "{columns[part]}" ({part}).{known}')
            value = value[name]
        return value
    found = next((name for name in COLUMNS[part] if name in row), None)
    if found is None and needed:
        raise DataError(
            f"{where}: none of {', '.join(COLUMNS[part])} is a column; there are {', '.join(row)}"
        )
    return row[found] if found is not None else None
