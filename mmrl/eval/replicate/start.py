"""The model that all arms of a paper start from, trained once; and the lock that keeps it so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmrl.config.load import LoadedRun, dump_run
from mmrl.eval.replicate.arms import run_of, start_recipe
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.keys import start_key
from mmrl.train.folder import RunFolder
from mmrl.train.run import train


def train_start(paper: Paper, runs: Path) -> tuple[Path | None, float]:
    """The model that all arms start from and what it took; trained once for its content."""
    loaded, key = start_recipe(paper), start_key(paper)
    if loaded is None:
        return None, 0.0
    folder = runs / paper.name / f"start-{key}"
    with locked(folder.with_name(f"{folder.name}.lock")):
        run = run_of(
            loaded,
            paper=paper.name,
            arm="start",
            seed=loaded.run.seed,
            folder=folder,
            start=None,
        )
        made = RunFolder(folder)
        if made.summary is not None and (folder / "model").is_dir():
            return folder / "model", float(made.summary["seconds_total"])
        renew_config(folder, run)
        result = train(run)
        if result.interrupted:
            raise KeyboardInterrupt
    return folder / "model", float(result.summary["seconds_total"])


def renew_config(folder: Path, loaded: LoadedRun) -> None:
    """Lets a run that was begun go on under this recipe, whose key is that of the folder.

    What still differs (its own evaluation, its logs) leaves the weights as they are.
    """
    made = RunFolder(folder)
    if (folder / "config.yaml").exists():
        made.write("config.yaml", dump_run(loaded.run))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file, so that two processes never make one run; waits for the other."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
