"""Sampling with transformers: what it says of itself is what the learner says of it."""

from __future__ import annotations

import pytest
import torch
import zoo
from plain import make_pack

from mmrl.errors import PolicyError
from mmrl.policy.parts import Lora
from mmrl.rollout.hf import HFSampler, Sampling
from mmrl.types import StopReason, Verdict


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def qwen():
    return zoo.policy("qwen2.5-vl")


def prompts_of(policy, clip=None):
    contents = [
        ("words",),
        (zoo.picture(1), "what?"),
        (zoo.picture(1), zoo.picture(2, 90, 40), "which of these two pictures is it?"),
    ]
    if clip is not None:
        contents.append(({"type": "video", "video": str(clip), "nframes": 4}, "when?"))
    return [policy.encode(zoo.user(*c)) for c in contents]


def sample(policy, prompts, *, size=3, first=0, **settings):
    seeds = [[first + 10 * p + g for g in range(size)] for p in range(len(prompts))]
    sampling = Sampling(**({"max_new_tokens": 8} | settings))
    return HFSampler(policy).sample(
        prompts, group_size=size, seeds=seeds, sampling=sampling, policy_step=7
    )


def pack_of(prompts, groups):
    rows = [(p, list(r.token_ids)) for p, group in enumerate(groups) for r in group]
    rollouts = [r for group in groups for r in group]
    return make_pack(
        prompts,
        rows,
        behaviour=torch.tensor([x for r in rollouts for x in r.logps]),
        kept_ids=[k for r in rollouts for k in r.kept_ids],
    )


@pytest.mark.parametrize("name", zoo.FAMILY_NAMES)
def test_behaviour_equals_learner(name, tmp_path):
    """Ragged prompts of every kind in one batch, left-padded; rows end at different lengths."""
    policy = zoo.policy(name, lora=Lora(r=2), gradient_checkpointing=True)
    policy.eos_ids = (*policy.eos_ids, *range(20, 60))  # so that rows end, and leave
    prompts = prompts_of(policy, zoo.clip(tmp_path / "clip.mp4"))
    groups = sample(policy, prompts, max_new_tokens=12)
    pack = pack_of(prompts, groups)
    assert len({len(r.token_ids) for g in groups for r in g}) > 1
    torch.testing.assert_close(policy(pack).logp, pack.behaviour, atol=1e-5, rtol=0)


def test_temperature_belongs_to_the_distribution(qwen):
    prompts = prompts_of(qwen)
    pack = pack_of(prompts, sample(qwen, prompts, temperature=0.5))
    with torch.no_grad():
        wrong = qwen(pack).logp
        qwen.set_sampling(temperature=0.5)
        right = qwen(pack).logp
        qwen.set_sampling()
    torch.testing.assert_close(right, pack.behaviour, atol=1e-5, rtol=0)
    assert (wrong - pack.behaviour).abs().max() > 0.1


@pytest.mark.parametrize("cut", [{"top_k": 5}, {"top_p": 0.6}, {"top_k": 20, "top_p": 0.8}])
def test_truncation_renormalises_on_the_kept_ids(qwen, cut):
    prompts = prompts_of(qwen)
    groups = sample(qwen, prompts, temperature=1.3, **cut)
    for rollout in (r for g in groups for r in g):
        assert len(rollout.kept_ids) == len(rollout.token_ids)
        for token, kept in zip(rollout.token_ids, rollout.kept_ids, strict=True):
            assert token in kept
            assert "top_k" not in cut or len(kept) <= cut["top_k"]
    pack = pack_of(prompts, groups)
    qwen.set_sampling(temperature=1.3, **cut)
    with torch.no_grad():
        logp = qwen(pack).logp
        everywhere = qwen(pack_of(prompts, sample(qwen, prompts, temperature=1.3))).logp
    qwen.set_sampling()
    torch.testing.assert_close(logp, pack.behaviour, atol=1e-5, rtol=0)
    assert torch.isfinite(everywhere).all()


def test_placeholders_are_never_sampled(tmp_path):
    """Their logits are made huge; what is sampled are other ids and the learner is finite."""
    policy = zoo.policy("internvl")
    head = policy.core.lm_head
    bias = torch.zeros(head.weight.shape[0])
    bias[list(policy.banned_ids)] = 1e4
    head.bias = torch.nn.Parameter(bias)
    prompts = prompts_of(policy, zoo.clip(tmp_path / "clip.mp4"))
    for settings in ({}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.5}):
        groups = sample(policy, prompts, **settings)
        used = {i for g in groups for r in g for i in r.token_ids}
        assert not used & set(policy.banned_ids)
    assert policy.core.config.image_token_id in policy.banned_ids
    pack = pack_of(prompts, sample(policy, prompts))
    torch.testing.assert_close(policy(pack).logp, pack.behaviour, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["qwen2.5-vl", "smolvlm"])
def test_a_rollout_does_not_depend_on_its_batch(name):
    """Alone (no padding), among longer prompts (left padding), in small cache batches."""
    policy = zoo.policy(name)
    prompts = prompts_of(policy)
    together = sample(policy, prompts, max_new_tokens=16)
    small = HFSampler(policy, max_cache_tokens=150, prefill_tokens=1)
    split = small.sample(
        prompts,
        group_size=3,
        seeds=[[10 * p + g for g in range(3)] for p in range(3)],
        sampling=Sampling(max_new_tokens=16),
        policy_step=7,
    )
    for p, prompt in enumerate(prompts):
        alone = sample(policy, [prompt], first=10 * p, max_new_tokens=16)[0]
        for a, b, c in zip(alone, together[p], split[p], strict=True):
            assert a.token_ids == b.token_ids == c.token_ids
            torch.testing.assert_close(
                torch.tensor(a.logps), torch.tensor(b.logps), atol=1e-5, rtol=0
            )


def test_seeds_alone_decide(qwen):
    prompts = prompts_of(qwen)[:1]
    first, again = sample(qwen, prompts)[0], sample(qwen, prompts)[0]
    assert [r.token_ids for r in first] == [r.token_ids for r in again]
    assert len({r.token_ids for r in first}) == 3
    assert [r.seed for r in first] == [0, 1, 2]
    torch.manual_seed(0)
    assert [r.token_ids for r in sample(qwen, prompts, first=99)[0]] != [r.token_ids for r in first]


def test_greedy_takes_the_most_likely(qwen):
    prompts = prompts_of(qwen)
    groups = sample(qwen, prompts, temperature=0.0, size=2)
    for prompt, (one, two) in zip(prompts, groups, strict=True):
        assert one.token_ids == two.token_ids
        row = qwen.core.model(
            **_inputs(qwen, prompt), mm_encoder_outputs=qwen.vision_outputs([prompt])
        ).last_hidden_state[0, -1]
        scores = qwen.space.scores(qwen.core.lm_head(row))
        assert one.token_ids[0] == int(scores.argmax())
        assert one.logps[0] == pytest.approx(float(scores.log_softmax(-1).max()), abs=1e-5)


def _inputs(policy, prompt):
    positions = prompt.vision.positions if prompt.vision else torch.arange(len(prompt.token_ids))
    positions = positions.expand(3, -1) if positions.ndim == 1 else positions
    ids = torch.tensor([prompt.token_ids])
    return {"input_ids": ids, "position_ids": positions[:, None]}


def fixed(policy, tokens):
    """Makes the policy say `tokens`, one after the other, whatever the prompt."""

    class Head(torch.nn.Module):
        weight = policy.core.lm_head.weight

        def __init__(self):
            super().__init__()
            self.calls = 0

        def forward(self, hidden):
            logits = torch.full((len(hidden), self.weight.shape[0]), -50.0)
            logits[:, tokens[min(self.calls, len(tokens) - 1)]] = 50.0
            self.calls += 1
            return logits

    policy.core.lm_head = Head()
    policy.core.get_output_embeddings = lambda: policy.core.lm_head


def test_stop_reasons():
    policy = zoo.policy("qwen2-vl")
    prompt = policy.encode(zoo.user("say"))
    said = [*policy.encode_text("a</answer>b"), policy.eos_ids[0]]
    weight = policy.core.lm_head

    def ending(**settings):
        policy.core.lm_head = weight
        fixed(policy, said)
        return sample(policy, [prompt], size=1, **({"max_new_tokens": 30} | settings))[0][0]

    rollout = ending()
    assert (rollout.stop, rollout.text) == (StopReason.EOS, "a</answer>b")
    assert rollout.token_ids == tuple(said)
    assert rollout.parsed.verdict is Verdict.NO_ANSWER
    rollout = ending(max_new_tokens=4)
    assert (rollout.stop, rollout.text) == (StopReason.LENGTH, "a</a")
    assert rollout.truncated
    rollout = ending(stop=("</answer>",))
    assert (rollout.stop, rollout.text) == (StopReason.STOP_TEXT, "a</answer>")
    assert rollout.policy_step == 7
    assert rollout.offsets == tuple(range(10))


def test_seeds_must_fit(qwen):
    with pytest.raises(PolicyError, match="3 numbers for each of 1 prompts"):
        HFSampler(qwen).sample(
            prompts_of(qwen)[:1],
            group_size=3,
            seeds=[[1, 2]],
            sampling=Sampling(),
            policy_step=0,
        )
    with pytest.raises(PolicyError, match="max_new_tokens must be at least 1, got 0"):
        Sampling(max_new_tokens=0)


def test_a_group_is_told_of_when_its_last_rollout_ends_and_not_later(qwen):
    """Some rows end early; what is told is what is returned, and the quick do not wait."""
    eos = qwen.eos_ids
    qwen.eos_ids = (*eos, *range(20, 60))
    prompts = prompts_of(qwen)
    told, alive = {}, {}
    seeds = [[10 * p + g for g in range(2)] for p in range(len(prompts))]
    tokens = []

    def finished(place, rollouts):
        told[place] = rollouts
        alive[place] = len(tokens)

    decoder = qwen.core.model.register_forward_hook(lambda *_: tokens.append(1))
    try:
        sampler = HFSampler(qwen)
        groups = sampler.sample(
            prompts,
            group_size=2,
            seeds=seeds,
            sampling=Sampling(max_new_tokens=24),
            policy_step=0,
            finished=finished,
        )
    finally:
        decoder.remove()
        qwen.eos_ids = eos
    assert [told[p] for p in range(len(prompts))] == groups
    longest = [max(len(r.token_ids) for r in group) for group in groups]
    assert len(set(longest)) > 1
    # the forward pass before token t is number t, the prefill number 1
    assert [alive[p] for p in range(len(prompts))] == longest
