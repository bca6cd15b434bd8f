"""The roles that a method is made of. Read this page to know the system.

Only plans and evaluation sample tokens; only probes read models for evidence; companions only
update models. Everything else is arithmetic on the types of `mmrl.types`. Protocol arguments are
positional-only, so plain functions fit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from mmrl.types import (
    Advantage,
    Clock,
    Counts,
    Demonstration,
    Group,
    Pack,
    PolicyOutput,
    Rollout,
    Sample,
    ScoredGroup,
)

if TYPE_CHECKING:
    import torch

Reduce = Callable[[Mapping[str, float]], Mapping[str, float]]
"""Sums named numbers over all ranks; the identity for one process."""


class Models(Protocol):
    """The doors to models that plans, probes and companions may use."""

    @property
    def policy(self) -> Any: ...

    @property
    def sampler(self) -> Any: ...


class Source(Protocol):
    """Decides what to draw; may learn from what was scored. Stateful."""

    def draw(self, n: int, /) -> Sequence[Sample | Demonstration]: ...

    def observe(self, groups: Sequence[ScoredGroup], /) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any], /) -> None: ...


class RolloutPlan(Protocol):
    """Samples groups for drawn samples. `draws` pairs a draw id with its sample."""

    def __call__(
        self, draws: Sequence[tuple[str, Sample]], models: Models, clock: Clock, /
    ) -> Sequence[Group]: ...


@runtime_checkable
class Probe(Protocol):
    """Asks models for evidence about finished groups; `provides` names the evidence type."""

    provides: type

    def __call__(
        self, groups: Sequence[Group], models: Models, clock: Clock, /
    ) -> Sequence[Sequence[Any]]: ...


RewardFn = Callable[[Rollout, Sample, Mapping[type, Any], Clock], float | None]
ShortRewardFn = Callable[[Rollout, Sample], float | None]
"""A reward that reads neither evidence nor clock."""


def takes(fn: Callable[..., Any], num: int) -> bool:
    """Whether a function can be called with so many arguments; yes where nobody can know."""
    try:
        inspect.signature(fn).bind(*range(num))
    except TypeError:
        return False
    except ValueError:  # a builtin without a signature
        return True
    return True


@dataclass(frozen=True, kw_only=True)
class Reward:
    """A named, bounded, pure judgement of one rollout.

    `fn(rollout, sample, evidence, clock)`, or `fn(rollout, sample)` where it reads no more than
    these, returns a number inside `bounds`, or None when it cannot score. `needs` are evidence
    types, checked when the method is built.
    """

    name: str
    fn: RewardFn | ShortRewardFn
    weight: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)
    needs: tuple[type, ...] = ()
    isolated: bool = False
    """Runs in a killable worker process with a time limit (user code); built-ins run in place."""

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Mapping[type, Any], clock: Clock, /
    ) -> float | None:
        """What `fn` says, unchecked."""
        fn: Callable[..., float | None] = self.fn
        return fn(*self.arguments(rollout, sample, evidence, clock))

    def arguments(
        self, rollout: Rollout, sample: Sample, evidence: Mapping[type, Any], clock: Clock, /
    ) -> tuple[Any, ...]:
        """As many of these as `fn` takes."""
        return (rollout, sample, evidence, clock)[: self._num_arguments]

    @cached_property
    def _num_arguments(self) -> int:
        return 4 if takes(self.fn, 4) else 2


class Bonus(Protocol):
    """A reward part that sees the whole group; added after the others, before Combine."""

    name: str
    needs: tuple[type, ...]
    reads: tuple[str, ...]

    def __call__(self, scored: ScoredGroup, clock: Clock, /) -> Sequence[float | None]: ...


class Combine(Protocol):
    """Turns one rollout's parts into its reward; `parts` are already free of None."""

    def __call__(
        self, parts: Mapping[str, float], score: float, sample: Sample, clock: Clock, /
    ) -> float: ...


class GateAction(StrEnum):
    KEEP = "keep"
    DROP = "drop"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a gate wants with a group: keep it (perhaps several times) or drop it for a reason."""

    action: GateAction = GateAction.KEEP
    reason: str = ""
    repeat: int = 1


class Gate(Protocol):
    def __call__(self, scored: ScoredGroup, /) -> Decision: ...


class Credit(Protocol):
    """Advantages of all groups of a step: one entry a group, then a rollout (or its tokens)."""

    def __call__(
        self, scored: Sequence[ScoredGroup], reduce: Reduce, clock: Clock, /
    ) -> Sequence[Sequence[Advantage]]: ...


class TokenWeights(Protocol):
    def __call__(self, scored: ScoredGroup, /) -> Sequence[Sequence[float]]: ...


class Objective(Protocol):
    """Per-token loss [N] and metrics (name -> per-token tensor [N], averaged over the mask)."""

    def __call__(
        self, out: PolicyOutput, pack: Pack, advantages: torch.Tensor, clock: Clock, /
    ) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]: ...


class Reduction(Protocol):
    """Sum of per-token losses into this pack's share of the update's scalar loss."""

    def __call__(self, per_token: torch.Tensor, pack: Pack, counts: Counts, /) -> torch.Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Term:
    """One addend of the loss: an objective on named advantages, reduced in its own way."""

    name: str
    objective: Objective
    reduction: Reduction
    coefficient: float = 1.0
    advantages: str = "main"
    weighted: bool = True
    """Whether the token weights of the method (or of a demonstration) multiply this term."""
    needs: frozenset[str] = frozenset()
    """What the learner must provide: "old", "reference", "entropy"."""
    scope: Literal["token", "sequence", "group"] = "token"
    """What the objective must see at once; a group is then never split over packs."""


class Balance(Protocol):
    """λ per term, from what was monitored so far."""

    def __call__(self, monitored: Mapping[str, float], clock: Clock, /) -> Mapping[str, float]: ...


class Action(StrEnum):
    RESET_REFERENCE = "reset_reference"
    RESET_OPTIMIZER = "reset_optimizer"
    STOP = "stop"


class Companion(Protocol):
    """A model beside the policy that is updated after each step (EMA, co-trained judge, …)."""

    def prepare(self, models: Models, /) -> None: ...

    def after_step(
        self, batch: Sequence[ScoredGroup], models: Models, clock: Clock, /
    ) -> Sequence[Action]: ...


@runtime_checkable
class Stateful(Protocol):
    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any], /) -> None: ...
