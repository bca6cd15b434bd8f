"""Answer options inside texts: where they are listed, in another order, named in a reasoning.

An order is a tuple: place `i` of the new list shows option `order[i]` of the old one.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Sequence

LETTERS = string.ascii_uppercase
Order = tuple[int, ...]

_NAMING = re.compile(
    r"\b(?:answer|option|choice)s?(?:\s++(?:is|are|be))?+\s*+:?+\s*+"
    r"(\(?+[A-Z]\)?+(?![A-Za-z0-9])(?:\s*+(?:,|and\b|or\b|&)\s*+\(?+[A-Z]\)?+(?![A-Za-z0-9]))*+)",
    re.IGNORECASE,
)
_BRACKETED = re.compile(r"\(([A-Z])\)|\\boxed\s*+\{\s*+\(?+([A-Z])\)?+\s*+\}")
_LEADING = re.compile(r"(?:^|\n)\s*+\(?+([A-Z])[).:](?=\s)")
_LAST = re.compile(r"(?<![A-Za-z0-9'’-])([A-Z])[.!]?+\s*+$")


def derangement(size: int, seed: int) -> Order:
    """A permutation of `size` places that leaves none where it was, uniform over all such.

    Drawn by rejection (about one draw in e succeeds). Fewer than two places have none.
    """
    if size < 2:
        raise ValueError(f"{size} places have no permutation that moves each of them")
    rng = random.Random(seed)
    order = list(range(size))
    while any(place == option for place, option in enumerate(order)):
        rng.shuffle(order)
    return tuple(order)


def option_spans(question: str, options: Sequence[str]) -> list[tuple[int, int]] | None:
    """Where the texts of the options stand in a question, [start, end) each, or None.

    They must follow each other with their letters, as `A red B blue`, `(A) red\n(B) blue` or
    `A. red, B. blue`; the last such list counts.
    """
    found = _listing(question, options)
    return None if found is None else [found.span(i + 1) for i in range(len(options))]


def stem_of(question: str, options: Sequence[str]) -> str | None:
    """What stands before the list of options; None where there is no list."""
    found = _listing(question, options)
    return None if found is None else question[: found.start()]


def relisted(question: str, options: Sequence[str], order: Sequence[int]) -> str | None:
    """The question with option `order[i]` at place i, the letters where they were.

    An `order` that is shorter than the list takes its first places. None where the question does
    not list the options (`option_spans`).
    """
    spans = option_spans(question, options)
    if spans is None:
        return None
    pieces, after = [], 0
    for (start, end), option in zip(spans, order, strict=False):
        pieces += [question[after:start], options[option]]
        after = end
    return "".join([*pieces, question[spans[-1][1] :]])


def _listing(question: str, options: Sequence[str]) -> re.Match[str] | None:
    if not options or len(options) > len(LETTERS) or not all(options):
        return None
    listed = r"[\s,;]++".join(
        rf"(?<![A-Za-z0-9])\(?+{letter}[).:]*+\s++({re.escape(text)})(?![A-Za-z0-9])"
        for letter, text in zip(LETTERS, options, strict=False)
    )
    found = None
    for found in re.finditer(listed, question):  # noqa: B007 (the last one counts)
        pass
    return found


def new_letter(letter: str, order: Order) -> str:
    """The letter, in the new order, of the option that had `letter`; others stay as they are."""
    old = LETTERS.index(letter)
    return LETTERS[order.index(old)] if old < len(order) else letter


def letter_mentions(text: str, options: Sequence[str]) -> list[int]:
    """Offsets at which a reasoning names an option by its letter, in order.

    Counted: `option B`, `the answer is (B)`, `options A and C`, `(B)`, `\\boxed{B}`, `B.` or `B)`
    at the head of a line, `B` as the last word, and a letter in front of its own option's text
    (`B. red`). Other lone capitals are left alone: they may be points of a figure, or an article.
    "the second option" is not understood.
    """
    allowed = LETTERS[: len(options)]
    found: set[int] = set()
    for naming in _NAMING.finditer(text):
        letters = re.finditer(r"(?<![A-Za-z])[A-Z](?![A-Za-z0-9])", naming[1])
        found |= {naming.start(1) + letter.start() for letter in letters}
    for bracket in _BRACKETED.finditer(text):
        found.add(bracket.start(1) if bracket[1] else bracket.start(2))
    found |= {lead.start(1) for lead in _LEADING.finditer(text)}
    last = _LAST.search(text)
    if last is not None and last[1] not in options:  # the last word may be an option's own text
        found.add(last.start(1))
    for letter, option in zip(allowed, options, strict=True):
        marks = "++" if letter in "AI" else "*+"  # "A red one": an article
        own = rf"(?<![A-Za-z0-9]){letter}(?=[).:]{marks}\s++{re.escape(option)}(?![A-Za-z0-9]))"
        found |= {match.start() for match in re.finditer(own, text)}
    return sorted(at for at in found if text[at] in allowed)


def relabelled(text: str, options: Sequence[str], order: Order) -> str:
    """The reasoning with every letter that names an option changed to its new letter."""
    return _exchanged(text, options, lambda letter: new_letter(letter, order))


def masked(text: str, options: Sequence[str], mask: str = "_") -> str:
    """The reasoning with every letter that names an option replaced by `mask`."""
    return _exchanged(text, options, lambda letter: mask)


def _exchanged(text: str, options: Sequence[str], change: Callable[[str], str]) -> str:
    pieces, after = [], 0
    for at in letter_mentions(text, options):
        pieces += [text[after:at], change(text[at])]
        after = at + 1
    return "".join([*pieces, text[after:]])


def implied_option(reasoning: str, options: Sequence[str]) -> int | None:
    """The option that a reasoning comes to: the one it names last, by its text or by its letter.

    Texts count as whole words in any case (single capitals as they are written); of two that end
    at one place the longer one counts. None where no option is named.
    """
    best: tuple[int, int, int] | None = None
    for index, option in enumerate(options):
        flags = 0 if len(option) == 1 else re.IGNORECASE
        whole = rf"(?<![A-Za-z0-9]){re.escape(option)}(?![A-Za-z0-9])"
        for match in re.finditer(whole, reasoning, flags):
            best = max(best or (-1, 0, 0), (match.end(), len(option), index))
    mentions = letter_mentions(reasoning, options)
    if mentions and (best is None or mentions[-1] >= best[0]):
        return LETTERS.index(reasoning[mentions[-1]])
    return None if best is None else best[2]
