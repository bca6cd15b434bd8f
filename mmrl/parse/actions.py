"""Steps on a screen: `<action>{'action': 'CLICK', 'value': None, 'position': [0.5, 0.5]}</action>`.

The form of TON on AITZ (arXiv 2505.16854). The dictionary is read as JSON or as a Python literal,
never evaluated; positions are shares of the sides (norm_1) and have exactly two numbers.
"""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmrl.parse.completion import parse_completion
from mmrl.parse.points import Point
from mmrl.types import Parsed

_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class ScreenAction:
    """One step: its name in lower case, where it is (clicks), and its text or direction."""

    name: str
    position: Point | None = None
    value: str = ""


def parse_action_completion(text: str) -> Parsed:
    """`parse_completion` with `<action>` in the place of `<answer>` (as many characters)."""
    hidden = text.replace("<answer>", "<ANSWER>").replace("</answer>", "</ANSWER>")
    return parse_completion(
        hidden.replace("<action>", "<answer>").replace("</action>", "</answer>")
    )


def parse_action(text: str) -> ScreenAction | None:
    """The step that a dictionary describes, or None where it is none."""
    return read_action(_loaded(text.strip()))


def read_action(value: Any) -> ScreenAction | None:
    """The step of a mapping with `action` and perhaps `position` and `value`, or None."""
    if not isinstance(value, Mapping) or not isinstance(value.get("action"), str):
        return None
    place, said = value.get("position"), value.get("value")
    if isinstance(place, str):
        place = _loaded(place.strip())
    point = None
    if isinstance(place, list | tuple) and len(place) == 2 and all(map(_is_number, place)):
        point = (float(place[0]), float(place[1]))
    return ScreenAction(
        name=" ".join(value["action"].lower().split()),
        position=point,
        value=said if isinstance(said, str) else "",
    )


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold (a literal of 400 digits is an int)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or abs(value) < 2**1000


def _loaded(text: str) -> Any:
    if len(text) > _LONGEST:
        return None
    try:
        return json.loads(text, parse_int=float)
    except (json.JSONDecodeError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # of odd numbers such as 1if
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return None
