"""The letter, or letters, of a multiple-choice answer."""

from __future__ import annotations

import re
import string

_BOXED = re.compile(r"\\boxed\s*+\{\s*+\(?+([A-Za-z])\)?+\s*+\}")
_ALONE = re.compile(r"\(?+\[?+([A-Za-z])\]?+\)?+[.:]?+")
_LED = re.compile(r"\(?+([A-Z])[.):]\s++\S")
_MARKED = re.compile(r"(?<![A-Za-z])\(?+([A-Z])[.):](?=\s|$)")
_SAID = re.compile(
    r"\b(?:answer|option|choice)(?:\s++is)?+\s*+:?+\s*+\(?+([A-Z])\)?+(?![A-Za-z])(?!\s++(?:or|and)\b)"
)


def parse_choice(text: str, num_options: int = 26) -> str | None:
    """The capital letter that an answer names, or None where it names none or hedges.

    Understood: `B`, `(b)`, `B.`, `B) a cat`, `\\boxed{B}`, `the answer is B`, `option B`. Two
    different marked letters (`A) or B)`) are a hedge. A letter beyond `num_options` is none.
    """
    text = text.strip(" \t\r\n*_`")
    letter: str | None = None
    if alone := _ALONE.fullmatch(text):
        letter = alone[1].upper()
    elif boxed := _BOXED.findall(text):
        letter = boxed[-1].upper()
    elif led := _LED.match(text):
        letter = led[1] if set(_MARKED.findall(text)) == {led[1]} else None
    elif said := set(_SAID.findall(text)):
        letter = said.pop() if len(said) == 1 else None
    allowed = string.ascii_uppercase[:num_options]
    return letter if letter is not None and letter in allowed else None


_BETWEEN = re.compile(r"[\s,;&/]++")


def parse_choices(text: str, num_options: int = 26) -> frozenset[str] | None:
    """The capital letters that an answer lists, or None where it lists none or anything else.

    Understood: `A,C`, `A, C`, `(A),(C)`, `A;C`, `A and C`, `a c`, `A.`; one letter as by
    `parse_choice`. `AC` is a word, not a list. A letter beyond `num_options` spoils the list.
    """
    words = _BETWEEN.split(text.strip(" \t\r\n*_`.,;"))
    parts = [word for word in words if word and word.lower() != "and"]
    letters = [_ALONE.fullmatch(part) for part in parts]
    found = frozenset(letter[1].upper() for letter in letters if letter is not None)
    if not found or not all(letters):
        one = parse_choice(text, num_options)
        return None if one is None else frozenset({one})
    return found if found <= frozenset(string.ascii_uppercase[:num_options]) else None
