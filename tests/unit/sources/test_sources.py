"""Sources: every row once an epoch, exact resume anywhere, weights that follow pass rates."""

import json
from collections import Counter

import numpy as np
import pytest
from builders import a_group

from mmrl.errors import ConfigError, DataError
from mmrl.roles import Source, Stateful
from mmrl.sources.pool import Endless, Pool
from mmrl.sources.weighted import Weighted
from mmrl.types import Sample


def row(index):
    return Sample(id=f"r{index}", task="t", question=str(index))


def rows(num):
    return [row(i) for i in range(num)]


def ids(samples):
    return [s.id for s in samples]


def saved(source):
    """The state as a checkpoint would give it back."""
    return json.loads(json.dumps(source.state_dict()))


def test_every_row_comes_once_an_epoch_and_epochs_differ():
    pool = Pool(rows(50), seed=3)
    epochs = [ids(pool.draw(50)) for _ in range(3)]
    assert all(sorted(e) == sorted(ids(rows(50))) for e in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert epochs[0] != ids(rows(50))


def test_a_draw_goes_over_the_end_of_an_epoch():
    a, b = Pool(rows(5), seed=1), Pool(rows(5), seed=1)
    assert ids(a.draw(13)) == ids([*b.draw(4), *b.draw(1), *b.draw(8)])
    assert a.progress == pytest.approx(2.6)
    assert a.draw(0) == []


@pytest.mark.parametrize("drawn", range(0, 23))
def test_the_pool_resumes_anywhere_in_any_epoch(drawn):
    whole = ids(Pool(rows(7), seed=5).draw(30))
    first = Pool(rows(7), seed=5)
    first.draw(drawn)
    second = Pool(rows(7), seed=5)
    second.draw(3)  # what it did before loading must not matter
    second.load_state_dict(saved(first))
    assert ids(second.draw(30 - drawn)) == whole[drawn:]


def test_without_shuffling_the_order_is_that_of_the_data():
    assert ids(Pool(rows(3), shuffle=False).draw(5)) == ["r0", "r1", "r2", "r0", "r1"]


def test_seeds_give_other_orders():
    assert ids(Pool(rows(50), seed=0).draw(50)) != ids(Pool(rows(50), seed=1).draw(50))


def test_a_state_of_other_data_is_refused():
    state = Pool(rows(5)).state_dict()
    with pytest.raises(DataError, match="rows 5 and now has 6"):
        Pool(rows(6)).load_state_dict(state)
    with pytest.raises(DataError, match="seed 0 and now has 1"):
        Pool(rows(5), seed=1).load_state_dict(state)
    with pytest.raises(DataError, match="size 5 and now has 4"):
        Weighted(rows(4)).load_state_dict(Weighted(rows(5)).state_dict())


def test_peeking_changes_nothing_and_tells_the_truth():
    for source in (Pool(rows(3), seed=2), Endless(row)):
        source.draw(2)
        before = source.state_dict()
        ahead = ids(source.peek(5))  # over the end of the pool's epoch
        assert source.state_dict() == before
        assert ids(source.draw(5)) == ahead


@pytest.mark.parametrize("make", [Pool, Weighted])
def test_empty_data_are_refused(make):
    with pytest.raises(DataError, match="no rows"):
        make([])


def test_only_drawn_rows_are_read():
    read = []

    class Lazy:
        def __len__(self):
            return 1_000_000

        def __getitem__(self, index):
            read.append(index)
            return row(index)

    Pool(Lazy()).draw(3)
    Weighted(Lazy()).draw(3)
    assert len(read) == 6


def test_a_world_never_repeats_and_resumes():
    world = Endless(row)
    first = ids(world.draw(4))
    other = Endless(row)
    other.load_state_dict(saved(world))
    assert first + ids(other.draw(2)) == [f"r{i}" for i in range(6)]


def scored(index, rewards):
    return a_group(rewards, sample=row(index))


def test_weights_by_hand():
    source = Weighted(rows(4), floor=0.1, rate=0.5)
    seen = set()
    while len(seen) < 4:
        seen.update(ids(source.draw(1)))
    assert source.weights().tolist() == [1.0] * 4
    source.observe([scored(0, [1.0, 0.0]), scored(1, [1.0, 1.0]), scored(2, [0.0, 0.0, 0.0, 1.0])])
    # p = 1/2, 1, 1/4 -> 0.1 + 0.9·4p(1-p) = 1, 0.1, 0.1 + 0.9·0.75
    assert source.weights() == pytest.approx([1.0, 0.1, 0.775, 1.0])
    source.observe([scored(0, [1.0, 1.0])])  # p: 0.5 + 0.5·(1 - 0.5) = 0.75
    assert source.weights()[0] == pytest.approx(0.1 + 0.9 * 4 * 0.75 * 0.25)
    source.observe([scored(3, [None, None]), scored(99, [1.0])])
    assert source.weights()[3] == 1.0


def test_draws_follow_the_weights():
    source = Weighted(rows(2), floor=0.1, seed=4)
    while source.num_drawn < 2 or len(source.state_dict()["rows"]) < 2:
        source.draw(1)
    source.observe([scored(0, [1.0, 1.0])])  # weight 0.1 against 1.0
    counts = Counter(ids(source.draw(3000)))
    # share 1/11 = 0.0909, standard error 0.0052
    assert counts["r0"] / 3000 == pytest.approx(1 / 11, abs=0.025)


@pytest.mark.parametrize("drawn", [0, 1, 5, 11, 12])
def test_the_weighted_source_resumes_exactly(drawn):
    def run(source, start, stop):
        out = []
        for k in range(start, stop):
            (sample,) = source.draw(1)
            out.append(sample.id)
            index = int(sample.id[1:])
            source.observe([scored(index, [1.0] * (index % 3) + [0.0] * (k % 2 + 1))])
        return out

    whole = run(Weighted(rows(6), seed=2), 0, 20)
    first, second = Weighted(rows(6), seed=2), Weighted(rows(6), seed=2)
    start = run(first, 0, drawn)
    second.load_state_dict(saved(first))
    assert start + run(second, drawn, 20) == whole
    np.testing.assert_array_equal(second.weights().shape, (6,))


def test_draws_do_not_depend_on_the_size_of_the_calls():
    a, b = Weighted(rows(9), seed=1), Weighted(rows(9), seed=1)
    assert ids(a.draw(12)) == ids([*b.draw(5), *b.draw(7)])


def test_settings_out_of_range_are_refused():
    for options in ({"floor": 0.0}, {"rate": 0.0}, {"floor": 1.5}):
        with pytest.raises(ConfigError, match="should lie in"):
            Weighted(rows(2), **options)


def test_all_of_them_are_stateful_sources():
    for source in (Pool(rows(2)), Endless(row), Weighted(rows(2))):
        assert isinstance(source, Stateful)
        checked: Source = source
        checked.observe([])
