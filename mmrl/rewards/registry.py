"""Rewards by name, the decorator that adds a user's own, and the check of what they return."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from mmrl.errors import ConfigError, RewardError
from mmrl.registry import Registry
from mmrl.roles import Reward, takes
from mmrl.types import Clock, Group, Rollout, Sample

F = TypeVar("F", bound=Callable[..., float | None])


@runtime_checkable
class Starts(Protocol):
    """A reward function that works beside the run: told of a group before it is asked about it."""

    def start(self, group: Group, /) -> None: ...


class RewardRegistry(Registry[Reward]):
    """Rewards are equal by the function that they call: a reloaded module may register again."""

    def add(self, name: str, part: Reward) -> Reward:
        known = self._parts.get(name)
        if known is not None and _where(known.fn) == _where(part.fn):
            self._parts[name] = part
            return part
        return super().add(name, part)


REWARDS = RewardRegistry("reward", builtin=("mmrl.rewards.builtin", "mmrl.rewards.listener"))


def register_reward(
    name: str,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    weight: float = 1.0,
    isolated: bool = True,
    needs: tuple[type, ...] = (),
) -> Callable[[F], F]:
    """Registers `f(rollout, sample) -> float | None` (or the form of four arguments).

    `bounds` are what it may return, checked on every call; None means that it cannot score.
    `isolated` runs it in a killable worker process with a time limit, which needs a function that
    can be imported by name. The function itself is returned unchanged.
    """
    low, high = bounds
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f'reward "{name}": bounds {bounds} should be finite, low below high')

    def decorate(fn: F) -> F:
        check_reward_fn(name, fn)
        REWARDS.add(
            name,
            Reward(
                name=name,
                fn=fn,
                weight=weight,
                bounds=(float(low), float(high)),
                needs=needs,
                isolated=isolated,
            ),
        )
        return fn

    return decorate


def check_reward_fn(name: str, fn: Callable[..., float | None]) -> None:
    """Refuses a function that takes neither two nor four arguments (ConfigError)."""
    if not (takes(fn, 4) or takes(fn, 2)):
        raise ConfigError(
            f'reward "{name}": {getattr(fn, "__qualname__", fn)}{inspect.signature(fn)} should '
            "take (rollout, sample) or (rollout, sample, evidence, clock)"
        )


def check_value(reward: Reward, sample: Sample, value: object) -> float | None:
    """`value` as a float inside the reward's bounds, or None; anything else is a RewardError."""
    if value is None:
        return None
    where = f'reward "{reward.name}" on sample "{sample.id}"'
    if not isinstance(value, numbers.Real):
        raise RewardError(f"{where} should return a float or None; it returned {value!r}")
    number = float(value)
    low, high = reward.bounds
    if not math.isfinite(number):
        raise RewardError(f"{where} returned {number}; return None where it cannot score")
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    if not low - slack <= number <= high + slack:
        raise RewardError(
            f"{where} returned {number}, outside of its bounds [{low}, {high}]; "
            f"clip it or declare wider bounds"
        )
    return min(high, max(low, number))


def call_reward(
    reward: Reward,
    rollout: Rollout,
    sample: Sample,
    evidence: Mapping[type, Any],
    clock: Clock,
) -> float | None:
    """The checked value of a reward, run in place."""
    return check_value(reward, sample, reward(rollout, sample, evidence, clock))


def _where(fn: Any) -> object:
    name = getattr(fn, "__qualname__", None)
    if name is None or "<lambda>" in name or "<locals>" in name:
        return id(fn)
    return getattr(fn, "__module__", None), name
