"""Untrusted text made safe to look at: what would be invisible, or act on a terminal, is shown."""

from __future__ import annotations

import html
import unicodedata

_ACTING = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
"""Unicode categories: controls, format marks (right-to-left, zero width), halves of a surrogate
pair, line and paragraph separators."""


def visible(text: str) -> str:
    """The text with every character that acts unseen replaced by a mark; newlines and tabs stay.

    The controls below U+0020 and U+007F become their pictures (an escape is "␛"), all others their
    number in brackets. What comes out can be encoded in UTF-8, moves no cursor and turns no
    direction.

    >>> visible("a\\x1b[31m\\u202eb")
    'a␛[31m⟨U+202E⟩b'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def visible_line(text: str) -> str:
    """`visible` on one line: newlines and tabs become their pictures too."""
    return visible(text).replace("\n", "␊").replace("\t", "␉")


def safe_html(text: str) -> str:
    """`visible` with all that HTML reads (also quotes) escaped: text inside a page or attribute."""
    return html.escape(visible(text), quote=True)


def _shown(char: str) -> str:
    if char in "\n\t" or unicodedata.category(char) not in _ACTING:
        return char
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"
