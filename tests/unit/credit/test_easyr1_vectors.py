"""Advantages of a group as EasyR1's own code gives them (float32: to 1e-6)."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from mmrl.credit.group import GroupFn, Standardised, centred, leave_one_out

HELD = json.loads((Path(__file__).parents[2] / "vectors" / "easyr1.json").read_text())["suites"]
(CASES,) = (s["cases"] for s in HELD if s["function"].startswith("group advantages"))
OURS: dict[str, GroupFn] = {
    "grpo": Standardised(eps=1e-6),
    "trl_eps1e-4": Standardised(eps=1e-4),
    "rloo": leave_one_out,
    "dr_grpo_centered": centred,
}
NOT_OURS = {"passk": "best minus second, for the best alone: no method of ours trains with it"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["input"]["rewards"])[:30])
def test_advantages(case: dict[str, Any]) -> None:
    pairs = list(zip(case["input"]["index"], case["input"]["rewards"], strict=True))
    groups = [[reward for _, reward in held] for _, held in groupby(pairs, key=lambda p: p[0])]
    assert set(case["output"]) == set(OURS) | set(NOT_OURS)
    for name, fn in OURS.items():
        got = [advantage for rewards in groups for advantage in fn(rewards)]
        assert got == pytest.approx(case["output"][name], abs=1e-6), name
