"""One run folder as the inspector reads it, also while a training writes to it.

    run = RunFiles(Path("runs/quickstart"))
    run.metrics()                       # the step records so far; calling again reads what is new
    run.media_path("media/27522227.png")
    discover(["runs"])                  # every run below a folder

Nothing in a run folder is believed: it may come from elsewhere. Paths that records name are
confined (`mmrl.media.confine`), YAML and JSON are read as plain data, links are not followed.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmrl.data.spec import load_spec
from mmrl.errors import ConfigError, DataError, MmrlError, nearest
from mmrl.eval.lines import Log
from mmrl.eval.run_facts import config_of
from mmrl.media.confine import confined_media, is_plain_file, open_plain
from mmrl.parse.visible import visible_line

MAX_DEPTH = 3
"""Folders below the one named, in which runs are looked for: runs/experiment/seed0."""
MAX_FOLDERS = 10_000
_POLICY = re.compile(rb"^policy:", re.MULTILINE)


class RunFiles:
    """Reads one run folder; safe to share between threads.

    `data_roots` are further folders that media may be shown from, beside those that the run's data
    set files name. `name` is what the run is called among others (default: its folder).
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        data_roots: Sequence[str | Path] = (),
        name: str | None = None,
    ) -> None:
        given = Path(folder).expanduser()
        if not is_run(given):
            raise _no_run(given)
        self.folder = given.resolve()
        self.name = name or self.folder.name
        self._given_roots = tuple(Path(root).expanduser().resolve() for root in data_roots)
        self._log = Log(self.folder / "metrics.jsonl")
        self._lock = threading.Lock()
        self._records: list[dict[str, Any]] = []

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved recipe as plain data, as it was when it was first asked for."""
        data = config_of(self.folder)
        if not data:
            raise ConfigError(f"{self.folder / 'config.yaml'}: wanted the settings of a run")
        return data

    @property
    def rollouts(self) -> Path:
        """The folder of rollout files; it is there once the first step is written."""
        return self.folder / "rollouts"

    def records(self) -> list[dict[str, Any]]:
        """All records of metrics.jsonl so far, steps and evaluations in the order written.

        The list is the caller's own; the records in it are shared.
        """
        with self._lock:
            new, was_rewritten = self._log.poll()
            self._records = new if was_rewritten else self._records + new
            return list(self._records)

    def metrics(self) -> list[dict[str, Any]]:
        """The records of steps so far."""
        return [r for r in self.records() if r.get("kind") == "step"]

    def evals(self) -> list[dict[str, Any]]:
        """The records of evaluations so far."""
        return [r for r in self.records() if r.get("kind") == "eval"]

    @cached_property
    def data_roots(self) -> tuple[Path, ...]:
        """Folders that absolute media paths of this run may lie in, resolved.

        Those given, and `media_root` of every data set file that the recipe names. A data set file
        that lies in the run folder itself, and a root that holds the whole system, are not
        believed; a file that is not found here adds nothing.
        """
        roots = list(self._given_roots)
        for name in sorted(set(_data_files(self.config))):
            path = Path(name)
            if not path.is_file() or path.resolve().is_relative_to(self.folder):
                continue
            try:
                spec = load_spec(path)
            except MmrlError:  # not this machine's, or of another version: its media are not shown
                continue
            if spec.hub_id is not None and spec.media_root is None:
                continue
            root = spec.media_folder().resolve()
            if root != Path(root.anchor) and root != Path.home():
                roots.append(root)
        return tuple(dict.fromkeys(roots))

    def media_path(self, file: str) -> Path:
        """The media file that a record names, checked; a MediaError for anything else.

        The file is a picture or clip and lies, all links followed, in `rollouts/media` or in one of
        `data_roots`.
        """
        return confined_media(file, self.rollouts, self.data_roots)

    def tokens(self, step: int, line: int, rank: int = 0) -> list[dict[str, Any]]:
        """Rows of the token table of the rollout in this line of a step's file, by position.

        Empty where no table was written. Only the rows asked for are built.
        """
        stem = f"step-{int(step):06d}" + (f".rank{int(rank)}" if rank else "")
        path = self.rollouts / f"{stem}.tokens.parquet"
        if self.rollouts.is_symlink() or not is_plain_file(path):
            return []
        try:
            table = pq.read_table(path, filters=[("line", "==", int(line))])
        except (pa.ArrowException, OSError, KeyError) as error:
            raise DataError(f"{path}: wanted a token table; {error}") from None
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows


def is_run(folder: Path) -> bool:
    """Whether a folder holds the settings of a run."""
    path = folder / "config.yaml"
    try:
        if not is_plain_file(path):
            return False
        with open_plain(path) as file:
            return _POLICY.search(file.read(1 << 16)) is not None
    except (OSError, ValueError):
        return False


def discover(
    paths: Iterable[str | Path], *, data_roots: Sequence[str | Path] = ()
) -> list[RunFiles]:
    """The runs that `paths` name: run folders, or folders with runs up to three levels below.

    Each once, in the order named and then by path. Runs with equal folder names are told apart by
    the folders above them. A path without a run is refused.
    """
    folders: dict[Path, None] = {}
    for path in paths:
        given = Path(path).expanduser()
        found = [given] if is_run(given) else _below(given)
        if not found:
            raise _no_run(given)
        folders.update(dict.fromkeys(f.resolve() for f in found))
    names = _names(list(folders))
    return [RunFiles(f, data_roots=data_roots, name=names[f]) for f in folders]


def _data_files(config: Any) -> list[str]:
    """Every `cfg:` of the data entries of a recipe: training, stages and evaluation."""
    found: list[str] = []
    stages = config.get("stages")
    evaluation = config.get("eval")
    for section in (config, evaluation, *(stages if isinstance(stages, list) else ())):
        entries = section.get("data") if isinstance(section, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("cfg"), str) and entry["cfg"]:
                found.append(entry["cfg"])
    return found


def _below(folder: Path) -> list[Path]:
    """Run folders below a folder, by path; links are not followed, runs not looked into."""
    found: list[Path] = []
    left = [(folder, 0)]
    for _ in range(MAX_FOLDERS):
        if not left:
            break
        current, depth = left.pop()
        try:
            inner = [Path(e.path) for e in os.scandir(current) if e.is_dir(follow_symlinks=False)]
        except (OSError, ValueError):
            continue
        for path in inner:
            if is_run(path):
                found.append(path)
            elif depth + 1 < MAX_DEPTH and not path.name.startswith("."):
                left.append((path, depth + 1))
    return sorted(found)


def _names(folders: Sequence[Path]) -> dict[Path, str]:
    """The shortest end of each path, one length for all of a name, that no other run has."""
    depth = dict.fromkeys(folders, 1)
    while True:
        names = {f: "/".join(f.parts[-depth[f] :]) for f in folders}
        count = Counter(names.values())
        same = [f for f in folders if count[names[f]] > 1 and depth[f] < len(f.parts)]
        if not same:
            return names
        for f in same:
            depth[f] += 1


def _no_run(path: Path) -> ConfigError:
    """What is there instead of a run, and the nearest run beside it."""
    if not path.exists():
        what = "no such folder"
    elif not path.is_dir():
        what = "wanted a run folder, found a file"
    else:
        what = "no run folder (no config.yaml with a policy), and none below"
    beside = [p.name for p in _below(path.parent) if p.parent == path.parent]
    return ConfigError(
        f"{visible_line(str(path))[:500]}: {what}.{nearest(path.name, beside)} Name a folder that "
        "`mmrl train` wrote (its `run_dir`, runs/NAME), or a folder of such"
    )
