"""Objectives at ratios other than 1, by hand, with both ends of every clamp."""

import math

import pytest
import torch
from builders import CLOCK, a_pack, output

from mmrl.errors import MethodError
from mmrl.objective.clipped import Cispo, Clipped, Reinforce
from mmrl.objective.corrected import Corrected
from mmrl.objective.entropy import entropy_bonus
from mmrl.objective.kl import Kl
from mmrl.objective.ratio import SEQUENCE_LOG_BOUND, TOKEN_LOG_BOUND, sequence_ratio, token_ratio

LN = math.log


def one_token(objective, ratio, advantage, **pack_options):
    """Loss, gradient and metrics of one token whose ratio policy / old is `ratio`."""
    pack = a_pack([1], [[-1.0]], advantages=[advantage], **pack_options)
    out = output([[-1.0 + LN(ratio)]])
    loss, metrics = objective(out, pack, pack.advantages["main"], CLOCK)
    loss.sum().backward()
    return loss.item(), out.logp.grad.item(), {k: v.item() for k, v in metrics.items()}


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "grad", "low", "high"),
    [
        (1.1, 2.0, -2.2, -2.2, 0, 0),  # inside: -c·A, gradient -c·A
        (1.5, 2.0, -2.56, 0.0, 0, 1),  # above 1.28 with A > 0: cut
        (1.5, -2.0, 3.0, 3.0, 0, 0),  # above with A < 0: the larger loss, free
        (0.5, 2.0, -1.0, -1.0, 0, 0),  # below with A > 0: free
        (0.5, -2.0, 1.6, 0.0, 1, 0),  # below 0.8 with A < 0: cut
        (0.5, 0.0, 0.0, 0.0, 0, 0),  # no advantage, nothing to cut
    ],
)
def test_asymmetric_clip_by_hand(ratio, advantage, loss, grad, low, high):
    value, slope, metrics = one_token(Clipped(low=0.2, high=0.28), ratio, advantage)
    assert value == pytest.approx(loss)
    assert slope == pytest.approx(grad)
    assert (metrics["clip_low"], metrics["clip_high"]) == (low, high)
    assert metrics["ratio"] == pytest.approx(ratio)
    assert metrics["kl_old"] == pytest.approx(-LN(ratio))


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "grad"),
    [(5.0, -1.0, 3.0, 0.0), (2.0, -1.0, 2.0, 2.0), (5.0, 1.0, -1.2, 0.0)],
)
def test_dual_clip_bounds_negative_advantages_only(ratio, advantage, loss, grad):
    value, slope, _ = one_token(Clipped(dual=3.0), ratio, advantage)
    assert (value, slope) == (pytest.approx(loss), pytest.approx(grad))


def test_delta_bounds_the_unclipped_ratio():
    assert one_token(Clipped(delta=4.0), 6.0, -1.0)[:2] == (pytest.approx(4.0), 0.0)
    assert one_token(Clipped(delta=4.0), 3.0, -1.0)[:2] == (pytest.approx(3.0), pytest.approx(3.0))


@pytest.mark.parametrize("sign", [1, -1])
def test_log_ratios_stop_at_the_named_bound_without_overflow(sign):
    far = torch.tensor([sign * 1e4], dtype=torch.float64)
    ratio = token_ratio(far, torch.zeros(1, dtype=torch.float64))
    assert ratio.item() == pytest.approx(math.exp(sign * TOKEN_LOG_BOUND))
    pack = a_pack([1], [[0.0]])
    assert sequence_ratio(far, pack).item() == pytest.approx(math.exp(sign * SEQUENCE_LOG_BOUND))


def test_sequence_ratio_is_the_geometric_mean_over_trained_tokens():
    # rows: log-ratios (0.3, 0.1, -) -> mean 0.2; (-0.6, -, -) -> -0.6
    pack = a_pack([2, 1], [[-1.0] * 3] * 2)
    logp = torch.tensor([-0.7, -0.9, 5.0, -1.6, 9.0, 9.0], dtype=torch.float64)
    ratio = sequence_ratio(logp, pack)
    assert ratio[:2].tolist() == pytest.approx([math.exp(0.2)] * 2)
    assert ratio[3].item() == pytest.approx(math.exp(-0.6))


def test_sequence_clip_cuts_a_row_whole_where_token_clip_cuts_one_token():
    # log-ratios (0.5, -0.1): sequence ratio e^0.2 = 1.22 > 1.2, token ratios 1.65 and 0.90
    pack = a_pack([2], [[-1.0, -1.0]], advantages=[1.0])
    grads = {}
    for scope in ("token", "sequence"):
        out = output([[-0.5, -1.1]])
        loss, _ = Clipped(ratio=scope)(out, pack, pack.advantages["main"], CLOCK)
        loss.sum().backward()
        grads[scope] = out.logp.grad.tolist()
    assert grads["sequence"] == [0.0, 0.0]
    assert grads["token"] == [0.0, pytest.approx(-math.exp(-0.1))]


@pytest.mark.parametrize(("ratio", "weight"), [(7.0, 5.0), (2.0, 2.0), (0.01, 0.01)])
def test_cispo_keeps_the_gradient_of_every_token(ratio, weight):
    value, slope, _ = one_token(Cispo(low=1.0, high=4.0), ratio, 2.0)
    assert slope == pytest.approx(-2.0 * weight)  # -A · sg(clip(c)); never zero
    assert value == pytest.approx(-2.0 * weight * (-1.0 + LN(ratio)))


def test_cispo_lower_bound():
    _, slope, metrics = one_token(Cispo(low=0.5, high=1.0), 0.1, 1.0)
    assert slope == pytest.approx(-0.5)
    assert metrics["clip_low"] == 1.0


def test_plain_gradient_ignores_the_ratio():
    assert one_token(Reinforce(), 3.0, 2.0)[1] == pytest.approx(-2.0)


@pytest.mark.parametrize(
    ("old_over_sampler", "drop", "weight", "cut"),
    [(1.5, False, 1.5, 0), (4.0, False, 2.0, 1), (0.1, False, 0.5, 1), (4.0, True, 0.0, 1)],
)
def test_importance_of_a_sampler_that_differs(old_over_sampler, drop, weight, cut):
    objective = Corrected(inner=Clipped(), cap=2.0, floor=0.5, drop=drop)
    behaviour = [[-1.0 - LN(old_over_sampler)]]
    value, slope, metrics = one_token(objective, 1.1, 1.0, behaviour=behaviour)
    assert value == pytest.approx(-1.1 * weight)
    assert slope == pytest.approx(-1.1 * weight)
    assert metrics["importance_cut"] == cut


def test_kl_term_reads_the_reference_and_no_advantage():
    # d = logp - ref = 1: k1 1, k2 0.5, k3 e^-1 + 1 - 1
    pack = a_pack([1], [[-1.0]], advantages=[5.0], reference=[[-2.0]])
    for kind, expected in (("k1", 1.0), ("k2", 0.5), ("k3", math.exp(-1.0))):
        loss, metrics = Kl(kind)(output([[-1.0]]), pack, pack.advantages["main"], CLOCK)
        assert loss.item() == pytest.approx(expected)
        assert metrics["kl"].item() == pytest.approx(expected)


def test_entropy_bonus_is_minus_the_entropy_and_says_when_there_is_none():
    pack = a_pack([2], [[-1.0, -1.0]])
    out = output([[-1.0, -1.0]], entropy=[0.5, 1.5])
    assert entropy_bonus(out, pack, pack.advantages["main"], CLOCK)[0].tolist() == [-0.5, -1.5]
    with pytest.raises(MethodError, match="needs="):
        entropy_bonus(output([[-1.0, -1.0]]), pack, pack.advantages["main"], CLOCK)
