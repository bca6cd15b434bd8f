"""Checkpoints: written aside, flushed, renamed; nothing but safetensors and JSON.

    checkpoints/step-000100/  policy.safetensors  optimizer.safetensors  parts.safetensors
                              state.json

`state.json` holds the clock, every stateful part, and the lengths of the append-only logs, so that
a resumed run cuts off what was written after the checkpoint.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from mmrl.errors import DataError

_PREFIX = "step-"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a run needs to go on as if it had not stopped."""

    step: int
    policy: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, torch.Tensor]
    parts: Mapping[str, Mapping[str, Any]]
    """Path of a stateful part -> its state (tensors, and values that JSON holds exactly)."""
    state: Mapping[str, Any]


class Checkpoints:
    """The checkpoint folders of one run."""

    def __init__(self, folder: Path, *, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def save(self, snapshot: Snapshot) -> Path:
        """Writes a checkpoint that is either whole or absent, then drops the oldest."""
        final = self.folder / f"{_PREFIX}{snapshot.step:06d}"
        aside = self.folder / f".writing-{snapshot.step:06d}"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        tensors, plain = _split(snapshot.parts)
        _save(aside / "policy.safetensors", snapshot.policy)
        _save(aside / "optimizer.safetensors", snapshot.optimizer)
        _save(aside / "parts.safetensors", tensors)
        state = {**snapshot.state, "step": snapshot.step, "parts": plain}
        _write(aside / "state.json", json.dumps(state))
        old = self.folder / f".old-{snapshot.step:06d}"
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.replace(final, old)
        os.replace(aside, final)
        _flush_folder(self.folder)
        shutil.rmtree(old, ignore_errors=True)
        for step in self.steps()[: -self.keep]:
            shutil.rmtree(self.folder / f"{_PREFIX}{step:06d}")
        return final

    def steps(self) -> list[int]:
        """Steps of whole checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        names = (p.name for p in self.folder.iterdir() if (p / "state.json").is_file())
        return sorted(int(n.removeprefix(_PREFIX)) for n in names if n.startswith(_PREFIX))

    def clean(self) -> None:
        """Removes what a broken `save` left; for one process, before any looks for `latest`.

        A checkpoint that was moved away and not yet replaced is moved back.
        """
        for half in self.folder.glob(".writing-*"):
            shutil.rmtree(half)
        for old in self.folder.glob(".old-*"):
            final = self.folder / f"{_PREFIX}{old.name.removeprefix('.old-')}"
            if final.exists():
                shutil.rmtree(old)
            else:
                os.replace(old, final)

    def latest(self) -> Snapshot | None:
        """The newest whole checkpoint, or None."""
        steps = self.steps()
        return self.load(steps[-1]) if steps else None

    def load(self, step: int) -> Snapshot:
        folder = self.folder / f"{_PREFIX}{step:06d}"
        try:
            state = json.loads((folder / "state.json").read_text())
            return Snapshot(
                step=state.pop("step"),
                policy=load_file(folder / "policy.safetensors"),
                optimizer=load_file(folder / "optimizer.safetensors"),
                parts=_join(load_file(folder / "parts.safetensors"), state.pop("parts")),
                state=state,
            )
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{folder}: not a usable checkpoint ({error})") from error


def _split(
    parts: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, torch.Tensor], dict[str, dict[str, Any]]]:
    """Tensors by "part|key" and the rest by part; nested mappings of tensors are flattened."""
    tensors: dict[str, torch.Tensor] = {}
    plain: dict[str, dict[str, Any]] = {}
    for part, state in parts.items():
        plain[part] = {}
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{part}|{key}"] = value
            elif isinstance(value, Mapping) and any(
                isinstance(v, torch.Tensor) for v in value.values()
            ):
                tensors.update({f"{part}|{key}|{name}": v for name, v in value.items()})
            else:
                plain[part][key] = value
    return tensors, plain


def _join(
    tensors: Mapping[str, torch.Tensor], plain: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    parts = {part: dict(state) for part, state in plain.items()}
    for full, value in tensors.items():
        part, key, *name = full.split("|", 2)
        if name:
            parts[part].setdefault(key, {})[name[0]] = value
        else:
            parts[part][key] = value
    return parts


def _save(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
