"""Reads HTML of the inspector as a browser would, as far as safety goes: tags, attributes, text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

TAGS = {"div", "span", "bdi", "small", "ins", "del"}
STYLE = re.compile(r"background:rgba\(\d{1,3},\d{1,3},\d{1,3},[01]\.\d{3}\)")
CLASSES = re.compile(r"mm-[a-z]+( mm-[a-z]+)*")


class Reading(HTMLParser):
    """What stands in an HTML text: `text` is that of the boxes (class mm-text) without notes."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, str]] = []
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.inside: list[int] = []
        self.boxes: list[str] = []
        self.everything = ""
        self.feed(source)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        given = dict(attrs)
        for name, value in attrs:
            assert name in ("class", "title", "dir", "style"), name
            assert value is not None
            if name == "style":
                assert STYLE.fullmatch(value), value
            if name == "class":
                assert CLASSES.fullmatch(value), value
            if name == "dir":
                assert value == "auto"
        kind = given.get("class") or ""
        if kind == "mm-text":
            assert given["dir"] == "auto"
            self.boxes.append("")
        self.open.append((tag, kind))
        self.inside.append(len(self.elements))
        self.elements.append((tag, given, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop()[0] == tag, f"</{tag}> closes nothing"
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        self.everything += data
        kinds = [kind for _, kind in self.open]
        if self.inside:
            tag, given, before = self.elements[self.inside[-1]]
            self.elements[self.inside[-1]] = (tag, given, before + data)
        if "mm-text" in kinds and "mm-note" not in kinds:
            self.boxes[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"CDATA: {data}")

    @property
    def text(self) -> str:
        assert len(self.boxes) == 1, f"{len(self.boxes)} boxes"
        return self.boxes[0]

    def of_class(self, kind: str) -> list[str]:
        """The text of every element of a class, without that of elements inside of it."""
        return [
            text for _, given, text in self.elements if kind in (given.get("class") or "").split()
        ]
