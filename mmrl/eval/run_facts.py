"""What a run folder says of its run: the resolved recipe, the summary, how far it should go."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmrl.config.load import load_yaml
from mmrl.errors import DataError
from mmrl.media.confine import is_plain_file, open_plain

_MAX_JSON = 64 * 2**20


def config_of(folder: Path) -> dict[str, Any]:
    """The resolved recipe of a run folder as plain data; empty where there is none.

    A link is not followed; ConfigError where it is no YAML.
    """
    path = folder / "config.yaml"
    data = load_yaml(path)[0] if is_plain_file(path) else None
    return data if isinstance(data, dict) else {}


def summary_of(folder: Path) -> dict[str, Any]:
    """The summary that a finished run wrote; empty before. DataError where it is broken."""
    path = folder / "summary.json"
    if not is_plain_file(path):
        return {}
    try:
        with open_plain(path) as file:
            data = json.loads(file.read(_MAX_JSON))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: wanted the summary of a run; {error}") from None
    return data if isinstance(data, dict) else {}


def steps_saved(records: Iterable[Mapping[str, Any]]) -> int:
    """Steps that stages of a run did not need, by the records of their ends in its log.

    >>> steps_saved([{"kind": "stage", "steps": 20, "of": 80, "ended": "promoted"}])
    60
    """
    ends = [r for r in records if r.get("kind") == "stage" and r.get("ended")]
    counts = [(r.get("of"), r.get("steps")) for r in ends]
    return sum(of - n for of, n in counts if isinstance(of, int) and isinstance(n, int))


def total_steps(config: Mapping[str, Any]) -> int | None:
    """Steps of all stages of a resolved recipe (at most); None where it does not say.

    >>> total_steps({"stages": [{"steps": 3}, {"steps": 4}], "train": {"steps": 9}})
    7
    """
    counts: list[Any] = [(stage or {}).get("steps") for stage in config.get("stages") or ()]
    counts = counts or [(config.get("train") or {}).get("steps")]
    return sum(counts) if all(isinstance(n, int) for n in counts) else None
