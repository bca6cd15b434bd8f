"""Reductions divide by the whole update, so cutting it into packs changes nothing."""

import pytest
import torch
from builders import CLOCK, a_pack, counts_of, output

from mmrl.objective.clipped import Clipped
from mmrl.objective.reduction import SequenceSumNorm, sequence_mean, sequence_sum, token_mean

REDUCTIONS = [token_mean, sequence_mean, sequence_sum, SequenceSumNorm(7)]
LENGTHS = [5, 1, 0, 3, 2, 5]
WIDTH = 5


def rows(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(LENGTHS), WIDTH, generator=generator, dtype=torch.float64)


def loss_and_grad(reduction, cuts):
    """Sum of the losses of the packs `cuts` of one update, and the gradient of its log-probs."""
    logp, old = -1.0 + 0.3 * rows(0), -1.0 + 0.3 * rows(1)
    advantages = [1.0, -2.0, 3.0, 0.5, -0.25, 1.5]
    packs = [
        a_pack(
            LENGTHS[a:b], old[a:b].tolist(), advantages=advantages[a:b], width=WIDTH,
            groups=[0, 0, 1, 1, 2, 2][a:b],
        )
        for a, b in cuts
    ]  # fmt: skip
    counts = counts_of(*packs)
    total, grads = 0.0, []
    for pack, (a, b) in zip(packs, cuts, strict=True):
        out = output(logp[a:b].tolist())
        per_token, _ = Clipped()(out, pack, pack.advantages["main"], CLOCK)
        loss = reduction(per_token, pack, counts)
        loss.backward()
        total += loss.item()
        grads.append(out.logp.grad)
    return total, torch.cat(grads)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "cuts", [[(0, 1), (1, 6)], [(0, 3), (3, 6)], [(i, i + 1) for i in range(6)]]
)
def test_k_packs_equal_one(reduction, cuts):
    whole, whole_grad = loss_and_grad(reduction, [(0, 6)])
    split, split_grad = loss_and_grad(reduction, cuts)
    assert split == pytest.approx(whole, abs=1e-12, rel=1e-12)
    torch.testing.assert_close(split_grad, whole_grad, atol=1e-12, rtol=1e-12)
    assert whole != 0.0


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [
        (token_mean, 17 / 4),  # (2+3+5 + 7) / 4 trained tokens
        (sequence_mean, (10 / 3 + 7) / 2),
        (sequence_sum, (10 + 7) / 2),
        (SequenceSumNorm(10), (10 + 7) / 2 / 10),
    ],
)
def test_by_hand_on_a_long_a_short_and_an_empty_row(reduction, expected):
    pack = a_pack([3, 1, 0], [[0.0] * 3] * 3)
    per_token = torch.tensor([2.0, 3, 5, 7, 100, 100, 100, 100, 100], dtype=torch.float64)
    assert reduction(per_token, pack, counts_of(pack)).item() == pytest.approx(expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_all_agree_up_to_a_constant_when_lengths_are_equal(reduction):
    pack = a_pack([2, 2], [[0.0] * 2] * 2)
    per_token = torch.tensor([1.0, 2, 3, 6], dtype=torch.float64)
    factor = {sequence_sum: 2.0, REDUCTIONS[3]: 2 / 7}.get(reduction, 1.0)
    assert reduction(per_token, pack, counts_of(pack)).item() == pytest.approx(3.0 * factor)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_tokens_that_do_not_train_cannot_spoil_the_loss(reduction):
    pack = a_pack([1, 0], [[0.0] * 2] * 2)
    per_token = torch.tensor([1.0, float("nan"), float("inf"), float("nan")], dtype=torch.float64)
    value = reduction(per_token.requires_grad_(), pack, counts_of(pack))
    value.backward()
    assert torch.isfinite(value)
    assert per_token.grad[1:].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_an_update_without_trained_tokens_is_zero(reduction):
    pack = a_pack([0], [[0.0] * 2])
    assert reduction(torch.ones(2, dtype=torch.float64), pack, counts_of(pack)).item() == 0.0
