"""AdamW over the policy's parameter groups, its schedule, and the guard before each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from mmrl.config.schema import OptimizerConfig
from mmrl.errors import PolicyError
from mmrl.types import Clock


def schedule_factor(config: OptimizerConfig, clock: Clock) -> float:
    """Share of the peak learning rate at a stage step: linear warm-up, then the decay asked for.

    linear: 1 -> min_lr_ratio over the steps after warm-up; cosine: the same by a half cosine.
    """
    step, total, warmup = clock.stage_step, clock.stage_steps, config.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if config.schedule == "constant":
        return 1.0
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    falling = 1.0 - done if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return config.min_lr_ratio + (1 - config.min_lr_ratio) * falling


@dataclass(frozen=True, slots=True)
class UpdateReport:
    """Norm of the gradient before clipping, and whether the step was skipped as non-finite."""

    grad_norm: float
    skipped: bool


class Optimizer:
    """AdamW with named state, so that it saves as plain tensors and resumes exactly."""

    max_skipped = 10
    """Non-finite gradients in a row before the run ends."""

    def __init__(self, policy: Any, config: OptimizerConfig) -> None:
        self.config = config
        groups = policy.parameter_groups(config.lr, config.rates)
        self.peaks = [g["lr"] for g in groups]
        self.inner = torch.optim.AdamW(
            groups,
            lr=config.lr,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
        )
        self.parameters = [p for g in self.inner.param_groups for p in g["params"]]
        names = {id(p): n for n, p in policy.trainable().items()}
        self._names = [names[id(p)] for p in self.parameters]
        self._skipped = 0

    def step(self, clock: Clock) -> UpdateReport:
        """Clips and applies the gradients; non-finite ones are dropped and counted."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        skipped = not bool(torch.isfinite(norm))
        if skipped:
            self._skipped += 1
            if self._skipped >= self.max_skipped:
                raise PolicyError(
                    f"gradients were not finite in {self._skipped} updates in a row "
                    f"(step {clock.step}); lower optimizer.lr or check the rewards"
                )
        else:
            self._skipped = 0
            factor = schedule_factor(self.config, clock)
            for group, peak in zip(self.inner.param_groups, self.peaks, strict=True):
                group["lr"] = peak * factor
            self.inner.step()
        self.inner.zero_grad(set_to_none=True)
        return UpdateReport(float(norm), skipped)

    def learning_rate(self, clock: Clock) -> float:
        return self.config.lr * schedule_factor(self.config, clock)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Moments and step counts by parameter name, for safetensors."""
        out = {}
        for name, parameter in zip(self._names, self.parameters, strict=True):
            for key, value in self.inner.state.get(parameter, {}).items():
                out[f"{name}|{key}"] = torch.as_tensor(value).detach().cpu().clone()
        return out

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restores what `tensors` gave; names must fit this optimizer's parameters."""
        known = dict(zip(self._names, self.parameters, strict=True))
        self.inner.state.clear()
        for full, value in tensors.items():
            name, key = full.rsplit("|", 1)
            if name not in known:
                raise PolicyError(f'checkpoint holds optimizer state of "{name}", not trained here')
            parameter = known[name]
            home = torch.device("cpu") if key == "step" else parameter.device
            self.inner.state[parameter][key] = value.to(home).clone()
