"""Plans: groups by draw id; episodes against a scripted environment."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import zoo
from plain import make_pack

from mmrl.errors import PolicyError
from mmrl.policy.scripted import END, Scripted
from mmrl.rollout.environment import Done, Episodes, Observation, Outcome
from mmrl.rollout.hf import HFSampler, Sampling
from mmrl.rollout.plan import GroupOf
from mmrl.seeds import seed_of
from mmrl.types import Clock, MediaRef, Sample, StopReason, Verdict

CLOCK = Clock(step=4, stage="s", stage_step=4, stage_steps=10)
SAMPLE = Sample(id="a", task="t", question="guess")


class Guess:
    """Wants the digit 7; says higher or lower."""

    def __init__(self, sample):
        self.texts = []

    def reset(self, sample, /):
        return Observation(text="between 0 and 9")

    def step(self, text, /):
        self.texts.append(text)
        number = int(text[-1]) if text[-1:].isdigit() else 0
        if number == 7:
            return Done(score=1.0 / len(self.texts))
        return Observation(text="higher" if number < 7 else "lower")


class Doors:
    """What a plan asks of the models."""

    def __init__(self, policy, sampler, **sampling):
        self.policy, self.sampler, self.seed = policy, sampler, 11
        self.sampling = Sampling(**sampling)

    def encode(self, sample):
        return self.policy.encode(zoo.user(sample.question))

    def sample(self, samples, prompts, *, seeds, temperature, policy_step):
        return self.sampler.sample(
            prompts,
            group_size=len(seeds[0]),
            seeds=seeds,
            sampling=self.sampling,
            policy_step=policy_step,
        )


class Speaker(Scripted):
    """Says 3, then 7 after "higher": answers its context, as a model would."""

    def extend(self, prompt, ids):
        said = self.decode(ids)
        return self.encode(zoo.user("again" if "higher" in said else "guess"))

    def observation_ids(self, text, *, ended):
        return self.encode_text(f"[{text}]")


def test_scripted_episode_by_hand():
    policy = Speaker({"guess": ["I say 3"], "again": ["<think>7?</think><answer>7</answer>7"]})
    plan = Episodes(size=2, make=Guess, max_turns=5)
    (group,) = plan([("d0", SAMPLE)], Doors(policy, policy), CLOCK)
    assert group.draw_id == "d0"
    assert [o.done.score for o in group.evidence[Outcome]] == [0.5, 0.5]
    rollout = group.rollouts[0]
    assert rollout.text == "I say 3[higher]<think>7?</think><answer>7</answer>7"
    assert rollout.stop is StopReason.ENVIRONMENT
    assert [s.sampled for s in rollout.segments] == [True, False, True]
    ids = rollout.token_ids
    assert ids == (*map(ord, "I say 3"), END, *map(ord, rollout.text[7:]), END)
    assert [i for i, t in zip(ids, rollout.trainable, strict=True) if not t] == [
        ord(c) for c in "[higher]"
    ]
    assert all(x == 0.0 for x, t in zip(rollout.logps, rollout.trainable, strict=True) if not t)
    assert rollout.parsed.verdict is Verdict.EXTRA_TEXT
    begin, end = rollout.parsed.answer_span
    assert rollout.text[begin:end] == rollout.parsed.answer == "7"
    assert [rollout.text[o] for o in rollout.offsets[8:16]] == list("[higher]")
    # the first observation went into the prompt
    assert rollout.prompt.messages[-1]["content"][-1]["text"] == "\nbetween 0 and 9"


def test_episodes_end_when_the_turns_are_used_up():
    policy = Speaker({"guess": ["1"], "again": ["2"]})
    (group,) = Episodes(size=1, make=Guess, max_turns=3)(
        [("d", SAMPLE)], Doors(policy, policy), CLOCK
    )
    (outcome,) = group.evidence[Outcome]
    assert (outcome.done, outcome.turns) == (None, 3)
    assert group.rollouts[0].stop is StopReason.LENGTH
    assert group.rollouts[0].segments[-1].sampled  # no observation that nobody answers
    (group,) = Episodes(size=1, make=Guess, max_turns=3)(
        [("d", SAMPLE)], Doors(policy, policy, max_new_tokens=1), CLOCK
    )
    assert group.evidence[Outcome][0].turns == 1
    assert group.rollouts[0].stop is StopReason.LENGTH


def test_observed_media_are_refused_in_words():
    class Shows(Guess):
        def step(self, text, /):
            return Observation(text="look", media=(MediaRef(kind="image", data=b"x"),))

    policy = Speaker({"guess": ["1"]})
    with pytest.raises(PolicyError, match="answered with image: observed media are not supported"):
        Episodes(size=1, make=Shows)([("d", SAMPLE)], Doors(policy, policy), CLOCK)


@pytest.mark.parametrize("name", ["qwen2.5-vl", "internvl"])
def test_learner_agrees_on_sampled_turns_and_is_finite_on_observed(name):
    """A real model with a picture in the prompt; the second turn continues behind it."""
    policy = zoo.policy(name)
    doors = Doors(policy, HFSampler(policy), max_new_tokens=6, stop=("9", "e", "f"))
    doors.encode = lambda sample: policy.encode(zoo.user(zoo.picture(1), sample.question))
    policy.eos_ids = (*policy.eos_ids, *range(40, 90))
    groups = Episodes(size=4, make=Guess, max_turns=3)(
        [("d0", SAMPLE), ("d1", SAMPLE)], doors, CLOCK
    )
    rollouts = [r for g in groups for r in g.rollouts]
    assert max(len(r.segments) for r in rollouts) >= 3
    prompts = [r.prompt for r in rollouts]
    pack = make_pack(
        prompts,
        [(i, list(r.token_ids)) for i, r in enumerate(rollouts)],
        behaviour=torch.tensor([x for r in rollouts for x in r.logps]),
        mask=torch.tensor([t for r in rollouts for t in r.trainable]),
    )
    with torch.no_grad():
        logp = policy(pack).logp
    torch.testing.assert_close(logp[pack.mask], pack.behaviour[pack.mask], atol=1e-5, rtol=0)
    assert torch.isfinite(logp).all()
    assert not pack.mask.all()


def test_observation_is_the_templates_user_turn():
    policy = zoo.policy("qwen2-vl")
    end = policy.tokenizer.convert_tokens_to_ids("<|im_end|>")
    text = "\n<|im_start|>user\nno: <|im_end|> is text<|im_end|>\n<|im_start|>assistant\n"
    ended = policy.observation_ids("no: <|im_end|> is text", ended=True)
    cut = policy.observation_ids("no: <|im_end|> is text", ended=False)
    assert policy.tokenizer.decode(ended) == text
    assert cut == (end, *ended)
    assert ended.count(end) == 1


def test_group_of_seeds_by_run_draw_and_place():
    policy = Scripted({"guess": ["x", "y"]})
    doors = Doors(policy, policy)
    one, two = GroupOf(3)([("d0", SAMPLE), ("d1", SAMPLE)], doors, CLOCK)
    assert [r.text for r in one.rollouts] == ["x", "y", "x"]
    assert (one.draw_id, two.draw_id) == ("d0", "d1")
    assert [r.seed for r in two.rollouts] == [seed_of(11, "rollout", "d1", g) for g in range(3)]
    assert len({r.seed for g in (one, two) for r in g.rollouts}) == 6
    assert one.rollouts[0].policy_step == 4


def test_scripted_policy_trains_its_bias_and_names_unknown_questions():
    policy = Scripted({"what is it?": ["<answer>a</answer>"]}, logp=-1.0)
    prompt = policy.encode(zoo.user("please: what is it?"))
    ((rollout,),) = policy.sample(
        [prompt],
        group_size=1,
        seeds=[[0]],
        sampling=SimpleNamespace(max_new_tokens=99),
        policy_step=0,
    )
    assert rollout.parsed.answer == "a"
    assert rollout.logps == (-1.0,) * 19
    pack = make_pack([prompt], [(0, list(rollout.token_ids))])
    policy(pack).logp.sum().backward()
    assert policy.bias.grad == 19
    policy.load_trainable_state({"bias": torch.tensor(0.5)})
    assert policy(pack).logp[0] == -0.5
    assert policy(pack, reference=True).logp[0] == -1.0
    with pytest.raises(PolicyError, match=r'no answer to "what was it\?"'):
        policy.sample(
            [policy.encode(zoo.user("what was it?"))],
            group_size=1,
            seeds=[[0]],
            sampling=Sampling(),
            policy_step=0,
        )
