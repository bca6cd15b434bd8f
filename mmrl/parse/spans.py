"""Time spans in text and their overlap, in seconds.

Understood: `[1.5, 3.2]`, `1.5s to 3.2s`, `1.5 - 3.2 seconds`, `01:20 - 01:35`, `1:02:03.5, 1:02:9`,
and Temporal-R1's `{"start_time": "1.5", "end_time": "3.2"}`, in either order, quoted or not.
Possessive quantifiers keep hostile text at linear cost.
"""

from __future__ import annotations

import math
import re

Span = tuple[float, float]

_TIME = r"(\d++(?::[0-5]?\d(?!\d)){0,2}(?:\.\d++)?+)"
_UNIT = r"(?:s(?:ec(?:ond)?s?)?+\b)?+"
_SPAN = re.compile(
    rf"(?<![\d.:+\-]){_TIME}\s*+{_UNIT}\s*+(?:,|-|–|—|~|\bto\b|\band\b)\s*+{_TIME}(?![\d:])",
    re.IGNORECASE,
)
_KEYED = rf'"(start|end)_time"\s*+:\s*+"?+\s*+(-?+){_TIME}\s*+{_UNIT}\s*+"?+'
_OBJECT = re.compile(rf"\{{\s*+{_KEYED}\s*+,\s*+{_KEYED}\s*+\}}")
_AROUND = re.compile(r"\s*+[\[(]?+\s*+", re.IGNORECASE)
_BEHIND = re.compile(rf"\s*+{_UNIT}\s*+[\])]?+\s*+\.?+\s*+", re.IGNORECASE)


def parse_time(text: str) -> float:
    """Seconds of `75.5`, `01:15.5` or `0:01:15`.

    >>> parse_time("01:15.5")
    75.5
    """
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60.0 + float(part)
    return seconds


def parse_spans(text: str) -> list[Span]:
    """Every complete span of `text`, in order, in seconds."""
    return [span for _, _, span in _found(text)]


def is_span_text(text: str) -> bool:
    """Whether `text` is one span, perhaps in brackets, and nothing else."""
    found = _found(text)
    if len(found) != 1:
        return False
    start, end, _ = found[0]
    return bool(_AROUND.fullmatch(text, 0, start) and _BEHIND.fullmatch(text, end))


def _found(text: str) -> list[tuple[int, int, Span]]:
    """Every span with its offsets, in order."""
    found = [
        (m.start(), m.end(), (parse_time(m[1]), parse_time(m[2]))) for m in _SPAN.finditer(text)
    ]
    for m in _OBJECT.finditer(text):
        ends = {m[1]: _signed(m[2], m[3]), m[4]: _signed(m[5], m[6])}
        if len(ends) == 2:
            found.append((m.start(), m.end(), (ends["start"], ends["end"])))
    return sorted(found)


def _signed(sign: str, time: str) -> float:
    return -parse_time(time) if sign else parse_time(time)


def parse_span(text: str) -> Span | None:
    """The last complete span of `text` in seconds, or None."""
    spans = parse_spans(text)
    return spans[-1] if spans else None


def is_proper_span(span: Span) -> bool:
    """Whether both ends are finite, not negative, and the span lasts."""
    start, end = span
    return math.isfinite(start) and math.isfinite(end) and 0.0 <= start < end


def span_iou(a: Span, b: Span) -> float:
    """Intersection over union in [0, 1]; 0 where either span is inverted, empty or not finite."""
    if not (is_proper_span(a) and is_proper_span(b)):
        return 0.0
    inter = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    union = (a[1] - a[0]) + (b[1] - b[0]) - inter
    return min(1.0, inter / union) if math.isfinite(union) and union > 0.0 else 0.0
