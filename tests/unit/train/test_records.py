"""Rollout records: what the inspector reads, and that older readers find what they knew."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from builders import CLOCK, a_rollout
from PIL import Image

from mmrl.rewards.builtin import BOX_IOU, FORMAT
from mmrl.rewards.combine import weighted_sum
from mmrl.tasks.overlay import BoxMark, Overlay
from mmrl.train.collector import Batch
from mmrl.train.loop import StepReport
from mmrl.train.observers.files import RolloutFiles
from mmrl.train.score import Scorer
from mmrl.types import CreditedGroup, Group, MediaRef, Sample, ScoredGroup, TokenStats

RIGHT = "<think>it</think><answer>[250, 200, 750, 800]</answer>"
WRONG = "<answer>[0, 0, 250, 500]</answer>"


class Often:
    """A bonus with a weight of its own."""

    name = "often"
    weight = 0.25
    needs: tuple[type, ...] = ()
    reads: tuple[str, ...] = ()

    def __call__(self, scored: ScoredGroup, clock: object, /) -> list[float]:
        return [1.0] * len(scored.group)


def written(
    folder: Path, *, evidence: Any = None, texts: tuple[str, ...] = (RIGHT, WRONG), **changes: Any
) -> list[dict[str, Any]]:
    """The records of one scored group of a picture of 200 x 100 pixels, seen at 196 x 112."""
    png = io.BytesIO()
    Image.new("RGB", (200, 100)).save(png, "PNG")
    fields: dict[str, Any] = {
        "id": "s1",
        "task": "grounding",
        "question": "where?",
        "media": (MediaRef(kind="image", data=png.getvalue()),),
        "target": (50, 20, 150, 80),
        "meta": {"coord_space": "abs_original"},
    }
    sample = Sample(**{**fields, **changes})
    rollouts = []
    for text in texts:
        rollout = a_rollout(text, sizes=((200, 100), (196, 112)))
        prompt = replace(rollout.prompt, coord_space="norm_1000")
        rollouts.append(replace(rollout, prompt=prompt))
    group = Group(draw_id="0.0", sample=sample, rollouts=tuple(rollouts))
    if evidence is not None:
        group = replace(group, evidence={TokenStats: tuple(map(evidence, rollouts))})
    parts = (replace(BOX_IOU, weight=0.75), FORMAT) if sample.task == "grounding" else (FORMAT,)
    scorer = Scorer(rewards={sample.task: parts}, bonuses=[Often()], combine=weighted_sum)
    (scored,) = scorer([group], CLOCK)
    credited = CreditedGroup(
        scored=scored,
        advantages={"main": (1.0, -1.0)[: len(texts)]},
        weights=tuple((1.0,) * len(r.token_ids) for r in rollouts),
    )
    report = StepReport(
        clock=CLOCK,
        metrics={},
        seconds={},
        batch=Batch(groups=(scored,), everyone=(scored,)),
        credited=(credited,),
        actions=(),
        is_empty=False,
    )
    RolloutFiles(folder, every=1, tokens=True).on_step(report)
    return [json.loads(line) for line in (folder / "step-000000.jsonl").read_text().splitlines()]


def test_a_record_says_what_was_drawn_and_what_parts_weigh(tmp_path: Path) -> None:
    right, wrong = written(tmp_path)
    assert right["weights"] == {BOX_IOU.name: 0.75, FORMAT.name: FORMAT.weight, "often": 0.25}
    assert set(right["weights"]) == set(right["parts"])
    for record in (right, wrong):  # the reward is the weighted sum of what is written
        total = sum(record["weights"][n] * v for n, v in record["parts"].items())
        assert abs(record["reward"] - total) < 1e-12
    assert (right["correct"], wrong["correct"]) == (True, False)
    assert right["score_name"] == "iou" and right["coord_space"] == "norm_1000"
    # <think>it</think><answer>: the reasoning begins at 7, the answer at 9 + 8 + 8 = 25
    assert right["reasoning_span"] == [7, 9] and right["answer_span"] == [25, 45]
    assert right["text"][slice(*right["answer_span"])] == right["answer"]
    assert wrong["reasoning_span"] is None and wrong["answer_span"] == [8, 24]
    # 50..150 of 200 and 20..80 of 100; 250 / 1000 and 500 / 1000
    assert right["gold_overlay"]["boxes"] == [
        {"medium": 0, "box": [0.25, 0.2, 0.75, 0.8], "label": ""}
    ]
    assert wrong["gold_overlay"] == right["gold_overlay"] == right["overlay"]
    assert Overlay.from_json(wrong["overlay"]) == Overlay(boxes=(BoxMark((0.0, 0.0, 0.25, 0.5)),))


def test_records_still_say_what_they_said(tmp_path: Path) -> None:
    (record, _) = written(tmp_path)
    known = {
        "step": 0,
        "stage": "test",
        "draw": "0.0",
        "rollout": 0,
        "sample": "s1",
        "task": "grounding",
        "question": "where?",
        "target": [50, 20, 150, 80],
        "text": RIGHT,
        "reasoning": "it",
        "answer": "[250, 200, 750, 800]",
        "verdict": "ok",
        "stop": "eos",
        "num_tokens": len(RIGHT),
        "failures": {},
        "score": 1.0,
        "advantage": {"main": 1.0},
        "evidence": {},
        "policy_step": 0,
    }
    assert {name: record[name] for name in known} == known
    assert record["parts"] == {BOX_IOU.name: 1.0, FORMAT.name: 1.0, "often": 1.0}
    (medium,) = record["media"]
    assert medium["original_size"] == [200, 100] and medium["processed_size"] == [196, 112]
    assert (tmp_path / medium["file"]).read_bytes()[:4] == b"\x89PNG"


def test_a_task_that_draws_nothing_writes_null(tmp_path: Path) -> None:
    texts = ("<think>x</think><answer>4</answer>",)
    (record,) = written(tmp_path, texts=texts, task="number", target=4, meta={}, media=())
    assert record["overlay"] is None and record["gold_overlay"] is None
    assert record["correct"] is True and record["score_name"] == "right"


def test_an_answer_that_is_no_place_draws_nothing(tmp_path: Path) -> None:
    (record,) = written(tmp_path, texts=("<answer>[1e400, 9, 1, 1]</answer>",))
    assert record["overlay"] == {"boxes": [], "points": [], "spans": [], "routes": []}
    assert record["gold_overlay"]["boxes"] and record["reasoning_span"] is None


def test_entropy_is_in_the_token_table_where_a_probe_told_it(tmp_path: Path) -> None:
    def told(rollout: Any) -> TokenStats:
        rising = tuple(t / 8 for t in range(len(rollout.token_ids)))
        return TokenStats(logps=rollout.logps, entropy=rising, divergence=rising)

    written(tmp_path / "with", evidence=told)
    written(tmp_path / "without")
    columns = ["line", "position", "token", "offset", "logp", "advantage", "weight"]
    plain = pq.read_table(tmp_path / "without" / "step-000000.tokens.parquet")
    assert plain.column_names == columns
    table = pq.read_table(tmp_path / "with" / "step-000000.tokens.parquet")
    assert table.column_names == [*columns, "entropy"]
    assert table.num_rows == len(RIGHT) + len(WRONG)
    second = table.slice(len(RIGHT), 3).to_pydict()
    assert second["line"] == [1, 1, 1] and second["entropy"] == [0.0, 0.125, 0.25]
    assert table.drop_columns(["entropy"]) == plain


def test_a_step_without_a_single_token_has_a_table_too(tmp_path: Path) -> None:
    written(tmp_path, texts=("",))
    assert pq.read_table(tmp_path / "step-000000.tokens.parquet").num_rows == 0
