"""Verdicts on a pair: which of two is better, and the scores that a judge gives on the way to it.

A verdict is a letter (`A`, `B`) or the sentence of UnifiedReward-Think (arXiv 2505.03318):
`Image 1 is better`, with Image, Video, Answer or Response. The judge's reasoning scores the two in
numbered dimensions,

    1. Semantic consistency: Image 1 (9/10) - ...; Image 2 (6/10) - ...
    Total score:
    Image 1: 9+8+8=25
    Image 2: 6+8+7=21

with an explicit sum or the bare total behind each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from mmrl.parse.choices import parse_choice

NOUNS = ("image", "video", "answer", "response")
"""What the two are called in sentences."""
_NAMED = r"(image|video|answer|response)[ \t]?+([12])(?!\d)"
_SENTENCE = re.compile(rf"{_NAMED}\s++is\s++better\.?+", re.IGNORECASE)
_SCORE = re.compile(
    rf"{_NAMED}\s*+:?\s*+\(?+\s*+(\d{{1,3}}(?:\.\d{{1,3}})?)\s*+/\s*+10\b", re.IGNORECASE
)
_DIMENSION = re.compile(r"^\s*+(?:\d{1,2}[.)]\s*+)?([^:\n]{1,60}?)\s*+:", re.IGNORECASE)
_TOTAL_HEAD = re.compile(r"^[ \t]*+total[ \t]++scores?[ \t]*+:?", re.IGNORECASE | re.MULTILINE)
_TOTAL = re.compile(
    rf"{_NAMED}\s*+:\s*+((?:\d{{1,4}}(?:\.\d{{1,3}})?\s*+\+\s*+)*+)(\d{{1,4}}(?:\.\d{{1,3}})?)"
    r"(?:\s*+=\s*+(\d{1,4}(?:\.\d{1,3})?))?",
    re.IGNORECASE,
)


class PairVerdict(NamedTuple):
    """The better one: 0 the first, 1 the second; `noun` is "" where a letter says so."""

    noun: str
    better: int


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """What a judge's reasoning says in numbers."""

    dimensions: tuple[tuple[str, float, float], ...]
    """Name and the score of each of the two, out of 10."""
    totals: tuple[float, float] | None
    sums: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    """The addends written down before each total; empty where there is only the total."""


def parse_verdict(text: str) -> PairVerdict | None:
    """The verdict that an answer is, or None: nothing but the verdict may stand in it.

    >>> parse_verdict("Image 2 is better")
    PairVerdict(noun='image', better=1)
    >>> parse_verdict("(B)")
    PairVerdict(noun='', better=1)
    """
    text = text.strip(" \t\r\n*_`\"'")
    if found := _SENTENCE.fullmatch(text):
        return PairVerdict(found[1].lower(), int(found[2]) - 1)
    letter = parse_choice(text, 2)
    return None if letter is None else PairVerdict("", "AB".index(letter))


def verdict_text(verdict: PairVerdict) -> str:
    """The verdict in words: `B`, or `Image 2 is better`."""
    if not verdict.noun:
        return "AB"[verdict.better]
    return f"{verdict.noun.capitalize()} {verdict.better + 1} is better"


def parse_pair_scores(reasoning: str) -> PairScores | None:
    """Dimensions (lines that score both, out of 10) and totals of a reasoning; None without any.

    The last total of each counts, behind the last line that begins with "Total score". A line that
    scores one of the two twice, or above 10, is no dimension.
    """
    heads = list(_TOTAL_HEAD.finditer(reasoning))
    body = reasoning[: heads[-1].start()] if heads else reasoning
    dimensions = [scored for line in body.splitlines() if (scored := _dimension(line))]
    totals: dict[int, float] = {}
    sums: dict[int, tuple[float, ...]] = {0: (), 1: ()}
    for found in _TOTAL.finditer(reasoning[heads[-1].end() :] if heads else ""):
        side = int(found[2]) - 1
        addends = [float(x) for x in re.findall(r"[\d.]+", found[3])]
        if found[5] is not None:
            totals[side], sums[side] = float(found[5]), (*addends, float(found[4]))
        elif not addends:
            totals[side], sums[side] = float(found[4]), ()
    if not dimensions and len(totals) < 2:
        return None
    both = (totals[0], totals[1]) if len(totals) == 2 else None
    return PairScores(dimensions=tuple(dimensions), totals=both, sums=(sums[0], sums[1]))


def _dimension(line: str) -> tuple[str, float, float] | None:
    scores = [(int(m[2]) - 1, float(m[3])) for m in _SCORE.finditer(line)]
    if len(scores) != 2 or {side for side, _ in scores} != {0, 1}:
        return None
    given = dict(scores)
    if max(given.values()) > 10:
        return None
    name = _DIMENSION.match(line)
    return (name[1].strip() if name else "", given[0], given[1])
