"""Rewards for the letter, or the letters, of a multiple-choice question."""

from __future__ import annotations

from mmrl.errors import DataError
from mmrl.parse.choices import parse_choice, parse_choices
from mmrl.rewards.gold import gold_choice
from mmrl.types import Rollout, Sample


def choice_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the answer names the reference letter and no other, else 0."""
    gold = gold_choice(sample)
    return 1.0 if parse_choice(rollout.parsed.answer or "") == gold else 0.0


def choices_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """Share of the right letters that the answer names; 0 where it names a wrong one.

    |P| / |G| for P inside G, else 0 (TW-GRPO, arXiv 2505.24718, "soft" reward).
    """
    gold, said = gold_choices(sample), parse_choices(rollout.parsed.answer or "")
    return len(said) / len(gold) if said is not None and said <= gold else 0.0


def choices_exact_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the answer names all right letters and no other, else 0."""
    gold = gold_choices(sample)
    return 1.0 if parse_choices(rollout.parsed.answer or "") == gold else 0.0


def choices_f1_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """F1 of the letters named against the right ones: 2 |P ∩ G| / (|P| + |G|).

    HumanOmniV2's `emer_ov_mc` (arXiv 2506.21277), with sets in place of lists.
    """
    gold = gold_choices(sample)
    said = parse_choices(rollout.parsed.answer or "") or frozenset()
    return 2 * len(said & gold) / (len(said) + len(gold))


def gold_choices(sample: Sample) -> frozenset[str]:
    """The capital letters of `sample.target`: text such as "A,C"; at least one."""
    target = sample.target
    letters = parse_choices(target) if isinstance(target, str) else None
    if letters is None:
        raise DataError(
            f'the target of sample "{sample.id}" (task "{sample.task}") should be option letters '
            f'such as "A,C"; it is {target!r}'
        )
    return letters
