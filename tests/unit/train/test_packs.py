"""Packs: within the budget, evenly full, and cutting an update into them changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learner_rows import PROMPT_A, PROMPT_B, ROWS, row

from mmrl.policy.pack import num_tokens
from mmrl.train.packs import make_pack, packs_of


def sizes(packs, **more):
    return [num_tokens(p, **more) for p in packs]


def test_a_prompt_counts_once_a_pack():
    # group 0: 3 + 2 + 1 = 6 tokens, group 1: 1 + 3 + 1 = 5
    assert [len(p) for p in packs_of(ROWS, 11)] == [4]
    assert sizes(packs_of(ROWS, 10)) == [6, 5]
    # repeated: (3 + 2) + (3 + 1) = 9 and (1 + 3) + (1 + 1) = 6
    assert sizes(packs_of(ROWS, 15, shares_prefix=False), shares_prefix=False) == [15]
    assert sizes(packs_of(ROWS, 14, shares_prefix=False), shares_prefix=False) == [9, 6]


def test_a_group_over_the_budget_is_cut_by_rows_behind_its_prompt():
    assert sizes(packs_of(ROWS[:2], 5)) == [3 + 2, 3 + 1]
    long = [row(PROMPT_A, 0, (7,) * n) for n in (9, 2, 7, 1, 1)]
    # 20 completion tokens in the fewest parts of at most 3 + 11: two of ten each
    assert sizes(packs_of(long, 14)) == [3 + 10, 3 + 10]


def test_whole_groups_are_never_cut():
    assert sizes(packs_of(ROWS, 1, whole_groups=True)) == [6, 5]


def test_a_row_over_the_budget_goes_alone():
    assert [len(p) for p in packs_of(ROWS, 1)] == [1, 1, 1, 1]
    assert packs_of([], 10) == []


def test_a_row_over_the_budget_does_not_widen_the_others():
    # prompts of 3: rows of 5, 14, 14 and 19 tokens; 5 + 14 = 19 is over 18 as well
    rows = [row(PROMPT_A, 0, (7,) * n) for n in (2, 11, 11, 16)]
    packs = packs_of(rows, 18, shares_prefix=False)
    assert [[len(r.token_ids) for r in p] for p in packs] == [[2], [11], [11], [16]]


def test_packs_are_evenly_full():
    # in order and greedily these would be 9 + 1, 9, 1: the fewest even ones are 10, 10
    rows = [row(replace(PROMPT_B), g, (7,) * n) for g, n in enumerate((8, 0, 8, 0))]
    assert sizes(packs_of(rows, 10)) == [10, 10]


@given(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6), min_size=1, max_size=8),
    st.integers(1, 120),
    st.booleans(),
)
def test_every_row_is_in_one_pack_and_packs_fit(lengths, budget, shares):
    rows = [
        row(prompt, g, (7,) * n)
        for g, group in enumerate(lengths)
        for prompt in [replace(PROMPT_A)]
        for n in group
    ]
    packs = packs_of(rows, budget, shares_prefix=shares)
    assert sorted(id(r) for p in packs for r in p) == sorted(map(id, rows))
    for pack in packs:
        assert num_tokens(pack, shares) <= budget or len(pack) == 1


def test_a_pack_holds_each_prompt_once_and_tokens_flat():
    pack = make_pack(ROWS, "cpu")
    assert pack.prompts == (PROMPT_A, PROMPT_B)
    assert pack.prompt_of_R == (0, 0, 1, 1)
    assert pack.group_of_R.tolist() == [0, 0, 1, 1]
    assert pack.token_ids.tolist() == [7, 8, 9, 7, 7, 7, 5]
    assert pack.row_of_N.tolist() == [0, 0, 1, 2, 2, 2, 3]
    assert pack.mask.tolist() == [1, 1, 1, 1, 1, 1, 0]
    assert pack.advantages["main"].tolist() == [0.5] * 7
    assert pack.sample_ids == ("s0", "s0", "s1", "s1")
    assert torch.equal(pack.old, pack.behaviour)
    assert pack.behaviour.tolist() == [-1.0] * 7


def test_kept_ids_fill_up_rows_that_have_none():
    rows = [replace(ROWS[0], kept_ids=((7, 1), (8,))), ROWS[1]]
    assert make_pack(rows, "cpu").kept_ids == ((7, 1), (8,), ())
    with pytest.raises(KeyError, match="extra"):
        make_pack([replace(ROWS[0], advantages={"extra": (1.0, 1.0)}), ROWS[1]], "cpu")
