"""Rewards for an answer that survives a reshuffle of the options (ACRE, arXiv 2510.10104).

A probe (`mmrl.probes.second_pass`) answers each question again: same reasoning, other order of
options. The evidence is `SecondAnswer`; answers are compared by what the options say, never by
letter. The paper does not print its three coefficients; ours are settings. Departure: a rollout
without a readable answer of its own earns nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from mmrl.errors import ConfigError
from mmrl.parse.choices import parse_choice
from mmrl.rewards.choice import choice_reward
from mmrl.rewards.gold import gold_choice
from mmrl.roles import Reward
from mmrl.types import Clock, Rollout, Sample

OUTCOMES = ("both_right", "first_right", "second_right", "none_right")
"""The four ways in which a first and a second answer can be right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondLook:
    """One further answer under the same reasoning."""

    order: tuple[int, ...]
    """Place i of the list that was shown held option `order[i]` of the sample."""
    text: str
    """What was answered, as written."""
    content: str | None
    """Text of the option that was answered; None where no letter could be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondAnswer:
    """Evidence of one rollout: what it answered, and what it would under other orders.

    `looks` is empty where the question has no options to be put in another order; a rollout
    without reasoning has looks that answer nothing.
    """

    provided_by: ClassVar[str] = "mmrl.probes.second_pass.SecondPass()"
    content: str | None
    """Text of the option that the rollout answered."""
    looks: tuple[SecondLook, ...]

    @property
    def unchanged(self) -> float | None:
        """Share of looks that answer what the rollout did: its part of OSCR. None without looks."""
        if not self.looks:
            return None
        same = [self.content is not None and look.content == self.content for look in self.looks]
        return sum(same) / len(same)

    def record(self) -> dict[str, Any]:
        """Plain values for logs."""
        return {**asdict(self), "unchanged": self.unchanged}


def outcome_shares(rollout: Rollout, sample: Sample, answer: SecondAnswer) -> dict[str, float]:
    """Of each of `OUTCOMES`, the share of looks in which it holds; {} without looks.

    A rollout whose own answer cannot be read is `none_right`, whatever is answered later: an empty
    completion must not earn by its second look.
    """
    if not answer.looks:
        return {}
    options = tuple(sample.meta["options"])
    right = options[ord(gold_choice(sample)) - ord("A")]
    own = content_of(rollout.parsed.answer or "", options)
    shares = dict.fromkeys(OUTCOMES, 0.0)
    for look in answer.looks:
        wrong_again = look.content != right or own is None
        shares[OUTCOMES[2 * (own != right) + wrong_again]] += 1 / len(answer.looks)
    return shares


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """ACRE's reward in place of accuracy: `both_right` where the answer and the second are right.

    `first_right` where only the rollout's own is, `second_right` where only the second is, else 0;
    the mean over looks. Without looks (no options) it is plain accuracy times `both_right`.
    """

    both_right: float = 1.0
    first_right: float = 0.5
    second_right: float = 0.2

    def __post_init__(self) -> None:
        if not self.both_right > self.first_right >= self.second_right >= 0:
            raise ConfigError(
                "consistency wants both_right > first_right >= second_right >= 0; they are "
                f"{self.both_right}, {self.first_right}, {self.second_right}"
            )

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Mapping[type, Any], clock: Clock, /
    ) -> float:
        shares = outcome_shares(rollout, sample, evidence[SecondAnswer])
        if not shares:
            return self.both_right * choice_reward(rollout, sample)
        return sum(getattr(self, name) * shares[name] for name in OUTCOMES[:3])

    def reward(self) -> Reward:
        """The reward part, to stand where the task's `choice` stood."""
        return Reward(
            name="consistency", fn=self, bounds=(0.0, self.both_right), needs=(SecondAnswer,)
        )


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A share to log without rewarding it: `unchanged` (OSCR) or one of `OUTCOMES`."""

    what: str

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Mapping[type, Any], clock: Clock, /
    ) -> float | None:
        answer: SecondAnswer = evidence[SecondAnswer]
        if self.what == "unchanged":
            return answer.unchanged
        return outcome_shares(rollout, sample, answer).get(self.what)


def watched() -> tuple[Reward, ...]:
    """Parts of weight 0: OSCR and the four outcomes stand in the metrics of every step."""
    return tuple(
        Reward(name=name, fn=Watch(what=name), weight=0.0, needs=(SecondAnswer,))
        for name in ("unchanged", *OUTCOMES)
    )


def content_of(answer: str, options: tuple[str, ...]) -> str | None:
    """Text of the option whose letter an answer names, or None."""
    letter = parse_choice(answer, len(options))
    return None if letter is None else options[ord(letter) - ord("A")]
