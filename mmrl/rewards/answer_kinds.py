"""Rewards by kind of answer, as Video-R1's rows need them (arXiv 2503.21776), defects mended.

A row says its kind in `meta["problem_type"]`: multiple choice, numerical, OCR, free-form or
regression. Mended: numbers compare by value (published: "42.0" is not 42 and "1,000" not 1000); an
exact regression earns 1 also where the reference is 0; a free-form answer equal to a reference of
one word earns 1 (ROUGE-2 of one word is left out); an unknown kind is a data error.
"""

from __future__ import annotations

from mmrl.errors import DataError, nearest
from mmrl.parse.values import parse_number, same_number
from mmrl.parse.words import rouge, word_error_rate, words_of
from mmrl.rewards.choice import choice_reward
from mmrl.rewards.gold import gold_choice, gold_number
from mmrl.types import Rollout, Sample


def rounded_number_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the answer's one number equals the reference at two decimals, else 0."""
    gold, value = gold_number(sample), parse_number(rollout.parsed.answer or "")
    if value is None:
        return 0.0
    return float(same_number(value, gold) or round(value, 2) == round(gold, 2))


def near_number_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 - min(1, |p - g| / |g|): the relative error; where g is 0 only 0 earns 1."""
    gold, value = gold_number(sample), parse_number(rollout.parsed.answer or "")
    if value is None:
        return 0.0
    if value == gold:
        return 1.0
    error = abs(value - gold)
    return 1.0 - error / abs(gold) if error < abs(gold) else 0.0


def transcript_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 - word error rate against the reference text, at least 0."""
    gold = _gold_text(sample)
    return max(0.0, 1.0 - word_error_rate(rollout.parsed.answer or "", gold))


def rouge_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """Mean F of ROUGE-1, -2 and -L against the reference text."""
    gold = _gold_text(sample)
    if not words_of(gold):
        raise DataError(
            f'the target of sample "{sample.id}" (task "{sample.task}") should have a word of '
            f"letters or digits; it is {sample.target!r}"
        )
    return rouge(rollout.parsed.answer or "", gold)


KINDS = {
    "multiple choice": choice_reward,
    "numerical": rounded_number_reward,
    "OCR": transcript_reward,
    "free-form": rouge_reward,
    "regression": near_number_reward,
}
"""Kind of a row -> what judges it."""


def kind_of(sample: Sample) -> str:
    """The kind in `meta["problem_type"]`; one that is not known is a data error."""
    kind = sample.meta.get("problem_type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise DataError(
            f'sample "{sample.id}" of task "{sample.task}" has meta["problem_type"] = {kind!r}.'
            f"{nearest(str(kind), KINDS)}"
        )
    return kind


def answer_kind_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """The reward of the sample's own kind."""
    return KINDS[kind_of(sample)](rollout, sample)


def gold_of_kind(sample: Sample) -> str:
    """The reference answer as text, for the sample's kind."""
    match kind_of(sample):
        case "multiple choice":
            return gold_choice(sample)
        case "numerical" | "regression":
            number = gold_number(sample)
            return str(int(number)) if number.is_integer() else repr(number)
        case _:
            return _gold_text(sample)


def _gold_text(sample: Sample) -> str:
    target = sample.target
    if not isinstance(target, str) or not target.strip():
        raise DataError(
            f'the target of sample "{sample.id}" (task "{sample.task}") should be a text that is '
            f"not blank; it is {target!r}"
        )
    return target.strip()
