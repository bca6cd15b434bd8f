"""Asserts that HTML of a view can do nothing: known tags and attributes, data: pictures."""

from __future__ import annotations

import re
from html.parser import HTMLParser

TAGS = {
    *("div", "span", "bdi", "small", "ins", "del", "b", "i", "u", "section", "header", "article"),
    *("figure", "figcaption", "img", "h4", "details", "summary"),
    *("table", "thead", "tbody", "tr", "th", "td", "caption"),
}
ATTRIBUTES = {
    *("class", "title", "dir", "style", "src", "alt", "tabindex", "role", "aria-label", "scope"),
    "colspan",
}
STYLE = re.compile(r"(?:(?:left|width|background|--mi-own):[\w(),.%]+;?)*")


class Inert(HTMLParser):
    """Reads HTML and fails at anything that is not ours; `text` is what a reader sees."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.pictures = 0
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            if name == "src":
                assert value is not None and value.startswith("data:image/webp;base64,")
                self.pictures += 1
            if name == "style":
                assert value is not None and STYLE.fullmatch(value), value

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_decl(self, data: str) -> None:
        raise AssertionError(f"a declaration: {data}")
