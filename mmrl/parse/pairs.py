"""Texts about a pair: with the labels of the two exchanged, or with the verdict taken out.

Labels are the letters A and B, numbers behind a noun (`Image 1`, `answer 2`), and `first`,
`second` before a noun. The article "A" is told from the letter by what follows it.
"""

from __future__ import annotations

import re

_NOUN = r"(?i:images?|pictures?|videos?|answers?|responses?|options?|candidates?|choices?)"
_VERB = (
    r"(?:is|are|was|wins|won|fits|matches|shows|has|does|looks|gives|says|seems|should|would|"
    r"must|will|and|or|than|over)"
)
_LETTER = rf"(?:B|A(?=[:.,;)!?\"*]|\s*+$|\s++{_VERB}\b))"
_LABEL = re.compile(
    rf"(?P<noun>\b{_NOUN}[ \t]++)(?P<named>[12AB])(?!\w)"
    rf"|\b(?P<ordinal>[Ff]irst|[Ss]econd)(?=\s++(?:one\b|{_NOUN}\b))"
    rf"|(?<![\w'])(?P<letter>{_LETTER})(?![\w'])",
    re.MULTILINE,
)
_OTHER = {"1": "2", "2": "1", "A": "B", "B": "A"}
_OTHER |= {"first": "second", "second": "first", "First": "Second", "Second": "First"}
_BACKWARDS = re.compile(
    rf"(?P<two>(?P<name>{_NOUN}) 2\b[^;\n]{{0,400}}+)(?P<between>; |\n)"
    r"(?P<one>(?P=name) 1\b[^;\n]{0,400})"
)
"""The second before the first, each a clause or a line of at most 400 characters."""
_LISTED = re.compile(r"A: (?P<a>[^.\n]+)\. B: (?P<b>[^.\n]+)")

_SIDE = rf"(?:(?i:the\s++)?(?:{_NOUN}\s++[12AB]|(?i:first|second)\s++(?:one|{_NOUN})|A|B))"
_BETTER = r"(?i:better|best|preferred|preferable|superior|right|correct|the\s++winner|true)"
_SAID = re.compile(
    rf"\b{_SIDE}\s++(?:wins|won|fits|(?:is|must\s++be|should\s++be)\s++(?:\w++\s++){{0,2}}?{_BETTER})\b"
    rf"|\b(?i:verdict|answer|choice|winner)\s*+(?:is|:|=|must\s++be|should\s++be)\s*+{_SIDE}(?!\w)"
    rf"|\b(?i:choose|pick|prefer|select|favou?r|go\s++(?:for|with))\s++{_SIDE}(?!\w)"
    rf"|\b(?i:so|thus|hence|therefore)\b,?\s++{_SIDE}\s*+$"
)
_SENTENCE = re.compile(r"[^.;!?\n]*+(?:[.;!?]++(?=\s|$)|\n|$|[.;!?]++)")


def relabelled(text: str) -> str:
    """The text about the pair in the other order: every label becomes that of the other one.

    `A: x. B: y` at the beginning becomes `A: y. B: x`, and clauses (or lines) that begin with
    `Image 1`, `Image 2` change places, so that what is said stays in order.

    >>> relabelled("A: red square. B: blue circle")
    'A: blue circle. B: red square'
    >>> relabelled("Image 1 is sharp; the second image is not. So A wins")
    'Image 2 is sharp; the first image is not. So B wins'
    >>> relabelled("A red square is in answer B")
    'A red square is in answer A'
    """
    listed = _LISTED.match(text)
    if listed is not None:
        return f"A: {listed['b']}. B: {listed['a']}{_other_labels(text[listed.end() :])}"
    return _other_labels(text)


def _other_labels(text: str) -> str:
    def other(found: re.Match[str]) -> str:
        if found["noun"]:
            return found["noun"] + _OTHER[found["named"]]
        return _OTHER[found["ordinal"] or found["letter"]]

    return _BACKWARDS.sub(r"\g<one>\g<between>\g<two>", _LABEL.sub(other, text))


def without_verdict(text: str) -> str:
    """The text without the sentences that say which of the two is better.

    >>> without_verdict("Image 1 is sharp. So image 1 is better. Image 2 is not.")
    'Image 1 is sharp. Image 2 is not.'
    """
    kept = []
    for found in _SENTENCE.finditer(text):
        sentence = found.group()
        if not _SAID.search(sentence.rstrip(" \t\n.;!?")):
            kept.append(sentence)
    return "".join(kept).strip()
