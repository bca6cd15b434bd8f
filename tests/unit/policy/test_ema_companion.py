"""The moving average: by hand, on trainable tensors only, saved and swapped in."""

from types import SimpleNamespace

import pytest
import torch
from builders import CLOCK
from safetensors.torch import load_file, save_file

from mmrl.errors import PolicyError
from mmrl.policy.companions import Ema
from mmrl.roles import Stateful


class APolicy(torch.nn.Linear):
    def trainable(self):
        return {n: p for n, p in self.named_parameters() if p.requires_grad}


def models(dtype=torch.float32):
    policy = APolicy(2, 1, dtype=dtype)
    with torch.no_grad():
        policy.weight.copy_(torch.tensor([[1.0, 2.0]]))
        policy.bias.fill_(5.0)
    policy.bias.requires_grad_(False)
    return SimpleNamespace(policy=policy, sampler=None)


def move(m, value):
    with torch.no_grad():
        m.policy.weight.fill_(value)


def test_the_average_by_hand():
    m, ema = models(), Ema(decay=0.75)
    ema.prepare(m)
    move(m, 4.0)
    assert ema.after_step([], m, CLOCK) == ()
    # 0.75·(1, 2) + 0.25·4
    assert ema.shadow["weight"].tolist() == [[1.75, 2.5]]
    assert set(ema.shadow) == {"weight"}  # the bias is frozen
    assert ema.metrics()["ema_norm"] == pytest.approx((1.75**2 + 2.5**2) ** 0.5)


def test_bf16_weights_have_a_float32_average():
    m, ema = models(torch.bfloat16), Ema(decay=0.999)
    ema.prepare(m)
    move(m, 2.0)
    for _ in range(10):
        ema.after_step([], m, CLOCK)
    # each step is 0.001, which bf16 could not hold beside 1
    assert ema.shadow["weight"].dtype == torch.float32
    assert ema.shadow["weight"][0, 0].item() == pytest.approx(2 - 0.999**10, abs=1e-6)


def test_the_average_is_swapped_in_and_the_policy_gets_its_own_bits_back():
    m, ema = models(), Ema(decay=0.5)
    ema.prepare(m)
    move(m, 3.0)
    own = m.policy.weight
    with pytest.raises(RuntimeError, match="inside"), ema.applied(m):
        assert m.policy.weight.tolist() == [[1.0, 2.0]]
        assert m.policy.weight is own
        raise RuntimeError("inside")
    assert m.policy.weight.tolist() == [[3.0, 3.0]]


def test_writing_into_the_swapped_weights_leaves_the_average_alone():
    m, ema = models(), Ema(decay=0.5)
    ema.prepare(m)
    with ema.applied(m):
        move(m, 9.0)
    assert ema.shadow["weight"].tolist() == [[1.0, 2.0]]


def test_the_state_goes_through_safetensors(tmp_path):
    m, ema = models(), Ema(decay=0.9)
    ema.prepare(m)
    move(m, 7.0)
    ema.after_step([], m, CLOCK)
    save_file(ema.state_dict()["shadow"], tmp_path / "ema.safetensors")
    other = Ema(decay=0.9)
    other.load_state_dict({"decay": 0.9, "shadow": load_file(tmp_path / "ema.safetensors")})
    other.prepare(m)  # must not start again at the policy
    for e in (ema, other):
        e.after_step([], m, CLOCK)
    assert torch.equal(ema.shadow["weight"], other.shadow["weight"])
    assert isinstance(ema, Stateful)


def test_a_policy_that_changed_its_trainable_tensors_is_refused():
    m, ema = models(), Ema()
    ema.prepare(m)
    m.policy.bias.requires_grad_(True)
    with pytest.raises(PolicyError, match="differ in 1 trainable tensors, first bias"):
        ema.after_step([], m, CLOCK)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(PolicyError, match="decay"):
        Ema(decay=decay)
