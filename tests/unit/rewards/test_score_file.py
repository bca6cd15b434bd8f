"""Stored completions scored from a file: order, summary, messages."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from mmrl.errors import DataError
from mmrl.rewards.score_file import mean_interval, score_file
from mmrl.roles import Reward

HERE = Path(__file__).parent
ROWS = HERE.parents[1] / "data" / "rows"
sys.path.insert(0, str(HERE))
import user_rewards  # noqa: E402


def exact(rollout, sample, evidence, clock, /):
    gold = sample.target.removeprefix("<answer>").removesuffix("</answer>")
    return None if rollout.parsed.answer is None else float(rollout.parsed.answer == gold)


EXACT = Reward(name="exact", fn=exact)


def test_mean_and_interval_by_hand():
    # 1, 0, 1, 1: mean 0.75, sample variance (3 * 0.0625 + 0.5625) / 3 = 0.25, half 1.96 * 0.25
    assert mean_interval([1, 0, 1, 1]) == pytest.approx((0.75, 0.75 - 0.49, 0.75 + 0.49))
    assert mean_interval([0.3]) == (0.3, 0.3, 0.3)
    assert mean_interval([]) == (None, None, None)


def test_real_completions_get_the_scores_of_their_log(tmp_path):
    columns = {"completion": "model_output", "target": "ground_truth", "id": "question.problem_id"}
    out = tmp_path / "scores.jsonl"
    summary = score_file(EXACT, ROWS / "completions.jsonl", out, columns=columns)
    logged = [json.loads(line) for line in (ROWS / "completions.jsonl").read_text().splitlines()]
    scores = [json.loads(line) for line in out.read_text().splitlines()]
    assert [s["score"] for s in scores] == [row["accuracy_score"] for row in logged]
    assert [s["id"] for s in scores] == [str(row["question"]["problem_id"]) for row in logged]
    assert summary.rows == 12 and summary.mean == pytest.approx(7 / 12)
    assert summary.unscorable == 0 and summary.failures == {}


def test_none_and_failures_are_counted_apart_and_order_is_kept(tmp_path):
    texts = ["x", "none", "raise a", "nan", "die", "sleep 0"] + ["x"] * 100
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"response": t}) for t in texts) + "\n\n")
    reward = Reward(name="u", fn=user_rewards.by_text, isolated=True)
    out = tmp_path / "out.jsonl"
    seen = []
    summary = score_file(reward, path, out, progress=seen.append)
    assert seen == list(range(1, 107))
    assert summary.failures == {"exception": 1, "non-finite": 1, "crashed": 1}
    assert summary.unscorable == 1
    assert summary.mean == pytest.approx((101 * 0.5 + 1.0) / 102)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == [str(i) for i in range(1, 107)]
    assert rows[5]["score"] == 1.0 and rows[1]["score"] is None
    assert rows[2]["failure"] == "exception: ValueError: bad a"
    assert not math.isnan(summary.low) and summary.low < summary.mean < summary.high


def test_missing_column_and_broken_line_are_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"completion": "a", "answer": "b"}\n{"compltion": "a"}\n')
    with pytest.raises(DataError, match=r"a\.jsonl:2: none of completion, response, .* compltion"):
        score_file(EXACT, path)
    with pytest.raises(DataError, match=r'a\.jsonl:1: no column "anser" .* Did you mean "answer"'):
        score_file(EXACT, path, columns={"target": "anser"})
    path.write_text('{"completion": \n')
    with pytest.raises(DataError, match=r"a\.jsonl:1: not JSON"):
        score_file(EXACT, path)
