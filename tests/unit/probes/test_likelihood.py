"""Answers' likelihood under a lent model, against plain forward passes of one row at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import zoo
from builders import CLOCK, a_rollout, a_sample

from mmrl.errors import PolicyError
from mmrl.parse.completion import parse_completion
from mmrl.policy.companions import Ema
from mmrl.policy.frozen import Frozen
from mmrl.probes.likelihood import LikelihoodProbe, Row, row_logps
from mmrl.rewards.care import ReferenceLikelihood
from mmrl.types import Group, Segment

TEXTS = (
    "<think>a red one</think><answer>B</answer>",
    "<think>x</think><answer> red cat </answer>",
    "<think>no answer</think>",
    "<think>y</think><answer>A</answer><answer>C",
)
TINY = Path(__file__).parents[3] / "assets" / "tiny-vlm"


def plain_logps(policy, prompt, ids):
    """Log-prob of each id, alone in the model's own forward (prompts without pictures)."""
    policy.core.model.rope_deltas = None
    out = policy.core(input_ids=torch.tensor([[*prompt.token_ids, *ids]]))
    logits = out.logits[0, len(prompt.token_ids) - 1 : -1].double()
    logits[:, list(policy.banned_ids)] = float("-inf")
    return logits.log_softmax(-1)[torch.arange(len(ids)), list(ids)].tolist()


def rollout_of(policy, prompt, text):
    ids = (*policy.encode_text(text), policy.eos_ids[0])
    num = len(ids)
    segment = Segment(token_ids=ids, sampled=True, logps=(0.0,) * num, trainable=(True,) * num)
    return replace(
        a_rollout("x"),
        prompt=prompt,
        sampled_under=prompt,
        segments=(segment,),
        text=text,
        offsets=policy.offsets(ids),
        parsed=parse_completion(text),
    )


def groups_of(policy):
    return [
        Group(
            draw_id=str(i),
            sample=a_sample(),
            rollouts=tuple(rollout_of(policy, policy.encode(zoo.user(q)), t) for t in TEXTS),
        )
        for i, q in enumerate(("what?", "and this one?"))
    ]


def answers(policy, text):
    """The last complete answer's own tokens: byte-level, so one a character."""
    return len(policy.encode_text((parse_completion(text).answer or "").strip()))


@pytest.mark.parametrize("tokens_per_pack", [1, 90, 10_000])
def test_rows_by_definition_whatever_is_sampled(tokens_per_pack):
    policy = zoo.policy("qwen2.5-vl")
    policy.set_sampling(temperature=0.7, top_k=5)
    one, two = (policy.encode(zoo.user(text)) for text in ("one", "another prompt"))
    rows = [
        Row(prompt=p, token_ids=tuple(range(40, 40 + n))) for p, n in ((one, 4), (one, 7), (two, 1))
    ]
    got = row_logps(policy, rows, tokens_per_pack=tokens_per_pack)
    with torch.no_grad():
        for row, logps in zip(rows, got, strict=True):
            assert logps == pytest.approx(plain_logps(policy, row.prompt, row.token_ids), abs=1e-5)
    assert policy.space.temperature == 0.7 and policy.space.top_k == 5


def test_answers_are_read_under_the_average_and_the_policy_is_untouched():
    policy = zoo.policy("qwen2.5-vl")
    models, ema = SimpleNamespace(policy=policy), Ema(decay=0.5)
    ema.prepare(models)
    with torch.no_grad():
        for weight in policy.trainable().values():
            weight.mul_(1.3)
    groups, held = groups_of(policy), policy.trainable_state()
    found = LikelihoodProbe(ema)(groups, models, CLOCK)
    assert all(torch.equal(held[n], w) for n, w in policy.trainable().items())
    assert [len(group) for group in found] == [4, 4]
    with torch.no_grad():
        moved = plain_logps(policy, groups[0].rollouts[0].prompt, groups[0].rollouts[0].token_ids)
        for weight in policy.trainable().values():
            weight.div_(1.3)
        for group, evidence_G in zip(groups, found, strict=True):
            for rollout, evidence in zip(group.rollouts, evidence_G, strict=True):
                logps = plain_logps(policy, rollout.prompt, rollout.token_ids)
                begin = (rollout.parsed.answer_span or (0, 0))[0]
                begin += rollout.text[begin:].startswith(" ")
                num = answers(policy, rollout.text)
                first = rollout.offsets.index(begin)
                assert len(evidence.logps) == num
                assert evidence.logps == pytest.approx(logps[first : first + num], abs=1e-5)
    at = groups[0].rollouts[0].offsets.index(groups[0].rollouts[0].text.index("B<"))
    assert abs(moved[at] - found[0][0].logps[0]) > 1e-3  # the policy itself says another number
    assert found[0][0].probability == pytest.approx(math.exp(found[0][0].logps[0]))
    assert found[0][2] == ReferenceLikelihood(logps=())


def test_another_model_reads_the_text_in_its_own_tokens():
    policy = zoo.policy("qwen2.5-vl")
    models, frozen = SimpleNamespace(policy=policy), Frozen(TINY)
    groups = groups_of(policy)
    found = LikelihoodProbe(frozen)(groups, models, CLOCK)
    with frozen.applied(models) as other, torch.no_grad():
        text = TEXTS[0]
        ids = other.encode_text(text)
        assert ids != groups[0].rollouts[0].token_ids[:-1]
        prompt = other.encode(zoo.user("what?"))
        logps = plain_logps(other, prompt, ids)
        at = other.offsets(ids).index(text.index("B<"))
        assert found[0][0].logps == pytest.approx((logps[at],), abs=1e-5)
    assert found[0][2].logps == ()


def test_an_average_that_nobody_prepared_says_what_is_missing():
    policy = zoo.policy("qwen2.5-vl")
    with pytest.raises(PolicyError, match="must stand among the method's companions"):
        LikelihoodProbe(Ema())(groups_of(policy), SimpleNamespace(policy=policy), CLOCK)
