"""What data there is to look at, and one sample of it: its media, question, reference and target.

    catalogue = Catalogue(data_roots, pool)
    catalogue.names()                                   # worlds, data set files, registered sets
    catalogue.look("digit_box", Choice(index=3))        # never raises: what is wrong is said in it

A browser names a data set by its name in the catalogue, never by a path; nothing is downloaded.
"""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from mmrl.config.load import key_value
from mmrl.data.registry import DATASETS, open_data
from mmrl.data.spec import CFG_FOLDER, DEFAULT_SPLIT, dataset_files, load_spec
from mmrl.data.view import SampleView, gold_answer, media_info
from mmrl.errors import ConfigError, DataError, MediaError, MmrlError, nearest
from mmrl.inspector.load import load_ref
from mmrl.inspector.pictures import drawn
from mmrl.media.store import MediaStore
from mmrl.media.workers import DecodePool
from mmrl.tasks.base import TASKS
from mmrl.tasks.overlay import Overlay, gold_overlay
from mmrl.types import MediaInfo, MediaRef, Sample

SPLITS = ("train", "test")
"""Of drawn worlds; they take any word, these two never share a source."""
MOST_INDEX = 10**9
MOST_SEED = 2**31 - 1
LARGEST_OPTION = 4096
"""A larger number in an option of a world is refused: it is drawn here, and has to end."""
MOST_MEDIA = 16
"""Media of one sample that are shown."""
_LONGEST_OPTIONS = 500
_MOST_OPEN = 8
_MOST_FILES = 500
_MEMORY_BYTES = 64 << 20
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, UnicodeError)
"""What options that are none, or rows of a foreign form, make a world or a reader raise."""


@dataclass(frozen=True)
class Choice:
    """Which sample of a data set: `options` are `key=value` words for a drawn world."""

    index: int = 0
    split: str = ""
    seed: int = 0
    level: str = ""
    options: str = ""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One data set of the catalogue and what can be chosen of it."""

    kind: Literal["world", "file", "registered"]
    entry: Mapping[str, Any]
    splits: tuple[str, ...]
    levels: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any]
    """Options of a world with their defaults."""
    about: str
    """Licence and place of a file; empty for a world."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One medium of a sample: its picture or strip with the reference on it, or why there is none.

    `info` is None where not even the header can be read.
    """

    kind: str
    info: MediaInfo | None = None
    drawn: Image.Image | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A sample as far as it can be read; `problems` say what cannot."""

    name: str
    index: int
    size: int | None = None
    """Samples of the data set; None where there is no end."""
    where: str = ""
    sample: Sample | None = None
    gold: str | None = None
    media: tuple[Seen, ...] = ()
    marked: bool = False
    """Whether the reference draws anything."""
    problems: tuple[str, ...] = ()


class Catalogue:
    """All data sets that the page may show; safe to share between threads.

    Those are the worlds of every task, the files of `datasets_cfg/` here and in `data_roots` (or
    beside their rows there), and what plug-ins registered. `pool` decodes clips.
    """

    def __init__(self, data_roots: Sequence[Path], pool: DecodePool) -> None:
        self._roots, self._pool = tuple(data_roots), pool
        self._store = MediaStore(pool=pool, memory_bytes=_MEMORY_BYTES)
        self._views: OrderedDict[str, SampleView] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Names of all data sets: worlds, then files, then registered ones."""
        return list(self._entries())

    def origin(self, name: str) -> Origin:
        """What can be chosen of a data set; ConfigError where there is no such, or its file is
        broken."""
        entry = self._entry(name)
        if "task" in entry:
            task = TASKS.get(entry["task"])
            assert task.world is not None
            parameters = inspect.signature(task.world).parameters.values()
            options = {
                p.name: p.default
                for p in parameters
                if p.kind is p.KEYWORD_ONLY and p.name not in ("split", "seed")
            }
            return Origin(
                kind="world",
                entry=entry,
                splits=SPLITS,
                levels=task.levels,
                options={**options, **task.world_options},
                about="",
            )
        if "dataset" in entry:
            return Origin(
                kind="registered", entry=entry, splits=(DEFAULT_SPLIT,), levels={}, options={},
                about="",
            )  # fmt: skip
        spec = load_spec(entry["cfg"])
        about = f"{spec.licence} · {spec.source} · {entry['cfg']}"
        splits = tuple(spec.split_names())
        return Origin(kind="file", entry=entry, splits=splits, levels={}, options={}, about=about)

    def look(self, name: str, choice: Choice) -> Look:
        """The chosen sample with everything about it that can be read."""
        index = min(max(0, choice.index), MOST_INDEX)
        try:
            view = self._open(name, choice)
        except MmrlError as error:
            return Look(name=name, index=index, problems=(str(error),))
        except _BROKEN as error:
            return Look(name=name, index=index, problems=(_words(error),))
        if view.size is not None:
            index = min(index, view.size - 1)
        where = view.where(index)
        found = Look(name=name, index=index, size=view.size, where=where)
        try:
            sample = view[index]
        except (MmrlError, UnicodeDecodeError) as error:
            return replace(found, problems=(str(error),))
        except _BROKEN as error:
            return replace(found, problems=(_words(error),))
        return self._looked(found, sample)

    def sample(self, name: str, choice: Choice) -> Sample:
        """The chosen sample alone; a MmrlError says what is wrong."""
        try:
            view = self._open(name, choice)
            return view[min(max(0, choice.index), (view.size or MOST_INDEX) - 1)]
        except _BROKEN as error:
            raise DataError(f"{name}: {_words(error)}") from error

    def _looked(self, found: Look, sample: Sample) -> Look:
        try:
            task = TASKS.get(sample.task)
        except ConfigError as error:
            return replace(found, sample=sample, problems=(str(error),))
        problems: list[str] = []
        gold = None
        try:
            gold = gold_answer(task, sample)
        except DataError as error:
            problems.append(str(error))
        if len(sample.media) > MOST_MEDIA:
            problems.append(f"{len(sample.media)} media; the first {MOST_MEDIA} are shown")
        refs = sample.media[:MOST_MEDIA]
        infos = [self._info(ref) for ref in refs]
        known = [info for info in infos if isinstance(info, MediaInfo)]
        overlay = None
        if len(known) == len(infos):
            overlay = gold_overlay(task, sample, known)
        media = tuple(
            self._seen(number, ref, info, overlay)
            for number, (ref, info) in enumerate(zip(refs, infos, strict=True))
        )
        return replace(
            found,
            sample=sample,
            gold=gold,
            media=media,
            marked=overlay is not None and not overlay.is_empty,
            problems=tuple(problems),
        )

    def _info(self, ref: MediaRef) -> MediaInfo | str:
        """What the header says, or why it cannot be read."""
        try:
            return media_info(ref, self._store)
        except MediaError as error:
            return f"{error} ({error.reason})"

    def _seen(
        self, number: int, ref: MediaRef, info: MediaInfo | str, overlay: Overlay | None
    ) -> Seen:
        if isinstance(info, str):
            return Seen(kind=ref.kind, problem=info)
        try:
            loaded = load_ref(ref, pool=self._pool)
        except MediaError as error:
            return Seen(kind=ref.kind, info=info, problem=f"{error} ({error.reason})")
        return Seen(kind=ref.kind, info=info, drawn=drawn(loaded, overlay, (), number=number))

    def _open(self, name: str, choice: Choice) -> SampleView:
        """The view of a data set, opened once as long as it is among the last few."""
        origin = self.origin(name)
        entry = dict(origin.entry)
        split = choice.split[:80] or origin.splits[0]
        seed = min(max(0, choice.seed), MOST_SEED)
        if origin.kind == "world":
            entry["options"] = {**_level(origin, choice.level), **_options(origin, choice.options)}
        if origin.kind == "file":
            _refuse_hub(Path(entry["cfg"]))
        key = repr((name, entry, split, seed))
        with self._lock:
            if key in self._views:
                self._views.move_to_end(key)
                return self._views[key]
        view = open_data(entry, split, seed)
        with self._lock:
            self._views[key] = view
            while len(self._views) > _MOST_OPEN:
                self._views.popitem(last=False)
        return view

    def _entry(self, name: str) -> dict[str, Any]:
        entries = self._entries()
        if name not in entries:
            raise ConfigError(f'no data set "{ascii(name)[1:80]}".{nearest(name[:80], entries)}')
        return entries[name]

    def _entries(self) -> dict[str, dict[str, Any]]:
        """Name -> data entry; a name that is taken gets its folder in front."""
        found: dict[str, dict[str, Any]] = {
            name: {"task": name} for name in TASKS if TASKS.get(name).world is not None
        }
        files = list(dataset_files().items())
        for root in self._roots:
            if root.resolve() != CFG_FOLDER.resolve():
                files += [*dataset_files(root).items(), *dataset_files(root / CFG_FOLDER).items()]
        for stem, path in files[:_MOST_FILES]:
            if not _says_source(path):
                continue
            name = stem if stem not in found else f"{path.parent.name}/{stem}"
            found.setdefault(name if name not in found else str(path), {"cfg": str(path)})
        for name in DATASETS:
            found.setdefault(name if name not in found else f"registered/{name}", {"dataset": name})
        return found


def _says_source(path: Path) -> bool:
    """Whether a YAML file describes a data set; recipes and others do not name a source."""
    try:
        with path.open("rb") as file:
            head = file.read(1 << 16)
    except OSError:
        return False
    return any(line.startswith(b"source:") for line in head.splitlines())


def _level(origin: Origin, level: str) -> dict[str, Any]:
    if not level:
        return {}
    if level not in origin.levels:
        raise ConfigError(f'no level "{level[:40]}".{nearest(level[:40], origin.levels)}')
    return dict(origin.levels[level])


def _options(origin: Origin, text: str) -> dict[str, Any]:
    """Options of a world from `key=value` words; numbers are bounded."""
    if len(text) > _LONGEST_OPTIONS:
        raise ConfigError(f"options: at most {_LONGEST_OPTIONS} characters, got {len(text)}")
    options = dict(key_value(word) for word in text.split())
    for key, value in options.items():
        if any(not abs(number) <= LARGEST_OPTION for number in _numbers(value)):
            raise ConfigError(f"options: a number of {key} is above {LARGEST_OPTION}")
    return options


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _numbers(inner)


def _refuse_hub(path: Path) -> None:
    spec = load_spec(path)
    if spec.hub_id is not None:
        raise ConfigError(
            f"{path}: its rows lie on the hub ({spec.hub_id}), and nothing is downloaded here; "
            f"`hf download --repo-type dataset {spec.hub_id}` and let source be the folder."
            f"{spec.how_to_get()}"
        )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:500]
