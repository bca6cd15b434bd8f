"""The data of a stage, opened: rows, worlds, and what earlier stages collected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmrl.config.load import LoadedRun
from mmrl.config.schema import CollectConfig, DataEntry
from mmrl.data.blank import Blank
from mmrl.data.collected import Collected, Origin, collected_records
from mmrl.data.mixture import Mixture
from mmrl.data.registry import FirstOf, open_data
from mmrl.data.view import SampleView
from mmrl.roles import Source
from mmrl.seeds import seed_of
from mmrl.sources.once import Once, Place
from mmrl.sources.pool import Endless, Pool
from mmrl.sources.weighted import Weighted
from mmrl.train.folder import RunFolder
from mmrl.train.recipe import stage_data, stages_of
from mmrl.train.staged import FAILED, KEPT, collecting, split_reference
from mmrl.types import Sample

SPLIT = "train"


class StageData:
    """The data entries of a stage. They are seeded by the run and by the stage's place in it.

    Without a run folder, in which stages leave what they collected, an entry `stage: NAME.kept`
    is what that stage draws from: for checks that train nothing.
    """

    def __init__(self, loaded: LoadedRun, index: int, folder: RunFolder | None) -> None:
        self.loaded, self.index, self.folder = loaded, index, folder
        self.config = stages_of(loaded.run)[index]
        self.entries = stage_data(loaded.run, self.config)
        seed = loaded.run.seed
        # the first draws as a run without stages does; seed + 1000 would be another run's first
        self.seed = seed if index == 0 else seed_of(seed, "stage", index) % 2**31
        self.key = f"stages.{index}.data" if self.config.data else "data"
        self._views: dict[int, SampleView] = {}
        self._collections: dict[int, Collected] = {}

    def view(self, place: int) -> SampleView:
        """The samples of entry number `place`."""
        if place not in self._views:
            self._views[place] = self._open(place)
        return self._views[place]

    def first_task(self) -> str:
        """The task of the first sample; all tasks of a mixture share the method's parts."""
        return self.entries[0].task or self.view(0)[0].task

    def source(self) -> Source:
        """What the stage draws from."""
        if self.config.kind == "collect":
            return Once(self._mixture())
        if (self.config.draw or self.loaded.run.train.draw) == "shuffle":
            if len(self.entries) > 1:
                return Endless(self._mixture().__getitem__)
            view = self.view(0)
            if view.size is None:
                return Endless(view.__getitem__)
            return Pool(Rows(view), seed=self.seed)
        if len(self.entries) > 1 or self.view(0).size is None:
            raise self.loaded.located(
                self.key,
                "draw: weighted keeps a weight a row: it needs one data entry with an end "
                "(give a world a `limit`)",
            )
        return Weighted(Rows(self.view(0)), seed=self.seed)

    def origin(self, place: Place) -> Origin:
        """Where a sample of the mixture came from, so that it can be made again."""
        part, index = place
        number = self._drawn()[part]
        entry = self.entries[number]
        if entry.stage is not None:
            self.view(number)
            earlier = self._collections[number].origin(index)
            blank = {"blank": True} if entry.blank else {}
            return Origin(
                entry={**earlier.entry, **blank},
                split=earlier.split,
                seed=earlier.seed,
                index=earlier.index,
            )
        given = {k: v for k, v in entry.given().items() if k != "weight" and v not in ({}, False)}
        return Origin(entry=given, split=entry.split or SPLIT, seed=self.seed, index=index)

    def _drawn(self) -> list[int]:
        """Numbers of the entries that are parts of the mixture."""
        return [i for i, entry in enumerate(self.entries) if entry.weight > 0]

    def _mixture(self) -> Mixture:
        numbers = self._drawn()
        return Mixture([(self.view(i), self.entries[i].weight) for i in numbers], self.seed)

    def _open(self, place: int) -> SampleView:
        entry = self.entries[place]
        if entry.stage is None:
            return open_data(entry.given(), SPLIT, self.seed)
        view: SampleView
        if self.folder is None:
            names = [s.name for s in self.loaded.run.stages]
            where = names.index(collecting(self.loaded.run, entry).name)
            view = StageData(self.loaded, where, None).view(0)
        else:
            view = self._collections[place] = self._collected(place, entry, self.folder)
        if entry.blank:
            view = Blank(view)
        return view if entry.limit is None else FirstOf(view, entry.limit)

    def _collected(self, place: int, entry: DataEntry, folder: RunFolder) -> Collected:
        """The file that an entry names; a ConfigError that counts where it holds nothing."""
        reference = str(entry.stage)
        name, half = split_reference(reference)
        rule = collecting(self.loaded.run, entry).collect or CollectConfig()
        demonstrated = self.config.kind == "sft" and rule.form == "demonstrations" and half == KEPT
        path = folder.collected(name, half)
        view = Collected(path, reference, demonstrations=demonstrated)
        if view.size == 0:
            kept = collected_records(folder.collected(name, KEPT))
            failed = collected_records(folder.collected(name, FAILED))
            message = _empty(reference, rule, kept, failed)
            raise self.loaded.located(f"{self.key}.{place}.stage", message)
        return view


def _empty(
    reference: str,
    rule: CollectConfig,
    kept: list[dict[str, Any]],
    failed: list[dict[str, Any]],
) -> str:
    """Why there is nothing to draw, in numbers, and what to change."""
    name, half = split_reference(reference)
    if half == FAILED:
        return f'"{reference}" is empty: all {len(kept)} samples were kept; nothing has failed'
    if kept:
        return (
            f'"{reference}" is empty: {len(kept)} samples were kept, but no right completion of '
            f"theirs came to its end; raise rollout.max_new_tokens or collect.samples of {name}"
        )
    rates = [r["pass_rate"] for r in failed]
    low, high = rule.keep.low, rule.keep.high
    counts = {
        "could not be scored": sum(r is None for r in rates),
        f"had a pass rate of at most {low}": sum(
            r is not None and low is not None and r <= low for r in rates
        ),
        f"had one of at least {high}": sum(
            r is not None and high is not None and r >= high for r in rates
        ),
    }
    counts["had too little spread"] = len(failed) - sum(counts.values())
    told = ", ".join(f"{n} {what}" for what, n in counts.items() if n)
    return (
        f'"{reference}" is empty: of {len(failed)} samples none was kept ({told or "none drawn"}). '
        f"Widen collect.keep of {name}, raise its samples, temperature or steps, or give it other "
        "data"
    )


@dataclass(frozen=True)
class Rows:
    """A view with an end, as a sized data set."""

    view: SampleView

    def __len__(self) -> int:
        return self.view.size or 0

    def __getitem__(self, index: int, /) -> Sample:
        return self.view[index]
