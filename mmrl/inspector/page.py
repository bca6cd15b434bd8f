"""What every view of the page works with: the runs, their indexes, and the folders named for them.

    with Page.open(["runs/quickstart"]) as page:
        build_app(page)

Everything that a browser may name (a run, a model) is a key of one of these, never a path.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from mmrl.closing import Closing
from mmrl.errors import ConfigError
from mmrl.inspector.index import RolloutIndex
from mmrl.inspector.pictures import Pictures
from mmrl.inspector.runs import RunFiles, discover
from mmrl.media.workers import DecodePool

_CLIP_LIMIT_S = 20.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Page(Closing):
    """The state of one server, shared by all who look at it; safe to share between threads."""

    runs: Mapping[str, RunFiles]
    """Run name -> its files, in the order named."""
    indexes: Mapping[str, RolloutIndex]
    """Run name -> the index of its rollouts."""
    data_roots: tuple[Path, ...] = ()
    """Further folders that media and data set files may be shown from, resolved."""
    models: Mapping[str, Path] = field(default_factory=dict)
    """Name -> model folder named on the command line; the models of runs are found in `runs`."""
    scratch: Path
    """A folder of this server for exports and uploads; `close` removes it."""
    pool: DecodePool
    """Decodes clips in processes that can be killed."""
    pictures: Pictures
    """Loads the media of runs."""
    _ends: ExitStack = field(default_factory=ExitStack, init=False)

    @classmethod
    def open(
        cls,
        paths: Sequence[str | Path],
        *,
        data_roots: Sequence[str | Path] = (),
        models: Sequence[str | Path] = (),
    ) -> Page:
        """The page of these run folders (or folders with runs); ConfigError where there is none."""
        roots = tuple(_folder(root, "--data-root") for root in data_roots)
        named: dict[str, Path] = {}
        for given in models:
            folder = _folder(given, "--model")
            name = folder.name if folder.name not in named else str(folder)
            named[name] = folder
        pool = DecodePool(1, _CLIP_LIMIT_S)
        runs = {run.name: run for run in discover(paths, data_roots=roots)}
        return cls(
            runs=runs,
            indexes={name: RolloutIndex(run) for name, run in runs.items()},
            data_roots=roots,
            models=named,
            scratch=Path(tempfile.mkdtemp(prefix="mmrl-inspect-")),
            pool=pool,
            pictures=Pictures(pool),
        )

    def at_close(self, end: Callable[[], object]) -> None:
        """Calls `end` when the page closes, before anything else of it ends."""
        self._ends.callback(end)

    def close(self) -> None:
        """Ends what views hold and decoding, closes the indexes, removes the scratch folder."""
        self._ends.close()
        self.pool.close()
        for index in self.indexes.values():
            index.close()
        shutil.rmtree(self.scratch, ignore_errors=True)


def _folder(given: str | Path, option: str) -> Path:
    """The resolved folder; ConfigError where there is none."""
    path = Path(given).expanduser()
    if not path.is_dir():
        raise ConfigError(f"{option} {path}: no such folder")
    return path.resolve()
