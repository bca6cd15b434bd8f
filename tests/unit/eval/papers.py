"""A paper folder for tests: GRPO against DAPO on digit boxes, two steps, few items."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mmrl.config.yaml import dump_yaml

RECIPE: dict[str, Any] = {
    "policy": {"model": "assets/tiny-vlm"},
    "method": {"name": "grpo", "group_size": 2, "normalize": "mean_only"},
    "rollout": {"max_new_tokens": 40},
    "optimizer": {"lr": 1e-4},
    "data": [{"task": "digit_box"}],
    "train": {"steps": 2, "prompts_per_step": 2, "self_check": False},
    "media": {"workers": 0},
    "eval": {"data": [{"task": "digit_box"}], "limit": 4},
    "checkpoint": {"every": 1},
}
CLAIMS: dict[str, Any] = {
    "paper": {"title": "A toy", "arxiv": "0000.00000"},
    "recipe": "tiny.yaml",
    "evaluations": {"test": {"data": [{"task": "digit_box"}], "items": 4, "samples": 1}},
    "arms": {
        "steep": {"optimizer": {"lr": 1e-2}},
        "plain": {},
        "blind": {"blank": True},
        "untouched": {"untrained": True},
    },
    "claims": [
        {
            "name": "better",
            "claim": "Steep is better than | plain.",
            "kind": "trained",
            "measure": "test.iou",
            "arm": "steep",
            "against": "plain",
            "direction": "up",
            "source": "Table 1",
        },
        {
            "name": "short",
            "claim": "It is shorter.",
            "kind": "trained",
            "measure": "measures.py:length",
            "arm": "steep",
            "against": "plain",
            "direction": "down",
            "source": "ours",
        },
        {
            "name": "sum",
            "claim": "It adds up.",
            "kind": "mechanism",
            "function": "measures.py:adds",
            "arm": "more",
            "against": "less",
            "direction": "up",
            "source": "eq. 1",
        },
    ],
}
MEASURES = '''"""Measures of the toy."""


def length(trained):
    return trained.evaluations["test"].estimates["length"].mean


def adds(seed):
    return {"more": 1.5 + seed, "less": 1.0 + seed}
'''
README = "# toy\n\nbefore\n<!-- result -->\nold\n<!-- /result -->\nafter\n"


def claims() -> dict[str, Any]:
    """A copy of the claims, to change."""
    return copy.deepcopy(CLAIMS)


def write(
    folder: Path, given: dict[str, Any] | None = None, recipe: dict[str, Any] | None = None
) -> Path:
    """The folder with recipe, claims, measures and README in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "claims.yaml").write_text(dump_yaml(given or CLAIMS))
    (folder / "tiny.yaml").write_text(dump_yaml(recipe or RECIPE))
    (folder / "measures.py").write_text(MEASURES)
    (folder / "README.md").write_text(README)
    return folder
