"""ReasonMap's station lists: `COUNTRY/CITY.json`, line -> stops in order.

A list puts the stops of a branch behind the whole main course and marks the stop where the branch
leaves ("(Branch-starting Station)"), but not the one where its own stops begin. Read as it stands,
Rome's line B would run from Rebibbia on to Jonio. The first stops of branches stand here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mmrl.errors import DataError
from mmrl.parse.lines import read_lines, stop_key

BRANCHES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("dalian", "Line 3"): "通世泰",
        ("dubai", "Red Line"): "lbn Battuta",
        ("hangzhou", "Line 3"): "留下",
        ("hefei", "Line 4"): "复兴集",
        ("kunming", "Line 1"): "市级行政中心",
        ("rome", "Line B"): "S. Agnese Annibaliano",
        ("shanghai", "Line 5"): "江川路",
        ("shanghai", "Line 10"): "龙柏新村",
        ("shanghai", "Line 11"): "上海赛车场",
        ("singapore", "Circle Line"): "Bayfront",
    }
)
"""(City, line) -> first stop of its branch."""
_MARK = re.compile(r"\s*[(（](?:Transfer Station|Branch-starting Station|换乘站|支线起始站)[)）]")
_LEAVES = re.compile(r"Branch-starting|支线起始")


def plain_stop(name: str) -> str:
    """A stop's name without the marks of transfers and branches."""
    return _MARK.sub("", name).strip()


def station_list(path: Path) -> dict[str, list[str] | list[list[str]]]:
    """The lines of a city as `mmrl.parse.lines` reads them; one that branches has two courses."""
    raw: Any = json.loads(path.read_text("utf-8"))
    if not isinstance(raw, dict) or not all(
        isinstance(stops, list) and all(isinstance(s, str) for s in stops) for stops in raw.values()
    ):
        raise DataError(f"{path}: a station list maps lines to lists of stops")
    lines = {line: _courses(path.stem, line, stops) for line, stops in raw.items()}
    try:
        read_lines(lines)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    return lines


def _courses(city: str, line: str, stops: list[str]) -> list[str] | list[list[str]]:
    names = [plain_stop(stop) for stop in stops]
    keys = [stop_key(name) for name in names]
    first = stop_key(BRANCHES.get((city, line), "-"))
    leaves = next((i for i, stop in enumerate(stops) if _LEAVES.search(stop)), None)
    if leaves is None or first not in keys[leaves + 1 :]:
        return names
    begins = keys.index(first, leaves + 1)
    return [names[:begins], names[: leaves + 1] + names[begins:]]
