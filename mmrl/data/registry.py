"""Names and recipe entries to samples by number."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from mmrl.data.blank import Blank
from mmrl.data.load import open_dataset
from mmrl.data.spec import DEFAULT_SPLIT
from mmrl.data.view import SampleView
from mmrl.errors import ConfigError, DataError, nearest
from mmrl.registry import Registry
from mmrl.tasks.base import TASKS, World
from mmrl.types import Sample

DatasetFn = Callable[[str], Iterable[Sample]]
DATASETS: Registry[DatasetFn] = Registry("data set")
MAX_REGISTERED_ROWS = 5_000_000
"""A registered data set that yields more is taken for endless and refused."""

_ORIGINS = ("task", "cfg", "dataset")
_KEYS = (*_ORIGINS, "split", "weight", "limit", "blank", "options")


def register_dataset(name: str) -> Callable[[DatasetFn], DatasetFn]:
    """Names a function `(split) -> Iterable[Sample]`, so that recipes may say `dataset: name`."""
    return DATASETS.register(name)


class Registered:
    """The samples that a registered function gives for a split.

    A sequence is indexed as it is; another iterable is read once and kept (samples are light).
    """

    def __init__(self, name: str, split: str) -> None:
        self.name, self.split = name, split
        given = DATASETS.get(name)(split)
        if isinstance(given, Sequence):
            self._samples: Sequence[Sample] = given
        else:
            self._samples = list(islice(given, MAX_REGISTERED_ROWS + 1))
        if len(self._samples) > MAX_REGISTERED_ROWS and not isinstance(given, Sequence):
            raise DataError(
                f'data set "{name}" yields more than {MAX_REGISTERED_ROWS} samples; '
                "return a Sequence, which is read by index"
            )
        if not self._samples:
            raise DataError(f'data set "{name}" has no samples for split "{split}"')

    @property
    def size(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int, /) -> Sample:
        sample = self._samples[index]
        if not isinstance(sample, Sample):
            raise DataError(f"{self.where(index)} is {type(sample).__name__}, expected mmrl.Sample")
        return sample

    def where(self, index: int, /) -> str:
        return f"{self.name}[{self.split}] sample {index}"


class Drawn:
    """The endless samples of a task's world."""

    size: int | None = None

    def __init__(self, task: str, split: str, seed: int, options: Mapping[str, Any]) -> None:
        self.name, self.split, self._seed = task, split, seed
        found = TASKS.get(task)
        if found.world is None:
            raise ConfigError(
                f'task "{task}" draws no samples of its own; '
                "give it a data set (`cfg: datasets_cfg/….yaml`)"
            )
        self._world: World = found.world
        self._options = {**found.world_options, **options}
        _check_options(task, self._world, options)

    def __getitem__(self, index: int, /) -> Sample:
        return self._world(index, split=self.split, seed=self._seed, **self._options)

    def where(self, index: int, /) -> str:
        return f"{self.name}[{self.split}] sample {index}"


class FirstOf:
    """The first `limit` samples of a view."""

    def __init__(self, view: SampleView, limit: int) -> None:
        self._view, self.name = view, view.name
        self.size = limit if view.size is None else min(limit, view.size)

    def __getitem__(self, index: int, /) -> Sample:
        if not 0 <= index < self.size:
            raise IndexError(f"{self.name}: {self.size} samples, asked for {index}")
        return self._view[index]

    def where(self, index: int, /) -> str:
        return self._view.where(index)


def open_data(
    entry: Mapping[str, Any], split: str | None = None, seed: int = 0, *, base: Path | None = None
) -> SampleView:
    """What one data entry of a recipe names: `{cfg: path}`, `{task: name}` or `{dataset: name}`.

    The entry's own `split` wins over the argument; `limit` cuts; `blank` hides what there is to
    see; a world takes further keys, or those under `options`, as its options. Paths start from
    `base` (default: the working folder).
    """
    origins = [key for key in _ORIGINS if entry.get(key) is not None]
    if len(origins) != 1:
        raise ConfigError(
            f"data entry {dict(entry)}: give exactly one of {', '.join(_ORIGINS)}; "
            f"got {', '.join(origins) or 'none'}"
        )
    origin, name = origins[0], str(entry[origins[0]])
    wanted = str(entry.get("split") or split or DEFAULT_SPLIT)
    loose = {k: v for k, v in entry.items() if k not in _KEYS}
    options = {**(entry.get("options") or {}), **loose}
    if origin != "task" and options:
        key = next(iter(options))
        raise ConfigError(
            f'data entry {origin} "{name}": unknown key "{key}".{nearest(key, _KEYS)}'
        )
    view: SampleView
    if origin == "task":
        view = Drawn(name, wanted, seed, options)
    elif origin == "cfg":
        view = open_dataset((base or Path()) / name, wanted)
    else:
        view = Registered(name, wanted)
    if entry.get("blank"):
        view = Blank(view)
    limit = entry.get("limit")
    return view if limit is None else FirstOf(view, int(limit))


def _check_options(task: str, world: World, options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(world).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    known = [name for name in known if name not in ("split", "seed")]
    for key in options:
        if key not in known:
            raise ConfigError(f'task "{task}": unknown option "{key}".{nearest(key, known)}')
