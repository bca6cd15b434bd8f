"""Published vectors by suite, and the comparison that lists what differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from mmrl.errors import DataError

FOLDER = Path(__file__).parents[2] / "vectors"
REFUSED = "data error"
"""What ours does where the reference answer is none."""


def suite(name: str, function: str) -> list[dict[str, Any]]:
    """The cases of the one suite of a file whose function begins so."""
    held = json.loads((FOLDER / f"{name}.json").read_text())["suites"]
    found = [s["cases"] for s in held if s["function"].startswith(function)]
    assert len(found) == 1, [s["function"] for s in held]
    cases: list[dict[str, Any]] = found[0]
    return cases


def check(
    cases: list[dict[str, Any]],
    ours: Callable[[Any], Any],
    departures: Mapping[int, tuple[Any, str]],
    published: Callable[[Any], Any] = lambda output: output,
) -> None:
    """Each case gives what was published, or what its departure says; none is listed in vain."""
    assert all(0 <= number < len(cases) for number in departures)
    for number, case in enumerate(cases):
        try:
            got = ours(case.get("input", case))
        except DataError:
            got = REFUSED
        was = published(case.get("output", case)) if _has(case) else "raised"
        if number in departures:
            wanted, reason = departures[number]
            assert reason
            assert not _same(wanted, was), f"case {number} is no departure"
        else:
            wanted = was
        assert _same(got, wanted), (number, case, got, wanted)


def _has(case: Mapping[str, Any]) -> bool:
    return "raises" not in case


def _same(a: Any, b: Any) -> bool:
    if type(a) is str or type(b) is str or a is None or b is None:
        return bool(a == b)
    return list(_flat(a)) == pytest.approx(list(_flat(b)), abs=1e-6)


def _flat(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from _flat(value[key])
    elif isinstance(value, list | tuple):
        yield float(len(value))
        for item in value:
            yield from _flat(item)
    else:
        yield float(value)
