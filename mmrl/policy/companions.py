"""Models beside the policy that follow it: an exponential moving average of its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from mmrl.errors import PolicyError
from mmrl.roles import Action, Models
from mmrl.types import Clock, ScoredGroup


class Ema:
    """An fp32 moving average of the policy's trainable tensors (of the adapter under LoRA).

    shadow <- decay · shadow + (1 - decay) · weight after every `every`-th step, for every tensor on
    its own device and shard. The policy gives its tensors by `trainable()`.
    """

    def __init__(self, *, decay: float = 0.99, every: int = 1) -> None:
        if not 0.0 <= decay < 1.0:
            raise PolicyError(f"the decay of an EMA lies in [0, 1), it is {decay}")
        if every < 1:
            raise PolicyError(f"an EMA moves every 1, 2, … steps, got every={every}")
        self.decay, self.every = decay, every
        self.steps = 0
        """Steps seen, so that a resumed run moves at the same ones."""
        self.shadow: dict[str, torch.Tensor] = {}

    def prepare(self, models: Models, /) -> None:
        """Starts the average at the policy's weights, unless a state was loaded before."""
        if self.shadow:
            self._place(models.policy)
        else:
            self.shadow = {
                name: weight.detach().to(torch.float32, copy=True)
                for name, weight in _trainable(models.policy).items()
            }

    @torch.no_grad()
    def after_step(
        self, batch: Sequence[ScoredGroup], models: Models, clock: Clock, /
    ) -> Sequence[Action]:
        """Moves the average towards the policy where it is time; asks for nothing."""
        self.steps += 1
        if self.steps % self.every:
            return ()
        for name, weight in self._pairs(models.policy):
            self.shadow[name].lerp_(weight.detach().float(), 1.0 - self.decay)
        return ()

    @contextmanager
    def applied(self, models: Models) -> Iterator[Any]:
        """The policy, with the averaged weights inside the block and its own bits again after."""
        if not self.shadow:
            raise PolicyError(
                "the EMA has no weights yet: the same Ema that a probe reads must stand among the "
                "method's companions, which prepares it"
            )
        with with_weights(list(self._pairs(models.policy)), self.shadow):
            yield models.policy

    def state_dict(self) -> dict[str, Any]:
        return {"decay": self.decay, "steps": self.steps, "shadow": dict(self.shadow)}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Takes the average over; decay and pace stay the recipe's."""
        self.steps = int(state.get("steps", 0))
        self.shadow = {
            name: tensor.to(torch.float32, copy=True) for name, tensor in state["shadow"].items()
        }

    def metrics(self) -> dict[str, float]:
        """Size of the average, to see that it moves."""
        squares = sum(float(tensor.square().sum()) for tensor in self.shadow.values())
        return {"ema_norm": squares**0.5}

    def _place(self, policy: Any) -> None:
        for name, weight in self._pairs(policy):
            self.shadow[name] = self.shadow[name].to(weight.device)

    def _pairs(self, policy: Any) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """The policy's trainable tensors, each with the name of its shadow."""
        weights = _trainable(policy)
        if weights.keys() != self.shadow.keys():
            odd = sorted(weights.keys() ^ self.shadow.keys())
            raise PolicyError(
                f"the EMA and the policy differ in {len(odd)} trainable tensors, first {odd[0]}; "
                f"freeze and adapt the policy before the companions are prepared"
            )
        yield from weights.items()


@contextmanager
def with_weights(
    pairs: Sequence[tuple[str, torch.nn.Parameter]], values: Mapping[str, torch.Tensor]
) -> Iterator[None]:
    """Inside, each parameter has a copy of its value in `values`; after, its own bits."""
    own = [weight.data for _, weight in pairs]
    try:
        for name, weight in pairs:
            weight.data = values[name].to(weight.device, weight.dtype, copy=True)
        yield
    finally:
        for (_, weight), data in zip(pairs, own, strict=True):
            weight.data = data


def _trainable(policy: Any) -> dict[str, torch.nn.Parameter]:
    return dict(policy.trainable())
