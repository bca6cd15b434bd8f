"""GRIT's parts on fixed rollouts: what pointing is worth beside being right.

No model is trained: completions about drawn shapes are written out, each with boxes or without,
with as many as there are or one too many, with the right number or a wrong one, by coins that do
not know of each other. The method's own rewards and advantages judge them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmrl.eval.replicate.fixed import fixed_advantages, fixed_group
from mmrl.methods.base import method_spec
from mmrl.tasks.base import TASKS
from mmrl.types import Group, Sample

GROUPS, GROUP_SIZE = 256, 8
RIGHT, POINTS, COUNTED = 0.5, 0.5, 0.8
"""Chances of a right answer, of boxes, and of as many boxes as there are things."""
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "grit": {},
    "answer_only": {"boxes": 0.0, "count": 0.0},
}


def worth_of_boxes(seed: int) -> Mapping[str, float]:
    """Mean advantage of rollouts that point, less that of the others of their group."""
    task, groups = TASKS.get("grounded_count"), drawn_groups(seed)
    found = {}
    for name, settings in SETTINGS.items():
        method = method_spec({"name": "grit", **settings}).build(task)
        credited = fixed_advantages(method, task, groups)
        worth = []
        for group, advantages in zip(groups, credited, strict=True):
            points = np.array(["[" in (r.parsed.reasoning or "") for r in group.rollouts])
            if points.any() and not points.all():
                a = np.array(advantages)
                worth.append(float(a[points].mean() - a[~points].mean()))
        found[name] = sum(worth) / len(worth)
    return found


def drawn_groups(seed: int) -> list[Group]:
    """Held-out drawings, each with its written completions."""
    task, groups = TASKS.get("grounded_count"), []
    assert task.world is not None
    for index in range(GROUPS):
        sample = task.world(index, split="test", seed=seed, others=(0, 0))
        rng = np.random.default_rng([seed, index])
        groups.append(fixed_group(task, sample, [said(sample, rng) for _ in range(GROUP_SIZE)]))
    return groups


def said(sample: Sample, rng: np.random.Generator) -> str:
    """A well-formed completion by three coins."""
    right, points, counted = rng.random(3) < (RIGHT, POINTS, COUNTED)
    boxes = [tuple(round(v) for v in box) for box in sample.meta["boxes"]]
    if not counted:
        boxes.append((0, 0, 4, 4))
    seen = " ".join(f"[{','.join(map(str, box))}]" for box in boxes) if points else "looked"
    return f"<think>{seen}</think><answer>{sample.target + (not right)}</answer>"
