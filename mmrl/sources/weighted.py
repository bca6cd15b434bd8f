"""A source that draws more of what is neither solved nor out of reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmrl.errors import ConfigError, DataError
from mmrl.sources.pool import Dataset, Row
from mmrl.types import ScoredGroup


class Weighted:
    """Draws rows with replacement, row i by the weight of its observed pass rate p_i.

    The weight is `floor + (1 - floor) · 4 p (1 - p)`: 1 at p = 1/2, `floor` at 0 and 1; a row never
    seen weighs 1. p is the mean of what was observed, with at least `rate` given to the newest
    group, so that it follows a policy that learns. Draw number k depends on (seed, k) and on the
    weights alone, whatever the sizes of the calls.
    """

    def __init__(
        self, dataset: Dataset, *, seed: int = 0, floor: float = 0.1, rate: float = 0.3
    ) -> None:
        if len(dataset) == 0:
            raise DataError("the data set has no rows: there is nothing to draw from")
        if not 0.0 < floor <= 1.0 or not 0.0 < rate <= 1.0:
            raise ConfigError(f"floor {floor} and rate {rate} should lie in (0, 1]")
        self.dataset, self.seed, self.floor, self.rate = dataset, seed, floor, rate
        self.num_drawn = 0
        self._pass_rate = np.zeros(len(dataset))
        self._num_seen = np.zeros(len(dataset), dtype=np.int64)
        self._index_of: dict[str, int] = {}
        self._cumulative: np.ndarray | None = None

    @property
    def progress(self) -> float:
        """Rows drawn over rows there are."""
        return self.num_drawn / len(self.dataset)

    def weights(self) -> np.ndarray:
        """Present weight of every row, [len(dataset)]."""
        p = self._pass_rate
        known = self.floor + (1.0 - self.floor) * 4.0 * p * (1.0 - p)
        return np.where(self._num_seen > 0, known, 1.0)

    def draw(self, n: int, /) -> Sequence[Row]:
        """`n` rows, with replacement."""
        if self._cumulative is None:
            self._cumulative = np.cumsum(self.weights())
        rows = []
        for _ in range(n):
            share = np.random.default_rng([self.seed, self.num_drawn]).random()
            place = np.searchsorted(self._cumulative, share * self._cumulative[-1], side="right")
            index = min(int(place), len(self.dataset) - 1)
            row = self.dataset[index]
            self._index_of[row.id] = index
            self.num_drawn += 1
            rows.append(row)
        return rows

    def observe(self, groups: Sequence[ScoredGroup], /) -> None:
        """Moves the pass rates of rows that were drawn here by their groups' outcomes."""
        for scored in groups:
            index = self._index_of.get(scored.group.sample.id)
            known = [o for o, ok in zip(scored.outcome, scored.scorable, strict=True) if ok]
            if index is None or not known:
                continue
            self._num_seen[index] += 1
            rate = max(self.rate, 1.0 / self._num_seen[index])
            self._pass_rate[index] += rate * (sum(known) / len(known) - self._pass_rate[index])
            self._cumulative = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "num_drawn": self.num_drawn,
            "seed": self.seed,
            "size": len(self.dataset),
            "rows": {
                name: [index, int(self._num_seen[index]), float(self._pass_rate[index])]
                for name, index in self._index_of.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Goes on from `state`; a data set of another size or seed is a DataError."""
        for key, mine in (("size", len(self.dataset)), ("seed", self.seed)):
            if state[key] != mine:
                raise DataError(
                    f"the weighted source was saved with {key} {state[key]} and now has {mine}; "
                    f"restore the data set, or start a new run"
                )
        self.num_drawn = int(state["num_drawn"])
        self._num_seen[:] = 0
        self._pass_rate[:] = 0.0
        self._index_of = {}
        for name, (index, num_seen, pass_rate) in state["rows"].items():
            self._index_of[name] = index
            self._num_seen[index], self._pass_rate[index] = num_seen, pass_rate
        self._cumulative = None
