"""Untrusted text as HTML that shows what is there and does nothing.

Everything is escaped; characters that hide, reorder or drive a terminal are shown as signs; long
texts are cut in the middle, so that the answer at the end is seen. Tags written here and by the
modules beside are div, span, bdi, small, ins and del, with class, title, dir and a background.
"""

from __future__ import annotations

import html
import json
import unicodedata
from typing import Any

from mmrl.parse.visible import HIDDEN, signs

MOST = 20_000
"""Characters of a text that are shown: a page of 16 rollouts stays under a few megabytes."""


def inert(text: str) -> str:
    """HTML of a text, without a box around it: escaped, hidden characters as marked signs."""
    out, end = [], 0
    for found in HIDDEN.finditer(text):
        out.append(html.escape(text[end : found.start()]))
        names = ", ".join(dict.fromkeys(_name(c) for c in found[0][:3]))
        title = html.escape(names)
        out.append(f'<span class="mm-sign" title="{title}">{signs(found[0])}</span>')
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


def _name(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return f"{code} {unicodedata.name(character, '')}".rstrip()
