"""Words of a short answer that the reference has too: BLEU-1, the soft text term of GRIT."""

from __future__ import annotations

import math
import re
from collections import Counter

from mmrl.rewards.gold import gold_number, gold_texts
from mmrl.types import Rollout, Sample

_WORD = re.compile(r"[^\W_]++")


def bleu_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """The best `bleu1` of the answer over the accepted texts, or over the digits of a number."""
    number = isinstance(sample.target, int | float) and not isinstance(sample.target, bool)
    golds = (f"{gold_number(sample):.15g}",) if number else gold_texts(sample)
    answer = rollout.parsed.answer or ""
    return max(bleu1(answer, gold) for gold in golds)


def bleu1(answer: str, gold: str) -> float:
    """Clipped precision of words times the brevity penalty min(1, exp(1 - |gold| / |answer|))."""
    said, wanted = _words(answer), _words(gold)
    if not wanted:  # a reference of signs alone
        return float(answer.strip().lower() == gold.strip().lower())
    if not said:
        return 0.0
    common = sum((Counter(said) & Counter(wanted)).values())
    return common / len(said) * min(1.0, math.exp(1.0 - len(wanted) / len(said)))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
