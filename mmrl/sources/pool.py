"""The default source: a shuffled pool, or a world that never ends. Its state is two counters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mmrl.errors import DataError
from mmrl.types import Demonstration, Sample, ScoredGroup

Row = Sample | Demonstration


class Dataset(Protocol):
    """Rows by number: anything with a length and random access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Row: ...


class Pool:
    """Draws every row of a data set once an epoch, in an order of (seed, epoch) alone.

    `state_dict` holds the epoch and the position in it, so a resumed run goes on with the very next
    row in every epoch. `shuffle=False` keeps the data set's order.
    """

    def __init__(self, dataset: Dataset, *, seed: int = 0, shuffle: bool = True) -> None:
        if len(dataset) == 0:
            raise DataError("the data set has no rows: there is nothing to draw from")
        self.dataset, self.seed, self.shuffle = dataset, seed, shuffle
        self.epoch = 0
        self.position = 0
        self._order: np.ndarray | None = None

    @property
    def progress(self) -> float:
        """Epochs drawn so far, with the share of the present one."""
        return self.epoch + self.position / len(self.dataset)

    def draw(self, n: int, /) -> Sequence[Row]:
        """The next `n` rows, over the end of an epoch where needed."""
        return [self.dataset[self._next()] for _ in range(n)]

    def peek(self, n: int, /) -> Sequence[Row]:
        """The rows that `draw(n)` will give, so that their media can be read ahead."""
        here = self.epoch, self.position, self._order
        rows = self.draw(n)
        self.epoch, self.position, self._order = here
        return rows

    def observe(self, groups: Sequence[ScoredGroup], /) -> None:
        """A pool learns nothing from what was scored."""

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "position": self.position,
            "seed": self.seed,
            "size": len(self.dataset),
            "shuffle": self.shuffle,
        }

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Goes on from `state`; a pool of another size, seed or order is a DataError."""
        mine = self.state_dict()
        for key, what in (("size", "rows"), ("seed", "seed"), ("shuffle", "shuffle")):
            if state[key] != mine[key]:
                raise DataError(
                    f"the pool was saved with {what} {state[key]} and now has {mine[key]}: its "
                    f"order would be another; restore the data set, or start a new run"
                )
        self.epoch, self.position = int(state["epoch"]), int(state["position"])
        self._order = None

    def _next(self) -> int:
        if self.position == len(self.dataset):
            self.epoch, self.position, self._order = self.epoch + 1, 0, None
        index = self.position
        self.position += 1
        if not self.shuffle:
            return index
        if self._order is None:
            rng = np.random.default_rng([self.seed, self.epoch])
            self._order = rng.permutation(len(self.dataset))
        return int(self._order[index])


class Endless:
    """Draws samples 0, 1, 2, … of a world: no sample comes twice."""

    def __init__(self, world: Callable[[int], Sample], *, start: int = 0) -> None:
        self.world = world
        self.position = start
        self._ahead: dict[int, Sample] = {}

    @property
    def progress(self) -> float:
        """A world has no epochs."""
        return 0.0

    def draw(self, n: int, /) -> Sequence[Sample]:
        """The next `n` samples."""
        drawn = self.peek(n)
        self.position += n
        self._ahead = {i: s for i, s in self._ahead.items() if i >= self.position}
        return drawn

    def peek(self, n: int, /) -> Sequence[Sample]:
        """The samples that `draw(n)` will give, so that their media can be read ahead."""
        for index in range(self.position, self.position + n):
            if index not in self._ahead:
                self._ahead[index] = self.world(index)
        return [self._ahead[index] for index in range(self.position, self.position + n)]

    def observe(self, groups: Sequence[ScoredGroup], /) -> None:
        """A world learns nothing from what was scored."""

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        self.position = int(state["position"])
        self._ahead = {}
