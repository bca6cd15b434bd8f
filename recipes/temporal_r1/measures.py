"""What claims.yaml measures of a trained arm beside its evaluations."""

from __future__ import annotations

import json

from mmrl.eval.replicate import Trained


def flat_groups(trained: Trained) -> float:
    """Share of groups whose rewards were all equal, over the steps of the stage "rl"."""
    lines = (trained.folder / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == "step"]
    shares = [row["zero_spread"] for row in rows if row["stage"] == "rl"]
    return sum(shares) / len(shares)
