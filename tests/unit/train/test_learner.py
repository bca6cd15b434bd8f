"""Updates: packs add up exactly, old log-probs are those before the first update."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import nn

from mmrl.config.schema import OptimizerConfig
from mmrl.errors import PolicyError
from mmrl.objective.clipped import Clipped
from mmrl.objective.reduction import sequence_mean, token_mean
from mmrl.roles import Term
from mmrl.train.learner import Learner, LearnerSettings
from mmrl.train.optimizer import Optimizer
from mmrl.train.ranks import Ranks
from mmrl.train.rows import Row, count
from mmrl.types import Clock, PolicyOutput, Prompt

CLOCK = Clock(step=0, stage="s", stage_step=0, stage_steps=10)
VOCABULARY = 6


class Unigram:
    """A policy that ignores its prompt: one logit a token, float64."""

    def __init__(self) -> None:
        self.logits = nn.Parameter(torch.linspace(-1, 1, VOCABULARY, dtype=torch.float64))
        self.device = torch.device("cpu")
        self.calls = 0

    def __call__(self, pack, *, entropy=False):
        self.calls += 1
        logp = self.logits.log_softmax(0)
        spread = -(logp.exp() * logp).sum().expand(len(pack.token_ids))
        return PolicyOutput(logp=logp[pack.token_ids], entropy=spread if entropy else None)

    def parameter_groups(self, lr, rates):
        return [{"params": [self.logits], "lr": lr}]

    def trainable(self):
        return {"logits": self.logits}

    @contextmanager
    def reference(self):
        held = self.logits.data
        self.logits.data = torch.zeros_like(held)
        yield
        self.logits.data = held


def rows() -> list[Row]:
    made = []
    generator = torch.Generator().manual_seed(0)
    for group in range(4):
        prompt = Prompt(messages=(), token_ids=tuple(range(3 + group)))
        for g in range(3):
            n = 1 + (group + 2 * g) % 4
            ids = torch.randint(VOCABULARY, (n,), generator=generator).tolist()
            made.append(
                Row(
                    prompt=prompt,
                    sample_id=f"s{group}",
                    group=group,
                    token_ids=tuple(ids),
                    mask=(1.0,) * n,
                    advantages={"main": ((-1.0) ** g * (1 + group),) * n},
                    weights=(1.0,) * n,
                    behaviour=(-1.8,) * n,
                )
            )
    return made


def learner(policy, *, reduction=token_mean, needs=(), terms=None, **settings) -> Learner:
    term = Term(
        name="policy",
        objective=Clipped(low=0.2, high=0.2),
        reduction=reduction,
        needs=frozenset(needs),
    )
    return Learner(
        policy=policy,
        optimizer=Optimizer(policy, OptimizerConfig(lr=0.1, max_grad_norm=1e9)),
        terms=terms or (term,),
        balance=None,
        ranks=Ranks(),
        settings=LearnerSettings(**settings),
    )


@pytest.mark.parametrize("reduction", [token_mean, sequence_mean])
@pytest.mark.parametrize("budget", [1, 12, 30])
def test_many_packs_equal_one(reduction, budget):
    gradients = []
    for tokens in (10_000, budget):
        policy = Unigram()
        made = learner(policy, reduction=reduction, tokens_per_pack=tokens)
        counts = count(rows(), Ranks().reduce)
        made.accumulate(rows(), counts, CLOCK)
        gradients.append(policy.logits.grad.clone())
    assert gradients[0].abs().max() > 1e-3
    assert torch.allclose(gradients[0], gradients[1], atol=1e-7, rtol=0)


def test_old_log_probs_stay_those_before_the_first_update():
    seen = []

    def watch(out, pack, advantages, clock):
        seen.append((out.logp.detach().clone(), pack.old.clone()))
        return -out.logp * advantages, {}

    policy = Unigram()
    term = Term(name="w", objective=watch, reduction=token_mean, needs=frozenset({"old"}))
    learner(policy, terms=(term,), epochs=2).learn(rows(), CLOCK)
    (first, first_old), (second, second_old) = seen
    assert torch.equal(first, first_old)
    assert torch.equal(first_old, second_old)
    assert (second - second_old).abs().max() > 1e-3


def test_a_single_update_needs_no_second_forward_for_old():
    policy = Unigram()
    learner(policy).learn(rows(), CLOCK)
    assert policy.calls == 1


def test_the_reference_is_the_frozen_policy():
    seen = []

    def watch(out, pack, advantages, clock):
        seen.append(pack.reference.clone())
        return -out.logp, {}

    term = Term(name="w", objective=watch, reduction=token_mean, needs=frozenset({"reference"}))
    learner(Unigram(), terms=(term,)).learn(rows(), CLOCK)
    # a reference of equal logits gives log(1/6) to every token
    assert seen[0].tolist() == pytest.approx([-1.791759469228055] * len(seen[0]))


def test_minibatches_deal_out_every_group_once():
    made = learner(Unigram(), minibatches=2, epochs=2)
    updates = made._updates(rows(), CLOCK)
    assert len(updates) == 4
    for first, second in (updates[:2], updates[2:]):
        groups = [{r.group for r in part} for part in (first, second)]
        assert groups[0] | groups[1] == {0, 1, 2, 3} and not groups[0] & groups[1]


def test_token_weights_scale_the_loss():
    plain, weighted = Unigram(), Unigram()
    counts = count(rows(), Ranks().reduce)
    learner(plain).accumulate(rows(), counts, CLOCK)
    doubled = [replace(r, weights=(2.0,) * len(r.mask)) for r in rows()]
    learner(weighted).accumulate(doubled, counts, CLOCK)
    assert torch.allclose(weighted.logits.grad, 2 * plain.logits.grad)


def test_a_term_may_stand_outside_the_token_weights():
    def ones(out, pack, advantages, clock):
        return out.logp, {}

    gradients = []
    for weight in (1.0, 5.0):
        policy = Unigram()
        term = Term(name="kl", objective=ones, reduction=token_mean, weighted=False)
        heavy = [replace(r, weights=(weight,) * len(r.mask)) for r in rows()]
        learner(policy, terms=(term,)).accumulate(heavy, count(heavy, Ranks().reduce), CLOCK)
        gradients.append(policy.logits.grad)
    assert torch.equal(gradients[0], gradients[1])


def test_a_loss_that_is_not_finite_names_the_samples():
    def broken(out, pack, advantages, clock):
        return out.logp * float("nan"), {}

    term = Term(name="w", objective=broken, reduction=token_mean)
    with pytest.raises(PolicyError, match=r"loss is nan at step 0; samples of the pack: s0, s1"):
        learner(Unigram(), terms=(term,)).learn(rows()[:6], CLOCK)
