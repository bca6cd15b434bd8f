"""The sampled distribution, by hand; and its log-probs in chunks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmrl.errors import PolicyError
from mmrl.policy.logprobs import chosen_logprobs
from mmrl.policy.space import NOWHERE, SamplingSpace, draw

# probabilities 0.5, 0.3, 0.15, 0.05
LOGITS = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()


def test_plain_space_is_log_softmax():
    logp = SamplingSpace().log_probs(LOGITS * 1.0 + 3.0)
    torch.testing.assert_close(logp, LOGITS)


def test_banned_id_gives_its_mass_to_the_others():
    logp = SamplingSpace(banned_ids=(0,)).log_probs(LOGITS)
    expected = torch.tensor([[NOWHERE, math.log(0.6), math.log(0.3), math.log(0.1)]])
    torch.testing.assert_close(logp, expected)


def test_temperature_half_squares_the_odds():
    # squares 0.25 0.09 0.0225 0.0025, their sum 0.365
    logp = SamplingSpace(temperature=0.5).log_probs(LOGITS)
    assert logp[0].exp().tolist() == pytest.approx([0.25 / 0.365, 0.09 / 0.365, 9 / 146, 1 / 146])


@pytest.mark.parametrize(
    ("cut", "kept"),
    [
        ({"top_k": 1}, [0]),
        ({"top_k": 3}, [0, 1, 2]),
        ({"top_k": 9}, [0, 1, 2, 3]),
        ({"top_p": 0.01}, [0]),
        ({"top_p": 0.5}, [0]),
        ({"top_p": 0.51}, [0, 1]),
        ({"top_p": 0.94}, [0, 1, 2]),
        ({"top_k": 2, "top_p": 0.6}, [0]),  # of 0.8 the first is 0.625
    ],
)
def test_truncation_keeps(cut, kept):
    space = SamplingSpace(**cut)
    scores = space.truncate(space.scores(LOGITS))
    assert (scores > NOWHERE)[0].nonzero()[:, 0].tolist() == kept


def test_kept_ids_renormalise():
    logp, _ = SamplingSpace().chosen(LOGITS, torch.tensor([1]), [(0, 1)])
    assert logp.item() == pytest.approx(math.log(0.3 / 0.8))
    both = SamplingSpace().chosen(LOGITS.repeat(2, 1), torch.tensor([1, 1]), [(), (1, 3)])[0]
    assert both.exp().tolist() == pytest.approx([0.3, 0.3 / 0.35])


def test_observed_id_outside_of_the_space_is_finite():
    """Only its own row counts it: 0.5 of 0.5 + 0.3 + 0.15 + 0.05."""
    space = SamplingSpace(banned_ids=(0,))
    logp, entropy = space.chosen(LOGITS.repeat(2, 1), torch.tensor([0, 1]), entropy=True)
    assert logp.exp().tolist() == pytest.approx([0.5, 0.6])
    plain = -(0.6 * math.log(0.6) + 0.3 * math.log(0.3) + 0.1 * math.log(0.1))
    assert entropy[1].item() == pytest.approx(plain)


@given(u=st.floats(0, 1, exclude_max=True))
def test_draw_is_the_quantile_and_never_zero_mass(u):
    scores = torch.tensor([[NOWHERE, math.log(0.25), NOWHERE, math.log(0.75), NOWHERE]])
    token = draw(scores, torch.tensor([u], dtype=torch.float64)).item()
    if abs(u - 0.25) > 1e-6:
        assert token == (1 if u < 0.25 else 3)


def test_draw_frequencies():
    uniform = torch.rand(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    tokens = draw(LOGITS.expand(len(uniform), -1), uniform)
    shares = torch.bincount(tokens, minlength=4) / len(uniform)
    torch.testing.assert_close(shares, LOGITS[0].exp(), atol=0.012, rtol=0)


@pytest.mark.parametrize("bad", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.5}, {"top_k": -2}])
def test_nonsense_is_refused(bad):
    with pytest.raises(PolicyError, match=next(iter(bad))):
        SamplingSpace(**bad)


@pytest.fixture
def problem():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(37, 8, generator=generator, requires_grad=True)
    head = torch.nn.Linear(8, 50, bias=False)
    ids = torch.randint(3, 50, (37,), generator=generator)
    return hidden, head, ids


@pytest.mark.parametrize("chunk", [1, 5, 36, 37, 100])
def test_chunks_equal_the_whole(problem, chunk):
    hidden, head, ids = problem
    space = SamplingSpace(banned_ids=(0, 2), temperature=0.7)
    kept = [() if t % 3 else (ids[t].item(), 1, 4) for t in range(37)]
    weight = torch.linspace(-1, 1, 37)
    whole, entropy = space.chosen(head(hidden), ids, kept, entropy=True)
    (whole * weight + entropy).sum().backward()
    expected = hidden.grad.clone(), head.weight.grad.clone()
    hidden.grad = head.weight.grad = None
    logp, spread = chosen_logprobs(
        hidden, head, ids, space, kept_ids=kept, entropy=True, chunk=chunk
    )
    (logp * weight + spread).sum().backward()
    assert torch.equal(logp, whole) or torch.allclose(logp, whole, atol=1e-6)
    torch.testing.assert_close(spread, entropy)
    torch.testing.assert_close(hidden.grad, expected[0])
    torch.testing.assert_close(head.weight.grad, expected[1])


def test_no_tensor_is_larger_than_a_chunk_of_the_vocabulary():
    """Forward and backward over 512 tokens x 1,000 ids: 32-token chunks stay under 1/8 of it."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, (tuple, list)) else (out,):
                if isinstance(tensor, torch.Tensor):
                    self.seen = max(self.seen, tensor.numel())
            return out

    hidden = torch.randn(512, 4, requires_grad=True)
    head = torch.nn.Linear(4, 1000, bias=False)
    ids = torch.randint(0, 1000, (512,))
    sizes = {}
    for chunk in (32, 512):
        with Largest() as largest:
            logp, _ = chosen_logprobs(hidden, head, ids, SamplingSpace(), chunk=chunk)
            logp.sum().backward()
        sizes[chunk] = largest.seen
    assert sizes == {32: 32 * 1000, 512: 512 * 1000}


def test_memory_held_between_forward_and_backward_is_a_float_a_token():
    """Saved for the backward: hidden states and log-probs, no logits."""
    held = []

    def pack(tensor):
        held.append(tensor.numel())
        return tensor

    hidden = torch.randn(256, 4, requires_grad=True)
    head = torch.nn.Linear(4, 1000, bias=False)
    ids = torch.randint(0, 1000, (256,))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        chosen_logprobs(hidden, head, ids, SamplingSpace(), chunk=64)
    assert max(held, default=0) <= 64 * 4 + 1000 * 4


def test_no_tokens():
    logp, entropy = chosen_logprobs(
        torch.zeros(0, 4), torch.nn.Linear(4, 9), torch.zeros(0).long(), SamplingSpace()
    )
    assert logp.shape == (0,)
    assert entropy is None
