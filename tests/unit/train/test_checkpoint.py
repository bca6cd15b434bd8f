"""Checkpoints are whole or absent, and hold what they were given."""

from __future__ import annotations

import pytest
import torch

from mmrl.errors import DataError
from mmrl.train.checkpoint import Checkpoints, Snapshot


def snapshot(step: int) -> Snapshot:
    return Snapshot(
        step=step,
        policy={"w": torch.full((2,), float(step))},
        optimizer={"w|step": torch.tensor(3.0)},
        parts={
            "source": {"position": 5, "rate": 0.1},
            "companions.0": {"shadow": {"w": torch.ones(2)}, "updates": 4},
        },
        state={"progress": {"step": step}},
    )


def test_a_round_trip_keeps_tensors_numbers_and_nesting(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(snapshot(7))
    back = checkpoints.latest()
    assert back is not None and back.step == 7
    assert back.policy["w"].tolist() == [7.0, 7.0]
    assert back.parts["source"] == {"position": 5, "rate": 0.1}
    assert back.parts["companions.0"]["updates"] == 4
    assert back.parts["companions.0"]["shadow"]["w"].tolist() == [1.0, 1.0]
    assert back.state["progress"] == {"step": 7}


def test_only_the_newest_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (1, 2, 3):
        checkpoints.save(snapshot(step))
    assert checkpoints.steps() == [2, 3]


def test_a_broken_write_is_invisible_and_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(snapshot(1))
    (tmp_path / ".writing-000002").mkdir()
    (tmp_path / ".writing-000002" / "policy.safetensors").write_bytes(b"half")
    back = checkpoints.latest()
    assert back is not None and back.step == 1
    assert not (tmp_path / ".writing-000002").exists()


def test_nothing_saved_is_none(tmp_path):
    assert Checkpoints(tmp_path / "absent", keep=1).latest() is None


def test_a_damaged_checkpoint_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    folder = checkpoints.save(snapshot(4))
    (folder / "state.json").write_text("{")
    with pytest.raises(DataError, match="step-000004: not a usable checkpoint"):
        checkpoints.latest()
