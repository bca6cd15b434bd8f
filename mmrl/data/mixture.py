"""Several sources of samples as one endless stream that is a function of the index alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mmrl.data.registry import open_data
from mmrl.data.view import SampleView
from mmrl.errors import ConfigError
from mmrl.types import Sample


class Mixture:
    """`mixture[i]` for i = 0, 1, 2, … : where a run stands in it is one number.

    Among the first n samples, part k has n * w_k to within the number of parts: shares are exact
    in the long run and even in the short. A part with an end is read epoch by epoch, each in its
    own seeded order; a part without one by counting. A part of weight 0 is never drawn.

    How: the stream is split in two again and again (this part, or one of the rest). Of the first n
    of a stream, floor(n * share + phase) go to the part, in exact arithmetic, which also numbers
    the samples within it.
    """

    size: int | None = None

    def __init__(
        self, parts: Sequence[tuple[SampleView, float]], seed: int, *, shuffle: bool = True
    ) -> None:
        self._parts = [(view, Fraction(weight)) for view, weight in parts if weight > 0]
        if not self._parts or any(weight < 0 for _, weight in parts):
            given = ", ".join(f"{view.name}: {weight}" for view, weight in parts) or "none"
            raise ConfigError(f"a mixture needs weights >= 0 and one above 0; given are {given}")
        self.name = "+".join(view.name for view, _ in self._parts)
        self._seed, self._shuffle = seed, shuffle
        left = sum(weight for _, weight in self._parts)
        self._shares: list[Fraction] = []
        for _, weight in self._parts:
            self._shares.append(weight / left)
            left -= weight
        phases = np.random.default_rng([seed, 0x6D69]).integers(0, 1 << 16, len(self._parts))
        self._phases = [Fraction(int(phase), 1 << 16) for phase in phases]
        self._order: dict[int, tuple[int, np.ndarray]] = {}

    @property
    def num_samples(self) -> int | None:
        """Different samples of all parts together; None where one has no end."""
        sizes = [view.size for view, _ in self._parts]
        return None if None in sizes else sum(size or 0 for size in sizes)

    def __getitem__(self, index: int, /) -> Sample:
        part, inside = self.locate(index)
        return self._parts[part][0][inside]

    def where(self, index: int, /) -> str:
        part, inside = self.locate(index)
        return self._parts[part][0].where(inside)

    def locate(self, index: int) -> tuple[int, int]:
        """(part, index inside of it) of the sample with this number."""
        if index < 0:
            raise IndexError(f"a mixture starts at 0, asked for {index}")
        part, count = self._split(index)
        size = self._parts[part][0].size
        if size is None:
            return part, count
        epoch, position = divmod(count, size)
        return part, self._in_epoch(part, epoch, position, size)

    def _split(self, index: int) -> tuple[int, int]:
        for part, (share, phase) in enumerate(zip(self._shares, self._phases, strict=True)):
            before = int(index * share + phase)
            if share == 1 or int((index + 1) * share + phase) > before:
                return part, before if share < 1 else index
            index -= before
        raise AssertionError("the last share is 1")

    def _in_epoch(self, part: int, epoch: int, position: int, size: int) -> int:
        if not self._shuffle:
            return position
        kept = self._order.get(part)
        if kept is None or kept[0] != epoch:
            rng = np.random.default_rng([self._seed, part, epoch])
            kept = self._order[part] = (epoch, rng.permutation(size))
        return int(kept[1][position])


def open_mixture(
    entries: Sequence[Mapping[str, Any]],
    split: str | None = None,
    seed: int = 0,
    *,
    base: Path | None = None,
) -> Mixture:
    """The data entries of a recipe as one stream, by their `weight` (1 when left out).

    A `limit` on a world makes it a finite set of that many samples.
    """
    parts = []
    for entry in entries:
        weight = entry.get("weight")
        weight = 1.0 if weight is None else float(weight)
        if weight > 0:
            parts.append((open_data(entry, split, seed, base=base), weight))
    return Mixture(parts, seed)
