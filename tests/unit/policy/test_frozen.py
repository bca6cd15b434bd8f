"""A frozen companion: the policy as it was, or a checkpoint; and an average with a pace."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from builders import CLOCK
from safetensors.torch import load_file, save_file
from test_ema_companion import models, move

from mmrl.errors import PolicyError
from mmrl.policy.companions import Ema
from mmrl.policy.frozen import Frozen
from mmrl.roles import Stateful

TINY = Path(__file__).parents[3] / "assets" / "tiny-vlm"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_policy_as_it_was_is_lent_and_given_back(dtype):
    m, frozen = models(dtype), Frozen()
    frozen.prepare(m)
    move(m, 3.0)
    frozen.after_step([], m, CLOCK)
    own = m.policy.weight
    with pytest.raises(RuntimeError, match="inside"), frozen.applied(m) as lent:
        assert lent is m.policy and m.policy.weight is own
        assert m.policy.weight.tolist() == [[1.0, 2.0]]
        move(m, 9.0)  # does not reach the copy
        raise RuntimeError("inside")
    assert m.policy.weight.tolist() == [[3.0, 3.0]]
    with frozen.applied(m):
        assert m.policy.weight.tolist() == [[1.0, 2.0]]


def test_a_resumed_run_has_the_same_copy(tmp_path):
    m, frozen = models(), Frozen()
    frozen.prepare(m)
    save_file(frozen.state_dict()["kept"], tmp_path / "frozen.safetensors")
    move(m, 5.0)
    other = Frozen()
    other.load_state_dict({"kept": load_file(tmp_path / "frozen.safetensors")})
    other.prepare(m)  # must not copy the policy anew
    with other.applied(m):
        assert m.policy.weight.tolist() == [[1.0, 2.0]]
    assert isinstance(frozen, Stateful)


def test_a_copy_that_nobody_prepared_says_what_is_missing():
    with (
        pytest.raises(PolicyError, match="companions, which prepares it"),
        Frozen().applied(models()),
    ):
        pass


def test_a_checkpoint_does_not_train_and_leaves_the_policy_alone():
    m, frozen = models(), Frozen(TINY, dtype="bfloat16", device="cpu")
    frozen.prepare(m)
    with frozen.applied(m) as lent:
        assert lent is not m.policy
        assert lent.dtype == torch.bfloat16 and lent.trainable() == {}
        with frozen.applied(SimpleNamespace(policy=None)) as again:
            assert again is lent
    assert frozen.state_dict() == {"kept": {}}
    assert frozen.after_step([], m, CLOCK) == ()


def test_settings_of_a_checkpoint_need_one():
    with pytest.raises(PolicyError, match="device, dtype has no meaning"):
        Frozen(dtype="bfloat16", device="cpu")


def test_an_average_moves_every_kth_step():
    m, ema = models(), Ema(decay=0.5, every=3)
    ema.prepare(m)
    move(m, 5.0)
    seen = []
    for _ in range(7):
        ema.after_step([], m, CLOCK)
        seen.append(ema.shadow["weight"][0, 0].item())
    assert seen == [1, 1, 3, 3, 3, 4, 4]  # (1 + 5) / 2 = 3, (3 + 5) / 2 = 4


def test_a_resumed_average_keeps_its_pace():
    m, ema = models(), Ema(decay=0.5, every=3)
    ema.prepare(m)
    move(m, 5.0)
    for _ in range(2):
        ema.after_step([], m, CLOCK)
    other = Ema(decay=0.5, every=3)
    other.load_state_dict(ema.state_dict())
    other.after_step([], m, CLOCK)
    assert other.shadow["weight"][0, 0].item() == 3.0


def test_the_papers_average_by_the_analytic_amount():
    # 1,000 steps at (0.995, every 10): 100 moves towards a weight that stays, 1 + 4 (1 - 0.995^100)
    m, ema = models(torch.bfloat16), Ema(decay=0.995, every=10)
    ema.prepare(m)
    move(m, 5.0)
    for _ in range(1000):
        ema.after_step([], m, CLOCK)
    assert ema.shadow["weight"][0, 0].item() == pytest.approx(5 - 4 * 0.995**100, abs=1e-4)


def test_a_pace_below_one_is_refused():
    with pytest.raises(PolicyError, match="every 1, 2, … steps, got every=0"):
        Ema(every=0)
