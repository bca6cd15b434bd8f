"""The learning-rate schedule by hand, and the guard against gradients that are not finite."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmrl.config.schema import OptimizerConfig
from mmrl.errors import PolicyError
from mmrl.train.optimizer import Optimizer, schedule_factor
from mmrl.types import Clock


def at(step: int, total: int = 10) -> Clock:
    return Clock(step=step, stage="s", stage_step=step, stage_steps=total)


class OneWeight:
    """A policy of one number."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(torch.tensor([1.0]))

    def parameter_groups(self, lr, rates):
        return [{"params": [self.weight], "lr": lr}]

    def trainable(self):
        return {"weight": self.weight}


@pytest.mark.parametrize(
    ("schedule", "step", "expected"),
    [
        ("constant", 0, 0.5),  # warm-up of two steps: 1/2, 2/2
        ("constant", 1, 1.0),
        ("constant", 9, 1.0),
        ("linear", 2, 1.0),
        ("linear", 6, 0.55),  # half of the decay from 1 to 0.1
        ("cosine", 6, 0.55),  # cos(pi/2) = 0: the same at the middle
        ("cosine", 4, 0.1 + 0.9 * 0.8535533905932737),  # (1 + cos(pi/4)) / 2
        ("linear", 10, 0.1),
    ],
)
def test_schedule(schedule, step, expected):
    config = OptimizerConfig(schedule=schedule, warmup_steps=2, min_lr_ratio=0.1)
    assert schedule_factor(config, at(step)) == pytest.approx(expected, abs=1e-12)


def test_the_first_adam_step_moves_by_the_learning_rate():
    policy = OneWeight()
    optimizer = Optimizer(policy, OptimizerConfig(lr=0.1))
    policy.weight.grad = torch.tensor([0.5])
    report = optimizer.step(at(0))
    # m / sqrt(v) = 1 after bias correction
    assert policy.weight.item() == pytest.approx(0.9, abs=1e-6)
    assert report.grad_norm == pytest.approx(0.5)


def test_a_gradient_that_is_not_finite_changes_nothing():
    policy = OneWeight()
    optimizer = Optimizer(policy, OptimizerConfig(lr=0.1))
    policy.weight.grad = torch.tensor([float("nan")])
    assert optimizer.step(at(0)).skipped
    assert policy.weight.item() == 1.0


def test_ten_of_them_in_a_row_end_the_run():
    policy = OneWeight()
    optimizer = Optimizer(policy, OptimizerConfig(lr=0.1))
    for step in range(9):
        policy.weight.grad = torch.tensor([float("inf")])
        optimizer.step(at(step))
    policy.weight.grad = torch.tensor([float("inf")])
    with pytest.raises(PolicyError, match="10 updates in a row"):
        optimizer.step(at(9))


def test_state_survives_a_round_trip():
    policy = OneWeight()
    optimizer = Optimizer(policy, OptimizerConfig(lr=0.1))
    for gradient in (0.5, -0.2):
        policy.weight.grad = torch.tensor([gradient])
        optimizer.step(at(0))
    other = OneWeight()
    with torch.no_grad():
        other.weight.copy_(policy.weight)
    fresh = Optimizer(other, OptimizerConfig(lr=0.1))
    fresh.load_tensors(optimizer.tensors())
    for each, opt in ((policy, optimizer), (other, fresh)):
        each.weight.grad = torch.tensor([0.3])
        opt.step(at(0))
    assert torch.equal(policy.weight, other.weight)


def test_state_of_an_unknown_tensor_is_refused():
    optimizer = Optimizer(OneWeight(), OptimizerConfig())
    with pytest.raises(PolicyError, match=r'"head\.bias", not trained here'):
        optimizer.load_tensors({"head.bias|exp_avg": torch.zeros(1)})
