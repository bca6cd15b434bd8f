"""Two texts side by side with the words marked that only one of them has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from itertools import accumulate

from mmrl.inspector.safe import MOST, box, inert, kept_ranges, left_out

_WORD = re.compile(r"\w+\s*|[^\w\s]\s*|\s+")
_BUDGET = 1_000_000
"""Pairs of equal words looked at before the rest counts as different: under a second."""

Block = tuple[int, int, int]


def diff_html(left: str, right: str, *, most: int = MOST, budget: int = _BUDGET) -> str:
    """Both texts, words of the left alone in <del>, words of the right alone in <ins>.

    A word carries the white space behind it; blanks and line ends are not compared. Texts are
    compared where they are shown: longer ones are cut in the middle. Where comparing costs more
    than `budget`, what is not compared yet counts as different, and a note says so.
    """
    sides = [[text[a:b] for a, b in kept_ranges(len(text), most)] for text in (left, right)]
    words_l, words_r = ([w for part in parts for w in _WORD.findall(part)] for parts in sides)
    keys_l, keys_r = ([word.rstrip(" \t\n") for word in words] for words in (words_l, words_r))
    blocks, complete = matching_blocks(keys_l, keys_r, budget)
    in_l = {i + k for i, _, size in blocks for k in range(size)}
    in_r = {j + k for _, j, size in blocks for k in range(size)}
    note = "" if complete else '<small class="mm-note">too different to compare throughout</small>'
    columns = _column(left, sides[0], in_l, "del", most) + _column(
        right, sides[1], in_r, "ins", most
    )
    return f'{note}<div class="mm-diff">{columns}</div>'


def matching_blocks(
    left: Sequence[str], right: Sequence[str], budget: int = _BUDGET
) -> tuple[list[Block], bool]:
    """(start left, start right, size) of equal runs, in order, and whether all was compared.

    As difflib without its junk heuristics, longest run first, but with a bound: a search of a range
    costs its pairs of equal words, known beforehand, and ranges that the budget does not pay for
    stay unmatched. Equal beginnings and ends are free.
    """
    ahead = _common(left, right)
    behind = _common(left[ahead:][::-1], right[ahead:][::-1])
    inner_l, inner_r = left[ahead : len(left) - behind], right[ahead : len(right) - behind]
    matcher = difflib.SequenceMatcher(None, inner_l, inner_r, autojunk=False)
    costs = (1 + len(matcher.b2j.get(word, ())) for word in inner_l)  # type: ignore[attr-defined]
    cost_to = [0, *accumulate(costs)]
    blocks: list[Block] = []
    complete = True
    ranges = [(0, len(inner_l), 0, len(inner_r))]
    while ranges:
        lo_l, hi_l, lo_r, hi_r = ranges.pop()
        if lo_l >= hi_l or lo_r >= hi_r:
            continue
        budget -= cost_to[hi_l] - cost_to[lo_l]
        if budget < 0:
            complete = False
            break
        i, j, size = matcher.find_longest_match(lo_l, hi_l, lo_r, hi_r)
        if size:
            blocks.append((i + ahead, j + ahead, size))
            ranges += [(lo_l, i, lo_r, j), (i + size, hi_l, j + size, hi_r)]
    blocks.append((0, 0, ahead))
    blocks.append((len(left) - behind, len(right) - behind, behind))
    return sorted(block for block in blocks if block[2]), complete


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the common beginning."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(left), len(right)))


def _column(text: str, parts: Sequence[str], matched: set[int], tag: str, most: int) -> str:
    shown, number = [], 0
    for part in parts:
        runs: list[tuple[bool, list[str]]] = []
        for word in _WORD.findall(part):
            same = number in matched
            if not runs or runs[-1][0] != same:
                runs.append((same, []))
            runs[-1][1].append(word)
            number += 1
        shown.append(
            "".join(
                inert("".join(run)) if same else f"<{tag}>{inert(''.join(run))}</{tag}>"
                for same, run in runs
            )
        )
    return box(left_out(len(text), most).join(shown))
