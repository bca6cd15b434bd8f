"""Checkpoints are whole or absent, and hold what they were given."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

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


def test_a_broken_write_is_invisible_and_removed_by_the_process_that_cleans(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    checkpoints.save(snapshot(1))
    (tmp_path / ".writing-000002").mkdir()
    (tmp_path / ".writing-000002" / "policy.safetensors").write_bytes(b"half")
    back = checkpoints.latest()
    assert back is not None and back.step == 1
    assert (tmp_path / ".writing-000002").exists()  # several processes look at once
    checkpoints.clean()
    assert not (tmp_path / ".writing-000002").exists()


@pytest.mark.parametrize("kill", [1, 2, 3, 4, 5])
def test_saving_a_step_again_leaves_it_whole_wherever_it_is_killed(kill, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(snapshot(7))
    calls: list[str] = []

    def dies(inner):
        def wrapped(path, *arguments, **options):
            calls.append(Path(path).name)
            if len(calls) == kill:
                if inner is shutil_rmtree:
                    (Path(path) / "policy.safetensors").unlink(missing_ok=True)  # half deleted
                raise KeyboardInterrupt
            return inner(path, *arguments, **options)

        return wrapped

    shutil_rmtree = shutil.rmtree
    again = replace(snapshot(7), policy={"w": torch.zeros(2)})
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", dies(os.replace))
        patched.setattr(shutil, "rmtree", dies(shutil.rmtree))
        checkpoints.save(again)
    checkpoints.clean()
    back = checkpoints.latest()
    assert back is not None and back.step == 7, calls
    assert back.policy["w"].tolist() == ([7.0, 7.0] if kill < 5 else [0.0, 0.0])
    assert [p.name for p in tmp_path.iterdir()] == ["step-000007"]


def test_nothing_saved_is_none(tmp_path):
    assert Checkpoints(tmp_path / "absent", keep=1).latest() is None


def test_a_damaged_checkpoint_is_named(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1)
    folder = checkpoints.save(snapshot(4))
    (folder / "state.json").write_text("{")
    with pytest.raises(DataError, match="step-000004: not a usable checkpoint"):
        checkpoints.latest()
