"""Every sample once, whatever the mixture repeats."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mmrl.data.mixture import Mixture
from mmrl.errors import DataError
from mmrl.sources.once import Once


class Numbers:
    """Samples "a0", "a1", …"""

    def __init__(self, name: str, size: int | None) -> None:
        self.name, self.size = name, size

    def __getitem__(self, index: int):
        return SimpleNamespace(id=f"{self.name}{index}")

    def where(self, index: int) -> str:
        return f"{self.name} {index}"


def mixed(*parts, seed: int = 3) -> Once:
    return Once(Mixture([(Numbers(name, size), weight) for name, size, weight in parts], seed))


def ids(samples) -> list[str]:
    return [s.id for s in samples]


def test_rows_come_once_and_then_no_more():
    once = mixed(("a", 3, 5), ("b", 4, 1))  # the mixture draws a five times as often as b
    drawn = [once.draw(2), once.draw(2), once.draw(2), once.draw(2)]
    assert [len(d) for d in drawn] == [2, 2, 2, 1] and once.is_used_up and once.progress == 1.0
    assert sorted(i for d in drawn for i in ids(d)) == ["a0", "a1", "a2", "b0", "b1", "b2", "b3"]
    assert once.draw(2) == [] and once.peek(1) == []


def test_a_world_goes_on_where_rows_are_used_up():
    once = mixed(("a", 2, 1), ("w", None, 1))
    drawn = ids(once.draw(12))
    assert len(set(drawn)) == 12 and {"a0", "a1"} < set(drawn)
    assert not once.is_used_up and once.progress == 0.0
    assert len(once.places) == 12 and once.places[drawn.index("a1")] == (0, 1)


def test_peek_foretells_and_a_state_goes_on_with_the_very_next():
    whole, once = mixed(("a", 9, 1), ("b", 9, 2)), mixed(("a", 9, 1), ("b", 9, 2))
    order = ids(whole.draw(18))
    once.draw(7)
    assert ids(once.peek(4)) == order[7:11] == ids(once.peek(4))
    again = mixed(("a", 9, 1), ("b", 9, 2))
    again.load_state_dict(once.state_dict())
    assert ids(again.draw(11)) == order[7:] and again.is_used_up


def test_data_of_another_size_are_refused():
    with pytest.raises(DataError, match="had 3 samples when this stage began and have 4 now"):
        mixed(("a", 4, 1)).load_state_dict(mixed(("a", 3, 1)).state_dict())
