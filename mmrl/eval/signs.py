"""Signs of a run that goes wrong, each a pure function of the series of one stage.

A new stage brings new data, whose jump is no collapse; so every stage is judged alone. Changes are
those of `mmrl.eval.trend`: first against last fifth, from 40 steps on, by a least amount and by 5
standard errors. Thresholds stand with their reasons in each function; each returns what to say, or
None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmrl.eval.series import is_number
from mmrl.eval.trend import FEWEST, Trend, trend

WATCHED = (
    *("zero_spread", "accuracy", "entropy", "length", "score", "format", "reward"),
    *("grad_norm", "skipped_updates", "kl", "kl_old", "truncated"),
)
"""Figures of a step record that the signs read."""


@dataclass
class Series:
    """The watched figures of one stage, a value a step (NaN where there was none)."""

    stage: str
    steps: list[int] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=lambda: {n: [] for n in WATCHED})
    evals: list[Mapping[str, Any]] = field(default_factory=list)
    """Evaluations since the last one before the stage, which is the first of them."""

    def add(self, record: Mapping[str, Any]) -> None:
        self.steps.append(int(record["step"]))
        for name, values in self.values.items():
            value: Any = record.get(name)
            values.append(float(value) if is_number(value) else float("nan"))

    def of(self, name: str) -> np.ndarray:
        """The finite values of a figure, in order."""
        x = np.asarray(self.values[name], dtype=np.float64)
        return x[np.isfinite(x)]

    def trend(self, name: str) -> Trend | None:
        return trend(self.values[name])

    def level(self, name: str) -> float:
        """Mean of the last fifth and of at least the last `FEWEST` values; 0 for fewer values."""
        x = self.of(name)
        return float(x[-max(FEWEST, len(x) // 5) :].mean()) if len(x) >= FEWEST else 0.0


def zero_spread(series: Series) -> str | None:
    """Half of the groups, after a rise by a fifth; or four fifths however it came to that.

    A group without spread has no advantage: at one half the step costs twice what it teaches, at
    four fifths five times.
    """
    share = series.trend("zero_spread")
    level = series.level("zero_spread")
    if share is None or not ((share.rises(0.2) and share.last >= 0.5) or level >= 0.8):
        return None
    right = series.trend("accuracy")
    if right is None:
        why = ""
    elif right.last >= 0.5:
        why = " Most of their answers are right: give it harder samples."
    else:
        why = " Most of their answers are wrong: give it easier samples or a cold start."
    return (
        f"{share.last:.0%} of the groups have no spread of rewards (at first {share.first:.0%}): "
        f"they teach nothing.{why}"
    )


def entropy(series: Series) -> str | None:
    """At most 0.1 nats a token, and a quarter of what it was.

    At 0.1 nats about one token in fifty is in doubt: the rollouts of a group become copies. A run
    may begin that low (a tuned model), so it must also have fallen.
    """
    e = series.trend("entropy")
    if e is None or not (e.falls() and e.last <= 0.1 and e.last <= e.first / 4):
        return None
    return (
        f"entropy fell from {e.first:.3f} to {e.last:.3f} nats a token: the policy hardly "
        "explores any more. Raise the temperature, the upper clip or the entropy bonus."
    )


def length(series: Series) -> str | None:
    """Twice as long, or a third, while the score has not risen by 0.02.

    Reasoning may grow, and answers may become terse, where that pays; without a gain in score it
    is padding, repetition or an empty answer. 0.02 is a gain that an evaluation of some hundred
    samples can see at all.
    """
    size, score = series.trend("length"), series.trend("score")
    if size is None or (score is not None and score.rises(0.02)):
        return None
    if size.rises() and size.last >= 2 * size.first:
        return (
            f"completions grew from {size.first:.0f} to {size.last:.0f} tokens and the score did "
            "not rise with them: look for repetition."
        )
    if size.falls() and size.last <= size.first / 3:
        return (
            f"completions shrank from {size.first:.0f} to {size.last:.0f} tokens and the score "
            "did not rise with it: look for empty reasoning."
        )
    return None


def format_without_score(series: Series) -> str | None:
    """Well-formed up by a fifth to at least 0.9, the score not up by 0.02 and below one half.

    The format reward is the easiest to earn. Once it is earned nearly always, a policy that does
    not answer better has found all that is easy; one that is right half of the time anyway had
    nothing else to learn first.
    """
    form, score = series.trend("format"), series.trend("score")
    if form is None or score is None or not (form.rises(0.2) and form.last >= 0.9):
        return None
    if score.rises(0.02) or score.last >= 0.5:
        return None
    return (
        f"well-formed answers rose from {form.first:.0%} to {form.last:.0%}, the score stayed at "
        f"{score.last:.3f}: the tags are learned, the task is not. Lower the weight of format."
    )


def reward_without_score(series: Series) -> str | None:
    """Reward rising while a held-out score falls clearly, or the rollouts' own by 0.05.

    Held out: the newest evaluation lies with its whole 95 % interval below that of the best one
    before it, and the reward rose since then. The two are no reward of the policy, so they part
    where the reward is gamed or the training samples are learned by heart.
    """
    found = _held_out_fall(series)
    reward, score = series.trend("reward"), series.trend("score")
    if found is None and reward is not None and score is not None:
        if not (reward.rises() and score.falls(0.05)):
            return None
        return (
            f"the reward rose from {reward.first:.3f} to {reward.last:.3f} while the task's score "
            f"of the same rollouts fell from {score.first:.3f} to {score.last:.3f}: some other "
            "part of the reward is gamed."
        )
    return found


def _held_out_fall(series: Series) -> str | None:
    if len(series.evals) < 2:
        return None
    *before, last = series.evals
    for name in held_out_measures(last):
        known = [e for e in before if is_number(e.get(name))]
        if not known or not is_number(last.get(name)):
            continue
        best = max(known, key=lambda e: float(e[name]))
        now, then = _interval(last, name), _interval(best, name)
        if now is None or then is None:
            continue
        (_, high), (low, _) = now, then
        if high >= low:
            continue
        since = [
            value
            for step, value in zip(series.steps, series.values["reward"], strict=True)
            if step >= best["step"]
        ]
        reward = trend(since)
        if reward is not None and reward.rises():
            return (
                f"held-out {name} fell from {best[name]:.3f} (step {best['step']}) to "
                f"{last[name]:.3f} (step {last['step']}) while the reward rose from "
                f"{reward.first:.3f} to {reward.last:.3f}: the reward is gamed or the training "
                "samples are learned by heart."
            )
    return None


def held_out_measures(evaluation: Mapping[str, Any]) -> list[str]:
    """The tasks' own scores of an evaluation record (those with a best-of beside) and accuracy."""
    names = [n for n in evaluation if f"{n}_ci95" in evaluation]
    own = [n for n in names if any(m.startswith(f"{n}_best") for m in names)]
    return [*own, *(["accuracy"] if "accuracy" in names else [])]


def _interval(record: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    interval: Sequence[Any] = record.get(f"{name}_ci95") or ()
    if len(interval) != 2 or not all(map(is_number, interval)):
        return None
    return float(interval[0]), float(interval[1])


def grad_norm(series: Series) -> str | None:
    """The median of the last steps at ten times the median before; or updates that are skipped.

    A factor of ten of medians over the last 20th (at least five steps) is no spike, and no drift
    of a healthy run. Updates are skipped where the gradient is not finite: a quarter of the last
    20 is no accident.
    """
    skipped = series.of("skipped_updates")[-20:]
    if len(skipped) == 20 and (skipped > 0).mean() >= 0.25:
        return (
            f"{(skipped > 0).sum()} of the last 20 steps skipped updates: their gradient "
            "was not finite. Lower the learning rate."
        )
    norms = series.of("grad_norm")
    tail = max(5, len(norms) // 20)
    earlier = norms[:-tail]
    usual = earlier[earlier > 0]
    if len(usual) < 20:
        return None
    now, before = float(np.median(norms[-tail:])), float(np.median(usual))
    if now < 10 * before:
        return None
    return (
        f"the gradient norm went from {before:.3g} to {now:.3g} (medians): lower the learning "
        "rate or clip the gradient."
    )


def kl(series: Series) -> str | None:
    """0.5 nats a token from the reference, or 0.1 from the policy of the rollouts; three times up.

    Runs that work stay below 0.1 from their reference; at 0.5 every token is on average 1.6 times
    as likely as it was. Within a step the updates should be small beside that.
    """
    for name, most, other in (
        ("kl", 0.5, "reference model; raise the KL coefficient"),
        ("kl_old", 0.1, "policy that sampled the rollouts; lower the learning rate or the epochs"),
    ):
        k = series.trend(name)
        if k is not None and k.rises() and k.last >= most and k.last >= 3 * k.first:
            return (
                f"KL rose from {k.first:.3f} to {k.last:.3f} nats a token: the policy runs away "
                f"from the {other}."
            )
    return None


def truncated(series: Series) -> str | None:
    """A quarter of the completions cut at the token limit, in the last fifth (40 steps or more).

    A cut completion has no answer: its reward says nothing of its reasoning, and length is what
    the policy then learns about.
    """
    cut = series.level("truncated")
    if cut < 0.25:
        return None
    return (
        f"{cut:.0%} of the completions are cut at the token limit before they answer: raise "
        "rollout.max_new_tokens or reward brevity."
    )


SIGNS: dict[str, Callable[[Series], str | None]] = {
    "zero_spread": zero_spread,
    "entropy": entropy,
    "length": length,
    "format_without_score": format_without_score,
    "reward_without_score": reward_without_score,
    "grad_norm": grad_norm,
    "kl": kl,
    "truncated": truncated,
}
