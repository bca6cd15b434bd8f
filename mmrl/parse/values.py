"""Numbers and short texts of an answer, in a form that can be compared."""

from __future__ import annotations

import math
import re
import unicodedata

_DIGITS = r"(?:\d{1,3}+(?:,\d{3}(?!\d))++|\d++)(?:\.\d*+)?+|\.\d++"
_NUMBER = re.compile(
    rf"(?<![\w.,])[-+]?+(?:{_DIGITS})(?:[eE][-+]?+\d++(?!\w))?+(?:\s*+/\s*+\d++(?:\.\d++)?+)?+(?!,?\d)"
)
_FRACTION = re.compile(r"\\[dt]?frac\s*+\{\s*+(\d++)\s*+\}\s*+\{\s*+(\d++)\s*+\}")
_PLAIN_LATEX = re.compile(
    r"\\(?:text|mathrm|mbox)\s*+\{[^{}]*+\}|\^?\\circ\b|\\degree\b|\\[,;!:\s()\[\]%$]"
)
_SPACE = re.compile(r"\s++")


def parse_number(text: str) -> float | None:
    """The one number of an answer, or None where there is none, several, or one without end.

    Understood: `42`, `-3.5`, `1e3`, `1,234.5`, `$12`, `50%` (50), `3 cm`, `1/2` (0.5), and LaTeX
    that only dresses a number (`\\frac{1}{2}`, `5\\text{ cm}`, `30^\\circ`); roots, powers, pi and
    other LaTeX are no number.
    """
    text = _PLAIN_LATEX.sub(" ", _FRACTION.sub(r"\1/\2", text))
    if "\\" in text or "^" in text:
        return None
    found = _NUMBER.findall(text.replace("−", "-").replace("$", " "))
    if len(found) != 1:
        return None
    numerator, _, denominator = found[0].replace(",", "").partition("/")
    value = float(numerator)
    if denominator:
        divisor = float(denominator)
        if divisor == 0.0:
            return None
        value /= divisor
    return value if math.isfinite(value) else None


def same_number(a: float, b: float, relative: float = 1e-6) -> bool:
    """Whether two numbers agree to `relative`; only 0 agrees with 0."""
    return math.isclose(a, b, rel_tol=relative, abs_tol=0.0)


def normal_text(text: str) -> str:
    """`text` for comparison: Unicode NFKC, case folded, single spaces, no outer punctuation.

    >>> normal_text('  "The  Cat." ')
    'the cat'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return _SPACE.sub(" ", text).strip(" \t\n\"'`.,;:!?")
