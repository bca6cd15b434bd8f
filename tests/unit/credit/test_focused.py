"""Token weights of TW-GRPO by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import a_group

from mmrl.credit.focused import Focused, focused_weights
from mmrl.types import ScoredGroup, TokenStats


def scored(*divergence: tuple[float, ...]) -> ScoredGroup:
    made = a_group([0.0] * len(divergence), [len(d) for d in divergence])
    stats = tuple(TokenStats(logps=d, entropy=d, divergence=d) for d in divergence)
    return replace(made, group=replace(made.group, evidence={TokenStats: stats}))


def test_weights_run_from_one_to_alpha() -> None:
    assert focused_weights([0.2, 0.6, 1.0], 1.5) == pytest.approx([1.0, 1.25, 1.5])
    assert focused_weights([0.2, 0.6, 1.0], 1.0) == [1.0, 1.0, 1.0]
    assert focused_weights([0.2, 0.6, 1.0], 0.5) == pytest.approx([1.0, 0.75, 0.5])
    assert focused_weights([0.3, 0.3], 1.7) == [1.0, 1.0]
    assert focused_weights([], 1.7) == []


def test_the_mean_is_of_the_rollouts_that_go_on() -> None:
    # at 0: (0 + 0.4) / 2 = 0.2; at 1: (1 + 0.2) / 2 = 0.6; at 2 only the first: 0.2
    weights = Focused(alpha=2.0, mean_one=False)(scored((0.0, 1.0, 0.2), (0.4, 0.2)))
    assert weights[0] == pytest.approx([1.0, 2.0, 1.0], abs=1e-6)
    assert weights[1] == pytest.approx([1.0, 2.0], abs=1e-6)


def test_weights_have_mean_one_over_the_tokens_of_the_group() -> None:
    # sums: 1 + 2 + 1 and 1 + 2: 7 over 5 tokens
    weights = Focused(alpha=2.0)(scored((0.0, 1.0, 0.2), (0.4, 0.2)))
    assert weights[0] == pytest.approx([5 / 7, 10 / 7, 5 / 7], abs=1e-6)
    assert sum(map(sum, weights)) == pytest.approx(5.0)


def test_the_end_of_a_long_rollout_is_not_weighty_where_nobody_disagrees() -> None:
    weights = Focused(mean_one=False)(scored((0.0, 0.0, 0.0, 0.0), (0.0,)))
    assert weights == [[1.0] * 4, [1.0]]


def test_one_rollout_and_empty_rollouts_have_weights() -> None:
    assert Focused(mean_one=False)(scored((0.0, 0.0))) == [[1.0, 1.0]]
    assert Focused()(scored((), (0.1,))) == [[], [1.0]]
    assert Focused()(scored((), ())) == [[], []]
