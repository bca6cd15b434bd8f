"""Mixtures as functions of the index, registered data sets, recipe entries."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest

from mmrl.data.mixture import Mixture, open_mixture
from mmrl.data.registry import DATASETS, open_data, register_dataset
from mmrl.errors import ConfigError, DataError
from mmrl.tasks.base import TASKS, Task
from mmrl.types import Sample


def sample(name):
    return Sample(id=name, task="rows_test", question="q", target="a")


class Numbers:
    """`size` samples (None: endless) that say whose they are and which."""

    def __init__(self, name, size):
        self.name, self.size = name, size

    def __getitem__(self, index, /):
        if self.size is not None and not 0 <= index < self.size:
            raise IndexError(index)
        return sample(f"{self.name}{index}")

    def where(self, index, /):
        return f"{self.name}:{index}"


def ids(mixture, num):
    return [mixture[i].id for i in range(num)]


def test_shares_are_exact_in_the_long_run_and_close_always():
    parts = [(Numbers("a", None), 0.5), (Numbers("b", None), 0.3), (Numbers("c", None), 0.2)]
    mixture = Mixture(parts, seed=3)
    counts = Counter()
    for n, name in enumerate(ids(mixture, 10_000), 1):
        counts[name[0]] += 1
        for part, share in (("a", 0.5), ("b", 0.3), ("c", 0.2)):
            assert abs(counts[part] - n * share) < 3
    assert abs(counts["a"] - 5000) <= 1 and abs(counts["c"] - 2000) <= 2


def test_endless_part_is_counted_through_without_gaps():
    parts = [(Numbers("a", None), 1.0), (Numbers("b", None), 2.7)]
    drawn = ids(Mixture(parts, seed=0), 1000)
    for part in "ab":
        own = [int(name[1:]) for name in drawn if name[0] == part]
        assert own == list(range(len(own)))


def test_every_epoch_of_a_finite_part_holds_each_sample_once_in_another_order():
    mixture = Mixture([(Numbers("a", 7), 1.0), (Numbers("b", None), 1.0)], seed=1)
    own = [name for name in ids(mixture, 100) if name[0] == "a"]
    epochs = [own[i : i + 7] for i in range(0, 42, 7)]
    assert all(sorted(epoch) == [f"a{i}" for i in range(7)] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_any_index_can_be_asked_first():
    def fresh():
        return Mixture([(Numbers("a", 5), 2.0), (Numbers("b", 3), 1.0)], seed=9)

    in_order = ids(fresh(), 60)
    assert [fresh()[i].id for i in reversed(range(60))] == in_order[::-1]
    assert ids(fresh(), 60) == in_order
    other = Mixture([(Numbers("a", 5), 2.0), (Numbers("b", 3), 1.0)], seed=10)
    assert ids(other, 60) != in_order


def test_weight_zero_is_never_drawn_and_one_part_alone_is_in_order():
    mixture = Mixture([(Numbers("a", None), 0.0), (Numbers("b", None), 0.1)], seed=0)
    assert ids(mixture, 5) == ["b0", "b1", "b2", "b3", "b4"]
    plain = Mixture([(Numbers("a", 3), 1.0)], seed=0, shuffle=False)
    assert ids(plain, 7) == ["a0", "a1", "a2", "a0", "a1", "a2", "a0"]
    assert plain.where(4) == "a:1"


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.0, -0.5)])
def test_weights_that_make_no_sense_are_refused(weights):
    parts = [(Numbers("a", 3), weights[0]), (Numbers("b", 3), weights[1])]
    with pytest.raises(ConfigError, match="weights >= 0 and one above 0; given are a: "):
        Mixture(parts, seed=0)


# ---- entries of a recipe


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(DATASETS, "_parts", {})
    monkeypatch.setattr(DATASETS, "_loaded", True)

    @register_dataset("maps")
    def maps(split):
        if split != "empty":
            yield from (sample(f"{split}{i}") for i in range(4))

    @register_dataset("wrong")
    def wrong(split):
        return [{"id": 1}]

    return maps


def test_registered_data_set_by_name(registered):
    view = open_data({"dataset": "maps"}, "test")
    assert view.size == 4 and view[3].id == "test3" and view.where(3) == "maps[test] sample 3"
    assert open_data({"dataset": "maps", "split": "dev", "limit": 2})[1].id == "dev1"
    assert registered("a")  # the decorator gives the function back
    with pytest.raises(ConfigError, match=r'no data set "mops"\. Did you mean "maps"'):
        open_data({"dataset": "mops"})
    with pytest.raises(DataError, match='"maps" has no samples for split "empty"'):
        open_data({"dataset": "maps"}, "empty")
    with pytest.raises(DataError, match=r"sample 0 is dict, expected mmrl\.Sample"):
        open_data({"dataset": "wrong"})[0]


def test_endless_registered_data_set_is_refused(registered, monkeypatch):
    monkeypatch.setattr("mmrl.data.registry.MAX_REGISTERED_ROWS", 10)

    @register_dataset("endless")
    def endless(split):
        return (sample(str(i)) for i in itertools.count())

    with pytest.raises(DataError, match="yields more than 10 samples; return a Sequence"):
        open_data({"dataset": "endless"})


def test_file_entry_and_limit(tmp_path):
    rows = [{"id": i, "question": "q", "answer": "a"} for i in range(5)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    values = {"name": "d", "task": "rows_test", "licence": "MIT", "source": "rows.jsonl"}
    (tmp_path / "d.yaml").write_text(json.dumps(values))
    view = open_data({"cfg": "d.yaml", "limit": 3}, base=tmp_path)
    assert view.size == 3 and view[2].id == "2"
    with pytest.raises(IndexError):
        view[3]
    mixture = open_mixture(
        [{"cfg": "d.yaml", "limit": 3}, {"cfg": "missing.yaml", "weight": 0}], base=tmp_path
    )
    assert sorted(ids(mixture, 3)) == ["0", "1", "2"]


def test_world_entry_takes_its_options(plain_task, monkeypatch):
    def world(index, /, *, split, seed, size=1, colour="red"):
        return sample(f"{split}-{seed}-{index}-{size}-{colour}")

    task = Task(
        name="drawn",
        template="{question}",
        rewards=(),
        score=plain_task.score,
        gold=plain_task.gold,
        world=world,
        world_options={"colour": "blue"},
    )
    monkeypatch.setitem(TASKS._parts, "drawn", task)
    view = open_data({"task": "drawn", "options": {"size": 2}}, "test", seed=5)
    assert view.size is None and view[10**9].id == "test-5-1000000000-2-blue"
    assert open_data({"task": "drawn", "size": 3}, "test")[0].id == "test-0-0-3-blue"
    with pytest.raises(ConfigError, match=r'unknown option "siz"\. Did you mean "size"'):
        open_data({"task": "drawn", "siz": 2})
    with pytest.raises(ConfigError, match='"rows_test" draws no samples of its own'):
        open_data({"task": "rows_test"})


@pytest.mark.parametrize("entry", [{}, {"task": "a", "cfg": "b"}, {"weight": 1.0}])
def test_entry_names_exactly_one_origin(entry):
    with pytest.raises(ConfigError, match="give exactly one of task, cfg, dataset"):
        open_data(entry)


def test_unknown_key_of_a_file_entry(tmp_path):
    with pytest.raises(ConfigError, match=r'unknown key "splt"\. Did you mean "split"'):
        open_data({"cfg": "a.yaml", "splt": "test"})
