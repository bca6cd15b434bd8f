"""What a collect stage kept or failed: samples by number again, made anew from where they came.

One JSON line a sample (`kept.jsonl`, `failed.jsonl`): its `origin` (data entry, split, seed, row),
its scores, and the completions that are worth demonstrating. No media are stored: a world draws
the sample again, byte for byte, and a data set gives its row again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmrl.data.registry import open_data
from mmrl.data.view import SampleView
from mmrl.errors import DataError
from mmrl.types import Sample

COMPLETION, COMPLETION_IDS = "completion", "completion_ids"
"""Keys of `Sample.meta` that supervised training reads in the place of the gold answer."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a sample came from: `open_data(entry, split, seed)[index]` makes it again."""

    entry: Mapping[str, Any]
    split: str
    seed: int
    index: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Collected:
    """The samples of a file that a collect stage wrote, in its order.

    With `demonstrations` there is one sample for each stored completion, which then stands in
    `meta["completion"]` and `meta["completion_ids"]`.
    """

    def __init__(self, path: Path, name: str, *, demonstrations: bool = False) -> None:
        self.path, self.name = path, name
        self._rows: list[tuple[int, dict[str, Any], dict[str, Any] | None]] = []
        for line, record in enumerate(collected_records(path), start=1):
            if demonstrations:
                said = record.get("demonstrations", ())
                self._rows.extend((line, record, completion) for completion in said)
            else:
                self._rows.append((line, record, None))
        self._views: dict[str, SampleView] = {}

    @property
    def size(self) -> int:
        return len(self._rows)

    def origin(self, index: int) -> Origin:
        """Where sample `index` came from before it was collected."""
        return Origin(**self._rows[index][1]["origin"])

    def __getitem__(self, index: int, /) -> Sample:
        _, record, completion = self._rows[index]
        origin = self.origin(index)
        sample = self._view(origin)[origin.index]
        if sample.id != record["id"]:
            raise DataError(
                f'{self.where(index)} was sample "{record["id"]}" of {dict(origin.entry)} when it '
                f'was collected and is "{sample.id}" now: the data have changed; collect anew'
            )
        if completion is None:
            return sample
        said = {COMPLETION: completion["text"], COMPLETION_IDS: tuple(completion["token_ids"])}
        return replace(sample, meta={**sample.meta, **said})

    def where(self, index: int, /) -> str:
        return f"{self.path}:{self._rows[index][0]}"

    def _view(self, origin: Origin) -> SampleView:
        key = json.dumps([origin.entry, origin.split, origin.seed], sort_keys=True)
        if key not in self._views:
            self._views[key] = open_data(origin.entry, origin.split, origin.seed)
        return self._views[key]


def collected_records(path: Path) -> list[dict[str, Any]]:
    """The lines of a collect stage's file; a DataError where there is none yet."""
    if not path.is_file():
        raise DataError(f"{path}: no such file: its collect stage has not run in this run folder")
    return [json.loads(line) for line in path.read_text().splitlines()]
