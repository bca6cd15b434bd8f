"""A judge-free task for reading rows, and a cache that dies with the test."""

from __future__ import annotations

import pytest

from mmrl.roles import Reward
from mmrl.tasks.base import TASKS, Task


def exact(rollout, sample, evidence, clock, /):
    return float(rollout.parsed.answer == str(sample.target))


PLAIN = Task(
    name="rows_test",
    template="{question}",
    rewards=(Reward(name="exact", fn=exact),),
    score=lambda rollout, sample: exact(rollout, sample, {}, None),
    gold=lambda sample: f"<think>x</think><answer>{sample.target}</answer>",
)


@pytest.fixture(autouse=True)
def plain_task(tmp_path, monkeypatch):
    monkeypatch.setenv("MMRL_CACHE", str(tmp_path / "mmrl-cache"))
    monkeypatch.setattr(TASKS, "_loaded", True)
    monkeypatch.setitem(TASKS._parts, PLAIN.name, PLAIN)
    return PLAIN
