"""What lies where on a screen: invented windows, and the layouts of real ones.

A layout is a list of elements in drawing order, boxes in thousandths of the sides. Invented windows
have a bar with a title, perhaps tabs, and rows of fields, check boxes, switches, list items and
buttons. Real layouts are those of assets/screens (Screen Annotation, CC BY 4.0).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from mmrl.errors import ConfigError, DataError
from mmrl.tasks.gui_tiny import split_of

SCREENS = Path(__file__).resolve().parents[2] / "assets" / "screens" / "layouts.jsonl"
PHRASES = (
    *("Account", "Alerts", "Backup", "Battery", "Billing", "Bluetooth", "Calendar", "Camera"),
    *("Cancel", "Contacts", "Delete", "Display", "Download", "E-mail", "Export", "Favourites"),
    *("First name", "Gallery", "Help", "History", "Import", "Language", "Last name", "Location"),
    *("Log out", "Messages", "Network", "Notes", "Orders", "Password", "Payment", "Phone"),
    *("Print", "Privacy", "Profile", "Reports", "Save", "Search", "Security", "Share", "Sign in"),
    *("Sound", "Storage", "Submit", "Support", "Sync", "Theme", "Update", "Upload", "Wi-Fi"),
)
ICON_NAMES = {
    "three bars": "menu",
    "arrow backward": "back",
    "arrow forward": "next",
    "magnifying glass": "find",
    "plus": "add",
    "envelope": "mail",
    "home": "home",
    "play": "play",
}
"""Pictograms of Screen Annotation that have an icon here."""


@dataclass(frozen=True, slots=True)
class Element:
    """One thing on a screen; `kind` as Screen Annotation names it."""

    kind: str
    text: str
    box: tuple[float, float, float, float]

    @property
    def icon(self) -> str:
        """The icon of a pictogram, "" where there is none."""
        return ICON_NAMES.get(self.text, "") if self.kind == "PICTOGRAM" else ""


Layout = tuple[Element, ...]


@lru_cache(maxsize=8)
def real_layouts(split: str, file: Path = SCREENS) -> tuple[Layout, ...]:
    """Layouts of real screens of a split: of ten screens in a row seven, one and two."""
    if not file.is_file():
        raise ConfigError(
            f"{file} is missing: real screens need the assets of the repository; "
            'choose layouts "drawn", or make it with assets/screens/convert.py'
        )
    found = []
    for number, line in enumerate(file.read_text().splitlines()):
        here = ("train",) * 7 + ("val",) + ("test",) * 2
        if here[number % 10] != split:
            continue
        try:
            listed = json.loads(line)["elements"]
            found.append(tuple(Element(e[0], e[1], (e[2], e[3], e[4], e[5])) for e in listed))
        except (json.JSONDecodeError, KeyError, IndexError, TypeError) as error:
            raise DataError(f"{file}:{number + 1}: no layout: {error}") from None
    return tuple(found)


def drawn_layout(rng: np.random.Generator, split: str) -> Layout:
    """An invented window of the split, drawn anew until its arrangement belongs there."""
    while True:
        made = _window(rng)
        if split_of(tuple((e.text, int(e.box[1])) for e in made)) == split:
            return made


def _window(rng: np.random.Generator) -> Layout:
    words = iter([PHRASES[i] for i in rng.permutation(len(PHRASES))])
    bar = float(rng.integers(70, 100))
    out = [Element("TOOLBAR", "", (0, 0, 1000, bar))]
    icons = [("three bars", "arrow backward")[rng.integers(2)], "magnifying glass", "plus"]
    side = bar * 0.6
    top = (bar - side) / 2
    out.append(Element("PICTOGRAM", icons[0], (30, top, 30 + 1.6 * side, top + side)))
    out.append(Element("TEXT", next(words), (180, top, 500, top + side)))
    for i in range(int(rng.integers(0, 3))):
        x = 860.0 - 150 * i
        out.append(Element("PICTOGRAM", icons[1 + i], (x, top, x + 1.6 * side, top + side)))
    y = bar
    if rng.integers(2):
        num = int(rng.integers(2, 4))
        out.append(Element("NAVIGATION_BAR", "", (0, y, 1000, y + 80)))
        for i in range(num):
            x = 1000 * i / num
            out.append(Element("BUTTON", next(words), (x + 10, y + 8, x + 1000 / num - 10, y + 72)))
        y += 80
    while y < 860:
        y += float(rng.integers(18, 50))
        out += _row(rng, y, next(words), next(words))
        y = max(e.box[3] for e in out)
    return tuple(out)


def _row(rng: np.random.Generator, y: float, word: str, other: str) -> list[Element]:
    """One row of the window from `y` down."""
    left = float(rng.integers(30, 80))
    match rng.integers(5):
        case 0:
            return [
                Element("LABEL", word, (left, y, left + 330, y + 36)),
                Element("TEXT_INPUT", "", (left, y + 42, 960, y + 100)),
            ]
        case 1:
            return [
                Element("CHECKBOX", "", (left, y, left + 75, y + 42)),
                Element("TEXT", word, (left + 110, y, left + 480, y + 42)),
            ]
        case 2:
            return [
                Element("TEXT", word, (left, y, left + 380, y + 42)),
                Element("SWITCH", "", (820, y, 940, y + 42)),
            ]
        case 3:
            return [
                Element("LIST_ITEM", "", (0, y, 1000, y + 80)),
                Element("TEXT", word, (left, y + 20, left + 420, y + 60)),
            ]
        case _:
            return [
                Element("BUTTON", word, (left, y, left + 380, y + 66)),
                Element("BUTTON", other, (left + 430, y, left + 830, y + 66)),
            ]
