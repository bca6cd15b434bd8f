"""Untrusted text as HTML that shows what is there and does nothing.

Everything is escaped; characters that hide, reorder or drive a terminal are shown as signs; long
texts are cut in the middle, so that the answer at the end is seen. Tags written here and by the
modules beside are div, span, bdi, small, ins and del, with class, title, dir and a background.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from typing import Any

MOST = 20_000
"""Characters of a text that are shown: a page of 16 rollouts stays under a few megabytes."""

# Controls but tab and newline; format characters; separators of lines and paragraphs; lone
# surrogates; noncharacters; letters and marks without a glyph. Variation selectors 15 and 16 stay:
# every other emoji has one. The Arabic and Kaithi signs of category Cf have a glyph.
_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ud800-\udfff\ufdd0-\ufdef"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    + "".join(
        chr(plane + 0xFFFE) + chr(plane + 0xFFFF) for plane in range(0x10000, 0x110000, 0x10000)
    )
    + "]+"
)

# Spelt out: many fonts have no glyph for the control pictures U+2400 to U+2421.
_ASCII = [
    "NUL",
    "SOH",
    "STX",
    "ETX",
    "EOT",
    "ENQ",
    "ACK",
    "BEL",
    "BS",
    "HT",
    "LF",
    "VT",
    "FF",
    "CR",
    "SO",
    "SI",
    "DLE",
    "DC1",
    "DC2",
    "DC3",
    "DC4",
    "NAK",
    "SYN",
    "ETB",
    "CAN",
    "EM",
    "SUB",
    "ESC",
    "FS",
    "GS",
    "RS",
    "US",
]


def visible(text: str) -> str:
    """The text with a sign for every character that does not show: «ESC», «U+202E».

    Tab, newline and every printing character stay as they are; the result encodes as UTF-8.
    """
    return _HIDDEN.sub(lambda found: "".join(map(_sign, found[0])), text)


def inert(text: str) -> str:
    """HTML of a text, without a box around it: escaped, hidden characters as marked signs."""
    out, end = [], 0
    for found in _HIDDEN.finditer(text):
        out.append(html.escape(text[end : found.start()]))
        names = ", ".join(dict.fromkeys(_name(c) for c in found[0][:3]))
        signs = "".join(map(_sign, found[0]))
        out.append(f'<span class="mm-sign" title="{html.escape(names)}">{signs}</span>')
        end = found.end()
    out.append(html.escape(text[end:]))
    return "".join(out)


def kept_ranges(length: int, most: int = MOST) -> list[tuple[int, int]]:
    """[start, end) of the characters that are shown: all, or the first 3/4 and the last 1/4."""
    if length <= most:
        return [(0, length)]
    head = most * 3 // 4
    return [(0, head), (length - (most - head), length)]


def left_out(length: int, most: int = MOST) -> str:
    """The note where a text is cut, as HTML; it is no part of the text."""
    return f'<small class="mm-note">… {length - most:,} more characters …</small>'


def plain_html(text: str, *, most: int = MOST) -> str:
    """A box with a text as it is: a question, a completion that was never parsed."""
    shown = [inert(text[a:b]) for a, b in kept_ranges(len(text), most)]
    return box(left_out(len(text), most).join(shown))


def value_html(value: Any, *, most: int = 2000) -> str:
    """A target or another JSON value, inline: strings as they are, all else as JSON, cut."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    more = left_out(len(text), most) if len(text) > most else ""
    return f'<bdi class="mm-value">{inert(text[:most])}</bdi>{more}'


def box(inner: str) -> str:
    """The frame of a text: it takes its direction from the text and lets nothing out."""
    return f'<div class="mm-text" dir="auto">{inner}</div>'


def _sign(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return f"«{_ASCII[code]}»"
    return "«DEL»" if code == 0x7F else f"«U+{code:04X}»"


def _name(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"{code} {unicodedata.name(character, '')}".rstrip()
