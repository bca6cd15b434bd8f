"""The tensors of a policy: which train and how fast, the reference, states, saving."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mmrl.errors import PolicyError, nearest
from mmrl.policy import parts
from mmrl.policy.families import Family


class Weights:
    """A transformers model, or the PEFT model around it, with its processor."""

    def __init__(self, model: Any, processor: Any, family: Family) -> None:
        self.model = model
        self.processor = processor
        self.family = family
        self._snapshot: dict[str, torch.Tensor] | None = None

    @property
    def core(self) -> Any:
        """The transformers model itself, adapter layers included."""
        return self.model.get_base_model() if self.is_adapted else self.model

    @property
    def is_adapted(self) -> bool:
        return hasattr(self.model, "peft_config")

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def parameter_groups(
        self, lr: float, rates: Mapping[str, float] | None = None
    ) -> list[dict[str, Any]]:
        """Optimizer groups; see `mmrl.policy.parts.parameter_groups`."""
        return parts.parameter_groups(self.model, self.family, lr, rates or {})

    def trainable(self) -> dict[str, nn.Parameter]:
        """The tensors that train, by name."""
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def trainable_state(self) -> dict[str, torch.Tensor]:
        """Copies of the tensors that train, on the CPU."""
        return {n: p.detach().to("cpu", copy=True) for n, p in self.trainable().items()}

    def load_trainable_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Puts such copies back; every tensor that trains must be there with its shape."""
        mine = self.trainable()
        for name in sorted({*mine} ^ {*state}):
            which = "is not in the state" if name in mine else "is in the state but does not train"
            raise PolicyError(
                f"weights: {name} {which}; was it saved with other freeze or lora settings?"
                + nearest(name, state if name in mine else mine)
            )
        with torch.no_grad():
            for name, parameter in mine.items():
                if parameter.shape != state[name].shape:
                    raise PolicyError(
                        f"weights: {name} has shape {tuple(parameter.shape)} here and "
                        f"{tuple(state[name].shape)} in the state"
                    )
                parameter.copy_(state[name])

    def keep_reference(self) -> None:
        """Makes the present weights the reference (only tensors that train are copied)."""
        self._snapshot = {n: p.detach().clone() for n, p in self.trainable().items()}

    def reference_state(self) -> dict[str, torch.Tensor]:
        """Copies of the kept reference weights on the CPU; empty when nothing is kept."""
        return {n: p.to("cpu", copy=True) for n, p in (self._snapshot or {}).items()}

    def load_reference_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Puts kept reference weights back; none forgets the reference."""
        self._snapshot = {n: p.to(self.device) for n, p in state.items()} or None

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, the policy is the reference: what `keep_reference` kept, else the model under
        its adapter."""
        if self._snapshot is None and not self.is_adapted:
            raise PolicyError(
                "there is no reference: call keep_reference() before the first update (a LoRA "
                "policy needs none, its base model is the reference)"
            )
        if self._snapshot is None:
            with self.model.disable_adapter():
                yield
            return
        mine = self.trainable()
        held = {n: p.data for n, p in mine.items()}
        try:
            for name, kept in self._snapshot.items():
                mine[name].data = kept
            yield
        finally:
            for name, data in held.items():
                mine[name].data = data

    def save(self, folder: str | Path) -> Path:
        """Writes safetensors and processor: an adapter under LoRA, else a whole checkpoint."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(path)
        self.processor.save_pretrained(path)
        return path
