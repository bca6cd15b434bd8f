"""A model beside the policy that never changes: a listener, or a judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mmrl.errors import PolicyError
from mmrl.policy.companions import with_weights
from mmrl.policy.load import load_policy
from mmrl.roles import Action, Models
from mmrl.types import Clock, ScoredGroup


class Frozen:
    """A checkpoint of its own (`path`), or the policy as it is when the run begins.

    Of the policy only the tensors that train are copied, in their own dtype; the copy is part of
    the run's state, so that a resumed run has the same one. A checkpoint is loaded in `dtype`;
    `settings` go to `mmrl.policy.load.load_policy` (device, attention, image_budget, …).
    """

    def __init__(
        self, path: str | Path | None = None, *, dtype: str = "float32", **settings: Any
    ) -> None:
        if path is None and (settings or dtype != "float32"):
            given = ", ".join(sorted({*settings, *({"dtype"} if dtype != "float32" else ())}))
            raise PolicyError(
                f"Frozen without a path is the policy itself, in its own dtype: {given} has no "
                "meaning; give the folder of a checkpoint"
            )
        self.path, self.dtype, self.settings = path, dtype, settings
        self._kept: dict[str, torch.Tensor] = {}
        self._own: Any = None

    def prepare(self, models: Models, /) -> None:
        """Loads the checkpoint, or copies the policy unless a state was loaded before."""
        if self.path is not None:
            self._load(models)
        elif not self._kept:
            self._kept = {n: p.detach().clone() for n, p in models.policy.trainable().items()}

    def after_step(
        self, batch: Sequence[ScoredGroup], models: Models, clock: Clock, /
    ) -> Sequence[Action]:
        """Frees what was kept of the step's pictures; the weights stay."""
        if self._own is not None:
            self._own.vision_memory.forget()
        return ()

    @contextmanager
    def applied(self, models: Models) -> Iterator[Any]:
        """The frozen model; where it is the policy, its own bits are back after the block."""
        if self.path is not None:
            if self._own is None:
                self._load(models)
            yield self._own
            return
        mine = models.policy.trainable()
        if mine.keys() != self._kept.keys():
            raise PolicyError(
                "the frozen copy and the policy differ in their trainable tensors, or there is no "
                "copy yet: the same Frozen that a probe reads must stand among the method's "
                "companions, which prepares it, after the policy was frozen and adapted"
            )
        with with_weights(list(mine.items()), self._kept):
            yield models.policy

    def state_dict(self) -> dict[str, Any]:
        return {"kept": dict(self._kept)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        self._kept = {name: tensor.clone() for name, tensor in state["kept"].items()}

    def _load(self, models: Models) -> None:
        store = getattr(models, "media", None)
        own = load_policy(str(self.path), dtype=self.dtype, **{"store": store, **self.settings})
        own.model.requires_grad_(False)
        self._own = own
