"""Transit lines as data sets give them: which stops a line serves, and which rides it offers.

A line is one of

    ["A", "B", "C"]                              stops in order (ReasonMap's metro dictionaries)
    [["A", "B", "C"], ["A", "B", "D"]]           several courses: a line that branches after B
    {"tracks": [["A", "B", "C", "A"]], "one_way": true}

A course that ends where it begins is a loop; it may call at a name twice, as New York's R does at
"36 St" (two stations of one name are one stop here). Names are compared by `stop_key` and
`line_key`, which forgive what a reader would: case, hyphens, "Station", "(Transfer Station)".
Unlike the normaliser of ReasonMap they work on whole words: "Technology" and "Univ." survive.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, product
from typing import Any

_BRACKETED = re.compile(r"\([^()]*\)")
_APOSTROPHES = re.compile(r"['’‘`´]")
_DROPPED = re.compile(r"\b(?:station|metro)\b")
_NOT_WORD = re.compile(r"[\W_]+")
_LINE_WORD = re.compile(r"\bline\b")
_WORDS = ((r"\buniv\b", "university"), (r"\btech\b", "technology"), (r"\broad\b", "lu"))
_SHORT = tuple((re.compile(word), long) for word, long in _WORDS)
_STOP_ALIASES = {"asiangamesvillage": "yayuncun"}
_LINE_ALIASES = {"八通": "1", "大兴": "4"}
"""Parts of Beijing's network under their former names (ReasonMap)."""

Via = tuple[str, ...]


@lru_cache(maxsize=1 << 16)
def stop_key(name: str) -> str:
    """What a stop's name is compared by.

    >>> stop_key("Woodlands Station (Transfer Station)") == stop_key("**woodlands**")
    True
    """
    text = unicodedata.normalize("NFKC", name).casefold()
    text = _APOSTROPHES.sub("", _BRACKETED.sub(" ", text))
    for short, long in _SHORT:
        text = short.sub(long, text)
    key = _NOT_WORD.sub("", _DROPPED.sub(" ", text)) or _NOT_WORD.sub("", text)
    key = key.removesuffix("站") or key
    return _STOP_ALIASES.get(key, key)


@lru_cache(maxsize=1 << 12)
def line_key(name: str) -> str:
    """What a line's name is compared by: "Red Line", "**red**" and "RED LINE" are one."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return _NOT_WORD.sub("", _LINE_WORD.sub(" ", text)) or _NOT_WORD.sub("", text)


@dataclass(frozen=True)
class Track:
    """One course of a line: stop keys in order, a loop without its first stop at the end."""

    stops: tuple[str, ...]
    is_loop: bool = False
    one_way: bool = False

    @cached_property
    def places(self) -> Mapping[str, tuple[int, ...]]:
        """Stop key -> its numbers along the course: one, but for names that come again."""
        found: dict[str, tuple[int, ...]] = {}
        for i, stop in enumerate(self.stops):
            found[stop] = (*found.get(stop, ()), i)
        return found

    def rides(self, start: str, end: str) -> tuple[Via, ...]:
        """The stops passed on each way from `start` to `end` without a change; () where none."""
        if start == end:
            return ()
        n, found = len(self.stops), []
        for a, b in product(self.places.get(start, ()), self.places.get(end, ())):
            for step in (1,) if self.one_way else (1, -1):
                if self.is_loop:
                    count = (b - a) * step % n
                elif (b - a) * step > 0:
                    count = (b - a) * step
                else:
                    continue
                found.append(tuple(self.stops[(a + step * k) % n] for k in range(1, count)))
        return tuple(found)

    def serves(self, start: str, end: str) -> bool:
        """Whether a train goes from `start` to `end`, another stop: as `rides`, but quicker."""
        a, b = self.places.get(start), self.places.get(end)
        if a is None or b is None or start == end:
            return False
        return self.is_loop or not self.one_way or a[0] < b[-1]


@dataclass(frozen=True)
class Line:
    """A line under the name that the map shows, with its courses."""

    name: str
    tracks: tuple[Track, ...]

    @cached_property
    def stops(self) -> tuple[str, ...]:
        """Keys of all stops, each once, in the order of the courses."""
        return tuple(dict.fromkeys(stop for track in self.tracks for stop in track.stops))

    def rides(self, start: str, end: str) -> tuple[Via, ...]:
        """Stops passed on every way to ride from `start` to `end` (keys) without a change."""
        found = [ride for track in self.tracks for ride in track.rides(start, end)]
        return tuple(dict.fromkeys(found))


Lines = Mapping[str, Line]
"""Lines by their key."""


def read_lines(value: Any) -> Lines:
    """Lines of a mapping name -> stops in one of the forms above.

    A ValueError says what is wrong: names that are not text, a course with fewer than two stops or
    one twice in a row, two lines with one key.
    """
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"lines should map line names to their stops; got {value!r:.80}")
    lines: dict[str, Line] = {}
    for name, stops in value.items():
        if not isinstance(name, str) or not line_key(name):
            raise ValueError(f"the line name {name!r:.40} is not one")
        key = line_key(name)
        if key in lines:
            raise ValueError(f'lines "{name}" and "{lines[key].name}" cannot be told apart')
        lines[key] = Line(name, tuple(_tracks(name, stops)))
    return lines


def find_line(lines: Lines, name: str) -> Line | None:
    """The line that `name` means, or None."""
    key = line_key(name)
    if key not in lines:
        for part, alias in _LINE_ALIASES.items():
            if part in name:
                key = alias
    return lines.get(key)


def _tracks(name: str, value: Any) -> list[Track]:
    one_way = False
    if isinstance(value, Mapping):
        one_way, value = bool(value.get("one_way", False)), value.get("tracks")
    courses = [value] if _is_list(value) and all(isinstance(s, str) for s in value) else value
    if not _is_list(courses) or not courses or not all(_is_list(c) for c in courses):
        raise ValueError(f'line "{name}": its stops should be a list of names; got {value!r:.60}')
    return [_track(name, course, one_way) for course in courses]


def _track(name: str, course: Sequence[Any], one_way: bool) -> Track:
    keys = [stop_key(stop) if isinstance(stop, str) else "" for stop in course]
    if not all(keys):
        raise ValueError(f'line "{name}": a stop without a name among {course!r:.60}')
    is_loop = len(keys) > 3 and keys[0] == keys[-1]
    stops = tuple(keys[:-1] if is_loop else keys)
    if len(set(stops)) < 2 or any(a == b for a, b in pairwise(stops)):
        raise ValueError(
            f'line "{name}": a course needs two stops and none twice in a row: {course!r:.60}'
        )
    return Track(stops, is_loop, one_way)


def _is_list(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping)
