"""Group arithmetic on groups of unequal size: nothing depends on who stands beside whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import CLOCK, a_group, a_rollout, alone
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.credit.batch import BatchScaled
from mmrl.credit.bnpo import BetaNormalised
from mmrl.credit.group import Standardised, centred, leave_one_out, per_group, raw_rewards
from mmrl.credit.reinforce import ReinforcePP, ReinforcePPBaseline
from mmrl.rewards.care import ConsistencyBonus, ReferenceLikelihood
from mmrl.types import Group, ScoredGroup

GROUP_ALONE = {
    "std": per_group(Standardised(1e-6)),
    "mean_only": per_group(centred),
    "rloo": per_group(leave_one_out),
    "none": per_group(raw_rewards, min_group=1),
}
WHOLE_STEP = {
    "batch": BatchScaled(1e-6),
    "beta": BetaNormalised(),
    "tokens": ReinforcePP(gamma=0.9),
    "tokens_baseline": ReinforcePPBaseline(),
}
ALL = {**GROUP_ALONE, **WHOLE_STEP}
CENTRED = ("std", "mean_only", "rloo", "batch", "beta")
BONUSES = {
    "care": ConsistencyBonus(),
    "care_margin": ConsistencyBonus(margin=0.05, floor=0.0),
    "care_dense": ConsistencyBonus(form="dense"),
}
EXAMPLES = settings(max_examples=200, deadline=None, derandomize=True, database=None)
# eighths are exact, so that sums do not depend on their order
ROLLOUT = st.tuples(st.one_of(st.none(), st.integers(0, 8).map(lambda n: n / 8)), st.integers(1, 6))
STEP = st.lists(st.lists(ROLLOUT, min_size=1, max_size=5), min_size=1, max_size=3)
OF_LENGTH = {n: a_rollout(length=n) for n in range(1, 7)}
Rows = list[list[tuple[float | None, int]]]


def groups_of(step: Rows) -> list[ScoredGroup]:
    """All groups draw the same sample: only the group itself tells them apart."""
    return [
        a_group([r for r, _ in rows], rollouts=[OF_LENGTH[n] for _, n in rows], draw_id=f"0.{i}")
        for i, rows in enumerate(step)
    ]


def advantages(name: str, step: Rows) -> list[list[Any]]:
    out = ALL[name](groups_of(step), alone, CLOCK)
    assert [len(row) for row in out] == [len(rows) for rows in step]
    return [list(row) for row in out]


def close(a: Any, b: Any) -> bool:
    return bool(a == pytest.approx(b, abs=1e-9, rel=1e-9))


@pytest.mark.parametrize("name", GROUP_ALONE)
def test_a_group_is_told_from_another_draw_of_the_same_sample(name: str) -> None:
    @EXAMPLES
    @given(STEP)
    def check(step: Rows) -> None:
        together = advantages(name, step)
        assert together == [advantages(name, [rows])[0] for rows in step]

    check()


@pytest.mark.parametrize("name", ALL)
def test_order_of_groups_and_of_rollouts_does_not_matter(name: str) -> None:
    @EXAMPLES
    @given(STEP, st.randoms(use_true_random=False))
    def check(step: Rows, random: Any) -> None:
        plain = advantages(name, step)
        order = random.sample(range(len(step)), len(step))
        inner = [random.sample(range(len(rows)), len(rows)) for rows in step]
        turned = advantages(name, [[step[i][j] for j in inner[i]] for i in order])
        for i, row in zip(order, turned, strict=True):
            for j, got in zip(inner[i], row, strict=True):
                assert close(got, plain[i][j])

    check()


@pytest.mark.parametrize("name", ALL)
def test_an_unscorable_rollout_gets_zero_and_changes_no_other(name: str) -> None:
    @EXAMPLES
    @given(STEP)
    def check(step: Rows) -> None:
        whole = advantages(name, step)
        kept = [[row for row in rows if row[0] is not None] for rows in step]
        there = [i for i, rows in enumerate(kept) if rows]
        without = advantages(name, [kept[i] for i in there]) if there else []
        for rows, row in zip(step, whole, strict=True):
            assert all(a == 0.0 for (r, _), a in zip(rows, row, strict=True) if r is None)
        for i, row in zip(there, without, strict=True):
            scored = [a for (r, _), a in zip(step[i], whole[i], strict=True) if r is not None]
            assert all(close(a, b) for a, b in zip(scored, row, strict=True))

    check()


@pytest.mark.parametrize("name", CENTRED)
def test_a_group_sums_to_zero_and_a_constant_changes_nothing(name: str) -> None:
    @EXAMPLES
    @given(STEP)
    def check(step: Rows) -> None:
        plain = advantages(name, step)
        for row in plain:
            assert abs(sum(row)) <= 1e-9 * max(1.0, *(abs(a) for a in row))
        if name == "beta":
            return  # its weight is of the group's mean
        raised = advantages(
            name, [[(None if r is None else r + 0.5, n) for r, n in rows] for rows in step]
        )
        assert all(
            close(a, b)
            for x, y in zip(plain, raised, strict=True)
            for a, b in zip(x, y, strict=True)
        )

    check()


HEARD = st.tuples(
    st.one_of(st.none(), st.integers(0, 4).map(lambda n: n / 4)), st.integers(0, 8), st.booleans()
)


def heard_group(rows: list[tuple[float | None, int, bool]]) -> ScoredGroup:
    """Scores with the reference's log-prob of each answer (in quarters of a nat) or a failure."""
    plain = a_group([a for a, _, _ in rows], rollouts=[OF_LENGTH[1]] * len(rows))
    evidence = tuple(
        ReferenceLikelihood(logps=(-n / 4,), failure="lost" if failed else "")
        for _, n, failed in rows
    )
    group = Group(
        draw_id="0",
        sample=plain.group.sample,
        rollouts=plain.group.rollouts,
        evidence={ReferenceLikelihood: evidence},
    )
    return replace(plain, group=group)


@pytest.mark.parametrize("name", BONUSES)
def test_a_bonus_is_each_rollouts_own_in_any_order_and_without_the_unscorable(name: str) -> None:
    bonus = BONUSES[name]

    @EXAMPLES
    @given(st.lists(HEARD, min_size=1, max_size=7), st.randoms(use_true_random=False))
    def check(rows: list[tuple[float | None, int, bool]], random: Any) -> None:
        plain = bonus(heard_group(rows), CLOCK)
        assert [b is None for b in plain] == [a is None or failed for a, _, failed in rows]
        assert all(b is None or 0.0 <= b <= 1.0 for b in plain)
        order = random.sample(range(len(rows)), len(rows))
        assert bonus(heard_group([rows[i] for i in order]), CLOCK) == [plain[i] for i in order]
        kept = [row for row, b in zip(rows, plain, strict=True) if b is not None]
        if kept:
            assert bonus(heard_group(kept), CLOCK) == [b for b in plain if b is not None]

    check()
