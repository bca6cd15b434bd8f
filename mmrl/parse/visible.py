"""Untrusted text made safe to look at: what would be invisible, or act on a terminal, is shown."""

from __future__ import annotations

import html
import re

# Controls but tab and newline; format characters; separators of lines and paragraphs; lone
# surrogates; noncharacters; letters and marks without a glyph. Variation selectors 15 and 16 stay:
# every other emoji has one. The Arabic and Kaithi signs of category Cf have a glyph.
HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u070f\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ufdd0-\ufdef"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    + "".join(
        chr(plane + 0xFFFE) + chr(plane + 0xFFFF) for plane in range(0x10000, 0x110000, 0x10000)
    )
    + "]+"
)
"""Characters that act unseen, in runs."""

# Spelt out: many fonts have no glyph for the control pictures U+2400 to U+2421.
_ASCII = [
    "NUL", "SOH", "STX", "ETX", "EOT", "ENQ", "ACK", "BEL", "BS", "HT", "LF", "VT", "FF", "CR",
    "SO", "SI", "DLE", "DC1", "DC2", "DC3", "DC4", "NAK", "SYN", "ETB", "CAN", "EM", "SUB", "ESC",
    "FS", "GS", "RS", "US",
]  # fmt: skip


def visible(text: str) -> str:
    """The text with a sign for every character that acts or hides; newlines and tabs stay.

    What comes out can be encoded in UTF-8, moves no cursor and turns no direction.

    >>> visible("a\\x1b[31m\\u202eb")
    'a«ESC»[31m«U+202E»b'
    """
    if text.isascii() and text.isprintable():
        return text
    return HIDDEN.sub(lambda found: signs(found[0]), text)


def visible_line(text: str) -> str:
    """`visible` on one line: newlines and tabs become signs too."""
    return visible(text).replace("\n", "«LF»").replace("\t", "«HT»")


def safe_html(text: str) -> str:
    """`visible` with all that HTML reads (also quotes) escaped: text inside a page or attribute."""
    return html.escape(visible(text), quote=True)


def signs(characters: str) -> str:
    """The signs of hidden characters, one after another: «ESC», «U+202E»."""
    return "".join(map(_sign, characters))


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return f"«{_ASCII[code]}»"
    return "«DEL»" if code == 0x7F else f"«U+{code:04X}»"
