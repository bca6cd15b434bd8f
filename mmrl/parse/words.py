"""Texts compared word by word: word error rate and ROUGE."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]++")
LONGEST = 2000
"""Words of a text that are compared: the tables below grow with the product of two lengths."""


def word_error_rate(said: str, reference: str) -> float:
    """Insertions, deletions and substitutions of words over the words of the reference.

    Words are what white space parts, in their own case. The reference must have one; a text longer
    than twice the reference and `LONGEST` words is cut there (its rate is above 1 anyway).
    """
    wanted = reference.split()
    if not wanted:
        raise ValueError("the reference of a word error rate has no words")
    got = said.split()[: max(LONGEST, 2 * len(wanted))]
    row = list(range(len(wanted) + 1))
    for i, word in enumerate(got, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(wanted, start=1):
            best = min(row[j] + 1, row[j - 1] + 1, before + (word != other))
            before, row[j] = row[j], best
    return row[-1] / len(wanted)


def rouge(said: str, reference: str) -> float:
    """Mean F of ROUGE-1, ROUGE-2 and ROUGE-L, in [0, 1].

    Words are runs of letters and digits of any script, case folded, not stemmed. An order of which
    neither text has any n-gram is left out, so that equal texts of one word reach 1. At most the
    first 2,000 words count.
    """
    got, wanted = (words_of(text)[:LONGEST] for text in (said, reference))
    if not got or not wanted:
        return 0.0
    scores = [_f(_longest_common(got, wanted), len(got), len(wanted))]
    for n in (1, 2):
        if max(len(got), len(wanted)) >= n:
            one, other = _grams(got, n), _grams(wanted, n)
            scores.append(_f((one & other).total(), one.total(), other.total()))
    return sum(scores) / len(scores)


def words_of(text: str) -> list[str]:
    """Runs of letters and digits of any script, case folded."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _grams(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def _f(common: int, said: int, wanted: int) -> float:
    """F of precision common / said and recall common / wanted."""
    return 2 * common / (said + wanted) if said + wanted else 0.0


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for j, against in enumerate(other, start=1):
            before, row[j] = row[j], before + 1 if word == against else max(row[j], row[j - 1])
    return row[-1]
