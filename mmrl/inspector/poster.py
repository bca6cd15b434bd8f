"""A group as one picture: media with overlays, the question, every completion with its reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from mmrl.errors import MediaError
from mmrl.inspector import pen
from mmrl.inspector.build import real
from mmrl.inspector.draw import GOLD, MOST_LAYERS, PREDICTED, Layer
from mmrl.inspector.html_group import Media, advantage_of
from mmrl.inspector.html_parts import number, outcome_word, signed
from mmrl.inspector.pictures import drawn, overlay_of
from mmrl.parse.visible import visible

WIDTH = 1200
"""Pixels across, whatever the group."""
MOST_CARDS = 16
"""Rollouts that are shown: with their lines they keep the picture under 3,000 pixels high."""
_PAD, _LINE, _CARD_LINES = 16, 18, 9
_PAPER, _INK, _DIM, _SOFT = (255, 255, 255), (25, 30, 38), (100, 108, 120), (243, 244, 246)
_COLUMNS = 3
_NARROWEST = 360


def poster(records: Sequence[Mapping[str, Any]], media: Media, *, run: str) -> Image.Image:
    """The picture of a group; controls are written out, long texts cut, its size is bounded."""
    letters, small = pen.font(14), pen.font(12)
    first = records[0]
    pictures = _media(records, media)
    side = WIDTH - 2 * _PAD
    used = sum(p.width + _PAD for p in pictures)
    high = max((p.height for p in pictures), default=0)
    beside = bool(pictures) and side - used >= _NARROWEST  # the words stand right of the media
    room = side - used if beside else side
    asked = _wrapped(str(first.get("question") or ""), letters, room, 6)
    target = _wrapped("target: " + _short(first.get("target")), small, room, 2)
    said = _LINE * (len(asked) + len(target))
    top = max(high, said) if beside else high + (_PAD if pictures else 0) + said
    wide = (side - (_COLUMNS - 1) * _PAD) // _COLUMNS
    cards = [_card(g, r, wide, small) for g, r in enumerate(records[:MOST_CARDS])]
    rows = [cards[i : i + _COLUMNS] for i in range(0, len(cards), _COLUMNS)]
    heights = [max(c.height for c in row) for row in rows]
    height = 2 * _PAD + _LINE + top + _PAD
    height += sum(heights) + _PAD * len(heights)
    sheet = Image.new("RGB", (WIDTH, height), _PAPER)
    board = ImageDraw.Draw(sheet)
    title = " · ".join(
        _short(part, 60)
        for part in (
            run,
            f"step {first.get('step')}",
            f"draw {first.get('draw')}",
            first.get("sample"),
        )
    )
    board.text((_PAD, _PAD), title, _DIM, small)
    y, x = _PAD + _LINE, _PAD
    for shown in pictures:
        sheet.paste(shown, (x, y))
        x += shown.width + _PAD
    left = _PAD + used if beside else _PAD
    below = y if beside or not pictures else y + high + _PAD
    lines = [(line, _INK, letters) for line in asked] + [(line, GOLD, small) for line in target]
    for i, (line, colour, font) in enumerate(lines):
        board.text((left, below + i * _LINE), line, colour, font)
    y += top
    y += _PAD
    for row, tall in zip(rows, heights, strict=True):
        for column, card in enumerate(row):
            sheet.paste(card, (_PAD + column * (wide + _PAD), y))
        y += tall + _PAD
    return sheet


def _media(records: Sequence[Mapping[str, Any]], media: Media) -> list[Image.Image]:
    """Media side by side in the width, with the reference and all answers."""
    gold = overlay_of(records[0], "gold_overlay")
    layers = [
        Layer(overlay, str(g), PREDICTED[g % len(PREDICTED)])
        for g, record in enumerate(records[:MOST_LAYERS])
        if (overlay := overlay_of(record)) is not None
    ]
    out: list[Image.Image] = []
    left = WIDTH - 2 * _PAD
    for i, loaded in enumerate(media):
        if isinstance(loaded, MediaError):
            continue
        shown = drawn(loaded, gold, layers, number=i, side=480)
        if shown.width > left:
            if out:
                break
            size = (left, max(1, round(shown.height * left / shown.width)))
            shown = shown.resize(size, Image.Resampling.LANCZOS)
        out.append(shown)
        left -= shown.width + _PAD
    return out


def _card(g: int, record: Mapping[str, Any], wide: int, letters: Any) -> Image.Image:
    lines = _wrapped(str(record.get("text") or ""), letters, wide - 20, _CARD_LINES)
    parts = record.get("parts")
    pairs = list(parts.items())[:8] if isinstance(parts, Mapping) else []
    told = _wrapped(
        "  ".join(f"{_short(k, 30)} {number(v)}" for k, v in pairs), letters, wide - 20, 3
    )
    card = Image.new("RGB", (wide, 34 + _LINE * (len(lines) + len(told)) + 10), _SOFT)
    board = ImageDraw.Draw(card)
    board.rectangle((0, 0, wide, 3), fill=PREDICTED[g % len(PREDICTED)])
    reward, gained = number(record.get("reward")), signed(advantage_of(record)).replace("−", "-")
    head = f"{g}   {outcome_word(record)}   reward {reward}   advantage {gained}"
    board.text((10, 10), pen_text(head), _INK, letters)
    y = 32
    for line in lines:
        board.text((10, y), line, _INK, letters)
        y += _LINE
    for line in told:
        board.text((10, y), line, _DIM, letters)
        y += _LINE
    return card


def pen_text(text: str) -> str:
    """One line in which every character is seen and that the font can draw."""
    shown = " ".join(visible(text).split())
    return "".join(c if c.isprintable() else "\u25a1" for c in shown)


def _short(value: Any, most: int = 160) -> str:
    if real(value) is not None:
        return number(value)
    return pen_text(str(value)[:most])


def _wrapped(text: str, letters: Any, wide: int, most: int) -> list[str]:
    """The text in at most `most` lines that fit the width, the middle cut where it is longer.

    Words longer than a line are broken.
    """
    text = text if len(text) <= 4000 else f"{text[:3000]} … {text[-1000:]}"
    lines: list[str] = [""]
    for word in pen_text(text).split(" "):
        while letters.getlength(word) > wide:
            cut = max(1, int(len(word) * wide / letters.getlength(word)) - 1)
            lines.append(word[:cut])
            word = word[cut:]
        joined = f"{lines[-1]} {word}".strip()
        if letters.getlength(joined) <= wide:
            lines[-1] = joined
        else:
            lines.append(word)
    lines = [line for line in lines if line]
    if len(lines) > most:
        lines = [*lines[: most - 2], "…", lines[-1]]
    return lines
