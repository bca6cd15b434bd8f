"""Measures of `mmrl replicate acre`: orders of options, places, seconds."""

from __future__ import annotations

import json
import math
from collections import Counter
from statistics import fmean, median

from mmrl.eval.consistency import evaluate_consistency
from mmrl.eval.replicate.trained import Trained
from mmrl.parse.choices import parse_choice
from mmrl.parse.completion import parse_completion
from mmrl.probes.second_pass import SecondPass

LETTERS = "ABCD"
SAMPLES = 4
"""Sampled completions of an item; the greedy one stands behind them."""


def oscr(trained: Trained) -> float:
    """Share of responses whose answer stays under three other orders of the options."""
    with trained.models() as doors:
        report = evaluate_consistency(
            trained.samples["test"], doors, size=1, probe=SecondPass(passes=3), batch_prompts=64
        )
    return report.estimates["oscr"].mean


def position_gap(trained: Trained) -> float:
    """Accuracy where A is right, minus the accuracy where another letter is."""
    first, others = [], []
    for item in trained.evaluations["test"].items:
        (first if item.target == "A" else others).append(item.values["right"])
    return fmean(first) - fmean(others)


def letter_kl(trained: Trained) -> float:
    """KL in nats of the sampled letters from even use; 0 is no habit, log 4 always the same."""
    said: Counter[str] = Counter()
    for item in trained.evaluations["test"].items:
        for text in item.texts[:SAMPLES]:
            letter = parse_choice(parse_completion(text).answer or "", len(LETTERS))
            if letter is not None:
                said[letter] += 1
    shares = [said[letter] / said.total() for letter in LETTERS] if said else []
    return sum(p * math.log(p * len(LETTERS)) for p in shares if p > 0) if shares else math.nan


def seconds_a_step(trained: Trained) -> float:
    """Median seconds of a training step, sampling and second look included."""
    lines = (trained.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    steps = [row for row in map(json.loads, lines) if row["kind"] == "step"]
    return median(sum(v for k, v in row.items() if k.startswith("time/")) for row in steps)
