"""The second answer: what is asked, what is read, what it earns; on scripts and on the tiny VLM."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CLOCK

from mmrl.config.schema import RolloutConfig
from mmrl.errors import ConfigError, MethodError
from mmrl.methods.grpo import Grpo
from mmrl.policy.load import load_policy
from mmrl.policy.scripted import Scripted
from mmrl.probes.second_pass import SecondPass
from mmrl.rewards.choice_consistency import (
    OUTCOMES,
    Consistency,
    SecondAnswer,
    SecondLook,
    outcome_shares,
    watched,
)
from mmrl.rollout.hf import HFSampler
from mmrl.rollout.plan import GroupOf
from mmrl.tasks.base import TASKS
from mmrl.tasks.choice_options import options_of, reordered
from mmrl.train.models import Doors
from mmrl.train.score import Scorer
from mmrl.types import Group, Sample

TINY = Path(__file__).parents[3] / "assets" / "tiny-vlm"
OPTIONS = ("red", "blue", "green", "yellow")


def a_choice(name: str = "s", target: str = "B", options: tuple[str, ...] = OPTIONS) -> Sample:
    listed = " ".join(f"{letter} {text}" for letter, text in zip("ABCD", options, strict=False))
    return Sample(
        id=name,
        task="picture_choice",
        question=f"{name} which: {listed}",
        target=target,
        meta={"options": options} if len(options) > 1 else {},
    )


class Follows(Scripted):
    """First says its script; asked again it answers the letter of the word it reasoned."""

    asked: list[str]

    def _texts(self, prompt, group_size):
        context = self.decode(prompt.token_ids)
        reasoned = re.search(r"<think>(.*?)</think>\s*<answer>$", context, re.DOTALL)
        if reasoned is None:
            return super()._texts(prompt, group_size)
        self.asked.append(context)
        letter = re.search(rf"([A-D]) {reasoned[1].split()[-1]}(?![a-z])", context)
        return [f" {letter[1] if letter else 'none'} </answer>"] * group_size


class Stubborn(Follows):
    """Answers B whatever it reasoned."""

    def _texts(self, prompt, group_size):
        before = len(self.asked)
        texts = super()._texts(prompt, group_size)
        return texts if len(self.asked) == before else ["B</answer>"]


def doors(script, kind=Follows):
    policy = kind(script)
    policy.asked = []
    return Doors(policy, policy, RolloutConfig(max_new_tokens=99), seed=5)


def said(word: str, letter: str, between: str = "</think><answer>") -> str:
    return f"<think>{word}{between}{letter}</answer>"


def groups_of(models, *samples, size: int = 4) -> list[Group]:
    return GroupOf(size)([(f"0.{i}", s) for i, s in enumerate(samples)], models, CLOCK)


def test_options_target_and_question_move_together():
    sample = a_choice(target="B")
    moved = reordered(sample, (3, 2, 0, 1))
    assert moved.question == "s which: A yellow B green C red D blue"
    assert options_of(moved) == ("yellow", "green", "red", "blue")
    assert moved.target == "D" and moved.id == sample.id and sample.target == "B"
    assert reordered(replace(sample, target="A,B"), (3, 2, 0, 1)).target == "C,D"
    assert reordered(replace(sample, target="red"), (3, 2, 0, 1)).target == "red"


def test_the_same_reasoning_is_asked_again_under_a_derangement():
    models = doors({"s": [said("blue", "B"), said("red", "B"), said("blue", "B"), "no tags"]})
    (group,) = groups_of(models, a_choice())
    (answers,) = SecondPass()([group], models, CLOCK)
    order = answers[0].looks[0].order
    assert all(place != old for place, old in enumerate(order))
    assert [a.looks[0].order for a in answers] == [order] * 4  # one order a group
    # consistent; reasoned red but said B (blue); the same again; nothing
    assert [a.content for a in answers] == ["blue", "blue", "blue", None]
    assert [a.looks[0].content for a in answers] == ["blue", "red", "blue", None]
    assert [a.unchanged for a in answers] == [1.0, 0.0, 1.0, 0.0]
    shown = " ".join(f"{'ABCD'[i]} {OPTIONS[o]}" for i, o in enumerate(order))
    assert models.policy.asked == [  # equal contexts are asked once
        f"s which: {shown}<think>blue</think><answer>",
        f"s which: {shown}<think>red</think><answer>",
    ]


def test_white_space_between_the_tags_is_the_rollouts_own():
    models = doors({"s": [said("blue", "B", "\n</think>\n<answer>"), "<think>red</think> so B"]})
    (group,) = groups_of(models, a_choice(), size=2)
    SecondPass()([group], models, CLOCK)
    first, second = models.policy.asked
    assert first.endswith("<think>blue\n</think>\n<answer>")
    assert second.endswith("<think>red</think><answer>")  # no answer of its own: the plain form


@pytest.mark.parametrize(
    ("letters", "want"), [("relabel", "so ({}) is blue"), ("mask", "so (_) is blue")]
)
def test_letters_of_the_reasoning(letters, want):
    models = doors({"s": [said("so (B) is blue", "B")]})
    (group,) = groups_of(models, a_choice(), size=1)
    ((answer,),) = SecondPass(letters=letters)([group], models, CLOCK)
    new = "ABCD"[answer.looks[0].order.index(1)]
    assert models.policy.asked[0].endswith(f"<think>{want.format(new)}</think><answer>")
    SecondPass(letters="keep")([group], models, CLOCK)
    assert models.policy.asked[1].endswith("<think>so (B) is blue</think><answer>")


def test_several_passes_are_different_orders_and_two_options_have_one():
    models = doors({"s": [said("blue", "B")], "t": [said("red", "A")]})
    groups = groups_of(models, a_choice(), a_choice("t", "A", ("red", "blue")), size=2)
    four, two = SecondPass(passes=20)(groups, models, CLOCK)
    assert len({look.order for look in four[0].looks}) == 9  # all derangements of four
    assert [look.order for look in two[0].looks] == [(1, 0)]
    assert four[0].unchanged == 1.0
    again = SecondPass(passes=20)(groups, models, CLOCK)
    assert again == [four, two]


def test_a_position_habit_is_found_by_all_derangements():
    models = doors({"s": [said("blue", "B")]}, Stubborn)
    (group,) = groups_of(models, a_choice(), size=1)
    ((answer,),) = SecondPass(passes=9)([group], models, CLOCK)
    # B shows red, green or yellow in a third of the nine each; never blue
    assert sorted(look.content for look in answer.looks) == 3 * ["green"] + 3 * ["red"] + 3 * [
        "yellow"
    ]
    assert answer.unchanged == 0.0


def test_questions_without_options_have_no_looks_and_mix_with_others():
    models = doors({"s": [said("blue", "B")], "open": [said("x", "B")], "u": [said("red", "A")]})
    samples = [a_choice(), a_choice("open", "B", ()), a_choice("u", "A")]
    samples[1] = replace(samples[1], question="open question")
    groups = groups_of(models, *samples, size=2)
    groups[2] = replace(groups[2], rollouts=groups[2].rollouts[:1])  # ragged
    found = SecondPass()(groups, models, CLOCK)
    assert [len(answers) for answers in found] == [2, 2, 1]
    assert [len(answers[0].looks) for answers in found] == [1, 0, 1]
    assert found[1][0].unchanged is None
    assert found[2][0].looks[0].content == "red"


def test_no_groups_and_one_group_with_nothing_to_ask():
    models = doors({"s": ["no reasoning at all"]})
    assert SecondPass()([], models, CLOCK) == []
    (group,) = groups_of(models, a_choice(), size=1)
    ((answer,),) = SecondPass()([group], models, CLOCK)
    assert answer.looks[0].content is None and answer.looks[0].text == ""


def test_sampled_answers_have_a_seed_of_their_own():
    seen = []

    class Spy(Follows):
        def sample(self, prompts, **given):
            if given["sampling"].stop:
                seen.append((given["seeds"], given["sampling"].temperature, len(prompts)))
            return super().sample(prompts, **given)

    models = doors({"s": [said("blue", "B")]}, Spy)
    (group,) = groups_of(models, a_choice())
    SecondPass(temperature=0.7)([group], models, CLOCK)
    ((seeds, temperature, number),) = seen
    assert temperature == 0.7 and number == 4 and len({s for (s,) in seeds}) == 4


def test_zero_passes_are_refused():
    with pytest.raises(ConfigError, match="passes = 0"):
        SecondPass(passes=0)


# rewards


def look(content: str | None) -> SecondLook:
    return SecondLook(order=(1, 0, 3, 2), text="", content=content)


def value(fn, text: str, *contents: str | None) -> float | None:
    sample = a_choice()  # gold B, blue
    models = doors({"s": [text]})
    rollout = groups_of(models, sample, size=1)[0].rollouts[0]
    evidence = {SecondAnswer: SecondAnswer(content=None, looks=tuple(map(look, contents)))}
    return fn(rollout, sample, evidence, CLOCK)


@pytest.mark.parametrize(
    ("letter", "contents", "want"),
    [
        ("B", ["blue"], 1.0),
        ("B", ["red"], 0.5),
        ("B", [None], 0.5),
        ("C", ["blue"], 0.2),
        ("C", ["green"], 0.0),  # consistent but wrong is wrong
        ("C", ["red"], 0.0),
        ("cat", ["blue"], 0.0),  # an answer that cannot be read earns nothing
        ("B", ["blue", "red"], 0.75),
        ("C", ["blue", "blue", "red", None], 0.1),
        ("B", [], 1.0),  # no options: plain accuracy
        ("C", [], 0.0),
    ],
)
def test_four_outcomes(letter, contents, want):
    assert value(Consistency(), said("x", letter), *contents) == pytest.approx(want)


def test_empty_completion_earns_nothing_though_its_second_look_is_right():
    assert value(Consistency(), "", "blue") == 0.0


@pytest.mark.parametrize(
    "bad", [{"first_right": 1.0}, {"second_right": 0.6}, {"second_right": -0.1}]
)
def test_coefficients_must_be_in_order(bad):
    with pytest.raises(ConfigError, match="both_right > first_right"):
        Consistency(**bad)


def test_watched_shares_add_up_and_weigh_nothing():
    parts = watched()
    assert [part.name for part in parts] == ["unchanged", *OUTCOMES]
    assert all(part.weight == 0.0 for part in parts)
    shares = [value(part.fn, said("x", "B"), "blue", "red", None) for part in parts[1:]]
    assert shares == pytest.approx([1 / 3, 2 / 3, 0.0, 0.0])
    assert [value(part.fn, said("x", "B")) for part in parts] == [None] * 5


def test_evidence_is_plain_values_for_logs_and_other_processes():
    answer = SecondAnswer(content="blue", looks=(look("blue"), look(None)))
    assert json.loads(json.dumps(answer.record())) == {
        "content": "blue",
        "looks": [
            {"order": [1, 0, 3, 2], "text": "", "content": "blue"},
            {"order": [1, 0, 3, 2], "text": "", "content": None},
        ],
        "unchanged": 0.5,
    }
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_a_method_with_the_reward_and_without_the_probe_is_refused():
    task = TASKS.get("picture_choice")
    made = Grpo(max_length=9).build(task)
    rewards = (Consistency().reward(), *made.rewards[1:])
    with pytest.raises(MethodError, match=r"SecondAnswer; no probe.*second_pass\.SecondPass"):
        replace(made, rewards=rewards)
    assert replace(made, rewards=rewards, probes=(SecondPass(),)).probes


# a real model


@pytest.fixture(scope="module")
def tiny():
    policy = load_policy(TINY)
    return Doors(policy, HFSampler(policy), RolloutConfig(max_new_tokens=24), seed=1)


def test_a_real_policy_is_asked_again_and_scored(tiny):
    world = TASKS.get("picture_choice").world
    samples = [world(i, split="val", seed=0) for i in range(3)]
    groups = groups_of(tiny, *samples)
    probe = SecondPass(passes=2)
    found = probe(groups, tiny, CLOCK)
    assert [[len(a.looks) for a in answers] for answers in found] == [[2] * 4] * 3
    read = [look.content for answers in found for a in answers for look in a.looks]
    assert sum(content is not None for content in read) >= 20  # of 24: it knows the form
    alone = [a for group in groups for a in probe([group], tiny, CLOCK)]
    assert alone == found  # what a group gets does not depend on who shares its batch
    seen = [
        replace(group, evidence={SecondAnswer: tuple(answers)})
        for group, answers in zip(groups, found, strict=True)
    ]
    task = TASKS.get("picture_choice")
    parts = (Consistency().reward(), *task.rewards[1:], *watched())
    scorer = Scorer(
        rewards={"picture_choice": parts}, bonuses=(), combine=lambda p, *_: sum(p.values())
    )
    for scored in scorer(seen, CLOCK):
        for g, rollout in enumerate(scored.group.rollouts):
            answer = scored.group.evidence[SecondAnswer][g]
            shares = outcome_shares(rollout, scored.group.sample, answer)
            assert sum(shares.values()) == pytest.approx(1.0)
            assert scored.parts["consistency"][g] == pytest.approx(
                shares["both_right"] + 0.5 * shares["first_right"] + 0.2 * shares["second_right"]
            )


def test_greedy_second_answer_under_the_old_order_is_the_greedy_answer(tiny):
    """The context that the probe builds is the one that the rollout was in: same answer again."""
    world = TASKS.get("picture_choice").world
    sample = world(3, split="val", seed=0)
    greedy = tiny.sample(
        [sample], [tiny.encode(sample)], seeds=[[0]], temperature=0.0, policy_step=0
    )[0][0]
    assert greedy.parsed.answer
    group = Group(draw_id="0.0", sample=sample, rollouts=(greedy,))
    probe = SecondPass()
    (asked,) = probe._ask(0, group, 0, (0, 1, 2, 3), tiny)
    begin = greedy.parsed.answer_span[0]
    assert tiny.policy.decode(asked.prompt.token_ids).endswith(greedy.text[:begin])
    own = [t for t, at in enumerate(greedy.offsets) if at < begin]
    assert asked.prompt.token_ids[-len(own) :] == greedy.token_ids[: len(own)]
    (text,) = probe._answers([asked], tiny, CLOCK).values()
    assert text == greedy.text[slice(*greedy.parsed.answer_span)]
