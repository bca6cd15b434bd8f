"""Listener-rewarded thinking (arXiv 2506.22832): reasoning that convinces a frozen listener.

    r = format + 0.5 · right + 0.5 · listener

`listener` is the probability that a frozen model gives to the labelled choice once it has read the
pictures, the question and the reasoning without its verdict. It is soft, and 0 where the reasoning
is empty, the completion malformed or its answer no verdict (`right` is 0 there as well). There is
no official code; the size of the format part and these edge cases are ours (card, section 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from mmrl.rewards.builtin import FORMAT
from mmrl.rewards.format import NO_EVIDENCE
from mmrl.rewards.preference import PREFERENCE, gold_verdict, preference_reward, verdict_of
from mmrl.rewards.registry import REWARDS
from mmrl.roles import Reward
from mmrl.types import Clock, Rollout, Sample, Verdict


@dataclass(frozen=True, kw_only=True)
class ListenerConfidence:
    """Evidence: what a listener makes of a rollout's reasoning."""

    provided_by: ClassVar[str] = (
        "ListenerProbe(LocalListener(frozen)) to the probes and the same frozen = Frozen() to the "
        "companions, or ListenerProbe(ServerListener(base_url=..., model=...))"
    )

    probabilities: tuple[float, float] | None
    """Of the first and the second candidate, mean over the orders asked; None where it failed."""
    by_order: tuple[tuple[float, float], ...] = ()
    """Before the mean: as the pair stands, then with the candidates exchanged (and turned back)."""
    failure: str = ""
    """Why there is none, beginning with its kind ("timeout", "http 500", "no verdict", …)."""
    heard: bool = True
    """False where there was nothing to listen to: malformed, or nothing but the verdict."""

    @property
    def choice(self) -> int | None:
        """The candidate it believes in: 0, 1, or None at a tie or a failure."""
        p = self.probabilities
        return None if p is None or p[0] == p[1] else int(p[1] > p[0])

    def record(self) -> dict[str, Any]:
        """What the rollout files say of it."""
        return {
            "probabilities": self.probabilities,
            "by_order": self.by_order,
            "failure": self.failure,
            "heard": self.heard,
        }


@dataclass(frozen=True)
class ListenerReward:
    """The listener's probability of the label, or of the rollout's own verdict.

    "label" is the paper's: a persuasive reasoning for the right candidate earns even where its own
    verdict is the other one. 0 where there is no verdict, None where the listener failed:
    unscorable, never 0.
    """

    target: Literal["label", "verdict"] = "label"

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        evidence: Mapping[type, Any] = NO_EVIDENCE,
        clock: Clock | None = None,
        /,
    ) -> float | None:
        gold, said = gold_verdict(sample), verdict_of(rollout)
        if said is None or not is_heard(rollout):
            return 0.0
        heard: ListenerConfidence = evidence[ListenerConfidence]
        if not heard.heard:
            return 0.0
        side = gold if self.target == "label" else said
        return None if heard.probabilities is None else heard.probabilities[side.better]


def is_heard(rollout: Rollout) -> bool:
    """Whether there is something to listen to: well-formed, with reasoning."""
    return rollout.parsed.verdict is Verdict.OK and bool((rollout.parsed.reasoning or "").strip())


def formed_preference_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where a well-formed completion gives the right verdict."""
    right = preference_reward(rollout, sample)
    return right if is_heard(rollout) else 0.0


def contradicts_reward(
    rollout: Rollout,
    sample: Sample,
    evidence: Mapping[type, Any] = NO_EVIDENCE,
    clock: Clock | None = None,
    /,
) -> float:
    """1 where the listener believes in the other candidate than the rollout's verdict names.

    A measure: its mean is the contradiction rate of the paper. Rollouts that were not heard, ties
    and failures count as no contradiction.
    """
    said = verdict_of(rollout)
    if said is None or not is_heard(rollout):
        return 0.0
    choice = evidence[ListenerConfidence].choice
    return float(choice is not None and choice != said.better)


LISTENER = REWARDS.add(
    "listener",
    Reward(name="listener", fn=ListenerReward(), weight=0.5, needs=(ListenerConfidence,)),
)


def listener_rewards(target: Literal["label", "verdict"] = "label") -> tuple[Reward, ...]:
    """The three parts with the paper's weights, and the contradiction rate with weight 0."""
    return (
        replace(FORMAT, weight=1.0),
        replace(PREFERENCE, fn=formed_preference_reward, weight=0.5),
        replace(LISTENER, fn=ListenerReward(target)),
        Reward(name="contradicts", fn=contradicts_reward, weight=0.0, needs=(ListenerConfidence,)),
    )
