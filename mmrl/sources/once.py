"""Every sample of a mixture at most once: what a collect stage draws from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.data.mixture import Mixture
from mmrl.errors import DataError
from mmrl.types import Sample, ScoredGroup

Place = tuple[int, int]
"""Part of the mixture, and index inside of it."""


class Once:
    """Draws in the mixture's order and passes over what was drawn before.

    When all parts have an end and all of them were drawn, `is_used_up` says so and `draw` gives
    less than it was asked for. `places` are those of the newest draw. The state is one counter.
    """

    def __init__(self, mixture: Mixture) -> None:
        self.mixture = mixture
        self.position = 0
        self.places: tuple[Place, ...] = ()
        self._seen: set[Place] = set()

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left; never of a world without a limit."""
        return len(self._seen) == self.mixture.num_samples

    @property
    def progress(self) -> float:
        """Share of the samples that was drawn; 0 of endless ones."""
        return len(self._seen) / self.mixture.num_samples if self.mixture.num_samples else 0.0

    def draw(self, n: int, /) -> Sequence[Sample]:
        """The next `n` samples that were not drawn yet, or as many as are left."""
        found, self.position = self._next(n)
        self.places = tuple(place for _, place in found)
        self._seen.update(self.places)
        return [self.mixture[index] for index, _ in found]

    def peek(self, n: int, /) -> Sequence[Sample]:
        """The samples that `draw(n)` will give, so that their media can be read ahead."""
        return [self.mixture[index] for index, _ in self._next(n)[0]]

    def _next(self, n: int) -> tuple[list[tuple[int, Place]], int]:
        found: dict[Place, int] = {}
        position, total = self.position, self.mixture.num_samples
        while len(found) < n and len(self._seen) + len(found) != total:
            place = self.mixture.locate(position)
            if place not in self._seen:
                found.setdefault(place, position)
            position += 1
        return [(index, place) for place, index in found.items()], position

    def observe(self, groups: Sequence[ScoredGroup], /) -> None:
        """Nothing that was scored changes what comes next."""

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "size": self.mixture.num_samples}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        """Goes on from `state`; data of another size are a DataError."""
        if state["size"] != self.mixture.num_samples:
            raise DataError(
                f"the data had {state['size']} samples when this stage began and have "
                f"{self.mixture.num_samples} now; restore them, or start a new run"
            )
        self.position, self.places = int(state["position"]), ()
        self._seen = {self.mixture.locate(i) for i in range(self.position)}
