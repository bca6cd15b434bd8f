"""In bfloat16 the shared form errs no more than plain rows do, both against float32."""

from __future__ import annotations

import pytest
import torch
import zoo
from plain import make_pack

GROUP, LENGTH = 6, 24


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def errors(name, seeds):
    """Root mean square error of log-probs and of the gradient, shared form and repeated."""
    found = {"shared": [0.0, 0.0], "repeated": [0.0, 0.0]}
    for seed in seeds:
        exact = zoo.policy(name, seed=seed)
        rough = zoo.policy(name, seed=seed, dtype="bfloat16")
        with torch.no_grad():  # the same weights: those that bfloat16 can hold
            for wide, narrow in zip(
                exact.model.parameters(), rough.model.parameters(), strict=True
            ):
                wide.copy_(narrow.float())
        message = zoo.user({"type": "image", "image": zoo.picture(seed, 84, 84)}, "what is it?")
        generator = torch.Generator().manual_seed(seed)
        allowed = torch.tensor([i for i in range(300) if i not in exact.banned_ids][:250])
        rows = [
            (0, allowed[torch.randint(len(allowed), (LENGTH,), generator=generator)].tolist())
            for _ in range(GROUP)
        ]
        weights = torch.randn(GROUP * LENGTH, generator=generator)
        logp, gradient = run(exact, message, rows, weights, "shared")
        for form, sums in found.items():
            about, turned = run(rough, message, rows, weights, form)
            sums[0] += float((about - logp).square().mean())
            sums[1] += float((turned - gradient).square().mean())
    return {form: [s**0.5 for s in sums] for form, sums in found.items()}


def run(policy, message, rows, weights, form):
    policy.form = form
    pack = make_pack([policy.encode(message)], rows)
    logp = policy(pack).logp
    (logp.float() * weights).sum().backward()
    grads = [p.grad for p in policy.trainable().values()]
    flat = torch.cat([g.float().flatten() for g in grads if g is not None])
    for p in policy.trainable().values():
        p.grad = None
    return logp.detach().float(), flat


@pytest.mark.parametrize("name", zoo.FAMILY_NAMES)
def test_sharing_the_prompt_costs_no_precision(name):
    found = errors(name, seeds=(1, 2, 3))
    for shared, repeated in zip(found["shared"], found["repeated"], strict=True):
        assert 0 < repeated < 0.5
        assert shared <= 1.5 * repeated, found


def test_rotary_angles_stay_float32():
    policy = zoo.policy("qwen2.5-vl", dtype="bfloat16")
    angles = [b for n, b in policy.model.named_buffers() if n.endswith("inv_freq")]
    assert angles and all(b.dtype is torch.float32 for b in angles)
    assert all(p.dtype is torch.bfloat16 for p in policy.model.parameters())
