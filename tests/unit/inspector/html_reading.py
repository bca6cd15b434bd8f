"""Reads HTML of the inspector as a browser would, as far as safety goes: tags, attributes, text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_TAGS = """
    div span bdi small ins del b i u h4 section article header figure figcaption img button
    details summary table thead tbody caption tr th td
"""
_ATTRIBUTES = """
    class style title dir alt src tabindex type role scope colspan aria-label aria-selected
    data-step data-draw
"""


class Reading(HTMLParser):
    """What stands in HTML of a view; fails at anything that is none of ours, or left open."""

    tags = frozenset(_TAGS.split())
    attributes = frozenset(_ATTRIBUTES.split())
    styles = re.compile(
        r"((left|width):-?[0-9.]+%;?|background:rgba?\([0-9.,]+\);?|--mi-own:rgb\([0-9,]+\))+"
    )
    classes = re.compile(r"m[im]-[a-z]+(-[a-z]+)*( m[im]-[a-z]+(-[a-z]+)*)*")

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, str]] = []
        self.elements: list[tuple[str, dict[str, str | None], str]] = []
        self.everything = ""
        self._inside: list[int] = []
        self.feed(source)
        self.close()
        assert not self.open, f"left open: {self.open}"

    @property
    def text(self) -> str:
        """What a reader sees."""
        return self.everything

    @property
    def pictures(self) -> int:
        return sum(tag == "img" for tag, _, _ in self.elements)

    def count(self, kind: str) -> int:
        """Elements of a class."""
        return len(self.of_class(kind))

    def of_class(self, kind: str) -> list[str]:
        """The text of every element of a class, without that of elements inside of it."""
        return [
            text for _, given, text in self.elements if kind in (given.get("class") or "").split()
        ]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.tags, tag
        for name, value in attrs:
            assert name in self.attributes, name
            assert value is not None
            if name == "src":
                assert value.startswith("data:image/webp;base64,")
            if name == "style":
                assert self.styles.fullmatch(value), value
            if name == "class":
                assert self.classes.fullmatch(value), value
            if name == "dir":
                assert value == "auto"
        given = dict(attrs)
        if tag != "img":
            self.open.append((tag, given.get("class") or ""))
            self._inside.append(len(self.elements))
        self.elements.append((tag, given, ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop()[0] == tag, f"</{tag}> closes nothing"
        self._inside.pop()

    def handle_data(self, data: str) -> None:
        self.everything += data
        if self._inside:
            tag, given, before = self.elements[self._inside[-1]]
            self.elements[self._inside[-1]] = (tag, given, before + data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data[:40]}")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(f"a declaration: {decl[:40]}")

    def handle_pi(self, data: str) -> None:
        raise AssertionError(f"an instruction: {data[:40]}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"CDATA: {data[:40]}")


class TextReading(Reading):
    """HTML of texts alone: `text` is that of the one box (class mm-text) without notes."""

    tags = frozenset({"div", "span", "bdi", "small", "ins", "del"})
    attributes = frozenset({"class", "title", "dir", "style"})
    styles = re.compile(r"background:rgba\(\d{1,3},\d{1,3},\d{1,3},[01]\.\d{3}\)")
    classes = re.compile(r"mm-[a-z]+( mm-[a-z]+)*")

    def __init__(self, source: str) -> None:
        self.boxes: list[str] = []
        super().__init__(source)

    @property
    def text(self) -> str:
        assert len(self.boxes) == 1, f"{len(self.boxes)} boxes"
        return self.boxes[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if ("class", "mm-text") in attrs:
            assert ("dir", "auto") in attrs
            self.boxes.append("")

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        kinds = [kind for _, kind in self.open]
        if "mm-text" in kinds and "mm-note" not in kinds:
            self.boxes[-1] += data
