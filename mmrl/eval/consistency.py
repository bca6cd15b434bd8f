"""Whether answers follow from reasonings: CACR, OSCR and what stands beside them (2510.10104).

    CACR  share of responses whose reasoning comes to the option that is answered
    OSCR  share of responses whose answer (its content) stays when the options change places under
          the same reasoning, the mean over orders
    right_thought_wrong_answer, wrong_thought_right_answer   where the two part

The paper has CACR judged by a language model; here a rule reads the option that the reasoning
names last, and any other judge may be passed in. A response without a letter or a named option is
inconsistent. Items without options are absent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmrl.eval.measures import Estimate, estimate
from mmrl.parse.choices import parse_choice
from mmrl.parse.options import LETTERS, implied_option
from mmrl.probes.second_pass import SecondPass
from mmrl.rewards.choice_consistency import SecondAnswer
from mmrl.rewards.gold import gold_choice
from mmrl.rollout.plan import GroupOf
from mmrl.tasks.choice_options import options_of
from mmrl.types import Clock, Group, Rollout, Sample

Implied = Callable[[Rollout, Sample], int | None]
"""Place of the option that a rollout's reasoning comes to, or None."""
MEASURES = (
    *("cacr", "oscr", "accuracy"),
    *("right_thought_wrong_answer", "wrong_thought_right_answer"),
)


def implied_by_rule(rollout: Rollout, sample: Sample) -> int | None:
    """The option that the reasoning names last (`mmrl.parse.options.implied_option`)."""
    return implied_option(rollout.parsed.reasoning or "", options_of(sample))


@dataclass(frozen=True, kw_only=True)
class ConsistencyReport:
    """Each of `MEASURES` with its interval over items, and how the letters were used."""

    estimates: dict[str, Estimate]
    letter_kl: float
    """KL in nats of the answered letters from even use, of the items with the usual number of
    options; 0 is no habit of position, log n always the same letter."""
    position_gap: float
    """Accuracy where the most favoured letter is right, minus the mean over letters."""


def consistency(groups: Sequence[Group], implied: Implied = implied_by_rule) -> ConsistencyReport:
    """The report of groups that carry `SecondAnswer`; groups without options are left out."""
    values: dict[str, list[float]] = {name: [] for name in MEASURES}
    letters: list[tuple[int, int | None, int]] = []
    for group in groups:
        options = options_of(group.sample)
        answers: Sequence[SecondAnswer] = group.evidence[SecondAnswer]
        if len(options) < 2 or not len(group):
            continue
        right = LETTERS.index(gold_choice(group.sample))
        rows = [_row(rollout, group.sample, options, right, implied) for rollout in group.rollouts]
        for name in rows[0]:
            values[name].append(sum(row[name] for row in rows) / len(rows))
        kept = [a.unchanged for a in answers if a.unchanged is not None]
        if kept:
            values["oscr"].append(sum(kept) / len(kept))
        letters += [(len(options), _answered(r, options), right) for r in group.rollouts]
    kl, gap = _letters(letters)
    estimates = {name: estimate(found) for name, found in values.items()}
    return ConsistencyReport(estimates=estimates, letter_kl=kl, position_gap=gap)


def evaluate_consistency(
    samples: Sequence[Sample],
    models: Any,
    *,
    size: int = 4,
    probe: SecondPass | None = None,
    implied: Implied = implied_by_rule,
    batch_prompts: int = 32,
    step: int = 0,
) -> ConsistencyReport:
    """Samples `size` responses of each sample, asks each again (9 orders), and reports."""
    probe = probe or SecondPass(passes=9)
    clock = Clock(step=step, stage="consistency", stage_step=0, stage_steps=1)
    groups: list[Group] = []
    for start in range(0, len(samples), batch_prompts):
        batch = samples[start : start + batch_prompts]
        draws = [(f"consistency.{start + i}", sample) for i, sample in enumerate(batch)]
        found = GroupOf(size)(draws, models, clock)
        for group, answers in zip(found, probe(found, models, clock), strict=True):
            light = tuple(_without_pixels(rollout) for rollout in group.rollouts)
            groups.append(replace(group, rollouts=light, evidence={SecondAnswer: tuple(answers)}))
        models.forget()
    return consistency(groups, implied)


def _without_pixels(rollout: Rollout) -> Rollout:
    prompt = replace(rollout.prompt, vision=None)
    return replace(rollout, prompt=prompt, sampled_under=prompt)


def _answered(rollout: Rollout, options: Sequence[str]) -> int | None:
    letter = parse_choice(rollout.parsed.answer or "", len(options))
    return None if letter is None else LETTERS.index(letter)


def _row(
    rollout: Rollout, sample: Sample, options: Sequence[str], right: int, implied: Implied
) -> dict[str, float]:
    answered, thought = _answered(rollout, options), implied(rollout, sample)
    return {
        "cacr": float(thought is not None and thought == answered),
        "accuracy": float(answered == right),
        "right_thought_wrong_answer": float(thought == right and answered != right),
        "wrong_thought_right_answer": float(thought != right and answered == right),
    }


def _letters(rows: Sequence[tuple[int, int | None, int]]) -> tuple[float, float]:
    """(letter_kl, position_gap) over the responses with the most usual number of options."""
    sizes = [size for size, *_ in rows]
    if not sizes:
        return math.nan, math.nan
    size = max(set(sizes), key=lambda n: (sizes.count(n), n))
    kept = [(said, right) for n, said, right in rows if n == size]
    said = [letter for letter, _ in kept if letter is not None]
    if not said:
        return math.nan, math.nan
    shares = [said.count(place) / len(said) for place in range(size)]
    kl = sum(p * math.log(p * size) for p in shares if p > 0)
    favoured = shares.index(max(shares))
    by_place = [[letter == right for letter, right in kept if right == p] for p in range(size)]
    known = [sum(hits) / len(hits) for hits in by_place if hits]
    own = by_place[favoured]
    if not own:
        return kl, math.nan
    return kl, sum(own) / len(own) - sum(known) / len(known)
