"""What `mmrl replicate listener` measures: what a frozen listener makes of reasoning about pairs.

All arms are heard by the model that they started from, with each pair in both orders. The
mechanisms are of the shipped model's own completions of fixed pairs, without training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from mmrl.config.load import load_run
from mmrl.config.schema import RolloutConfig
from mmrl.eval.replicate.trained import Trained, open_doors
from mmrl.methods.base import method_spec
from mmrl.policy.frozen import Frozen
from mmrl.policy.load import load_policy
from mmrl.probes.listener import ListenerProbe, LocalListener
from mmrl.rewards.listener import ListenerConfidence, ListenerReward, contradicts_reward
from mmrl.rewards.preference import preference_reward, verdict_of
from mmrl.rollout.hf import HFSampler
from mmrl.rollout.plan import GroupOf
from mmrl.tasks.base import TASKS
from mmrl.train.models import Doors
from mmrl.train.score import Scorer
from mmrl.types import Clock, Group, Rollout, Sample, ScoredGroup, StopReason

CLOCK = Clock(step=0, stage="measure", stage_step=0, stage_steps=1)
MODEL = Path(__file__).resolve().parents[2] / "assets" / "tiny-vlm"
BATCH = 64
PAIRS, SIZE = 64, 8
"""Of the mechanisms: pairs a seed, completions of each."""
APART = 0.05
"""Of two completions of the same value, one convinces more if p is higher by at least this."""

_heard: dict[Path | int, list[Group]] = {}
"""By run folder, or by the seed of a mechanism: the listener is asked once."""


def contradiction(trained: Trained) -> float:
    """Share of verdicts that are not the candidate that the listener believes in."""
    return mean(
        contradicts_reward(rollout, group.sample, evidence, CLOCK)
        for group, rollout, evidence in judged(heard(trained))
    )


def doubt(trained: Trained) -> float:
    """Mean of 1 - the probability that the listener gives to the verdict."""
    return mean(
        doubted(rollout, evidence[ListenerConfidence])
        for _, rollout, evidence in judged(heard(trained))
    )


def persuasion(trained: Trained) -> float:
    """Mean probability that the listener gives to the label, 0 where the reward has it 0.

    So a completion that is malformed, or without a verdict, convinces nobody.
    """
    label = ListenerReward("label")
    return fmean(
        label(rollout, group.sample, evidence, CLOCK) or 0.0
        for group in heard(trained)
        for rollout, evidence in of_rollouts(group)
    )


def heard(trained: Trained) -> list[Group]:
    """The sampled completions of the evaluation `test`, with what the start model makes of them."""
    if trained.folder not in _heard:
        shown = {sample.id: sample for sample in trained.samples["test"]}
        start = Path(load_run(trained.folder / "config.yaml").policy.model)
        with open_doors(trained.folder, start) as doors:
            items = trained.evaluations["test"].items
            groups = [as_group(doors, shown[item.id], item.texts) for item in items]
            _heard[trained.folder] = listened(doors, groups)
    return _heard[trained.folder]


def as_group(doors: Doors, sample: Sample, texts: Sequence[str]) -> Group:
    """Stored completions as rollouts that a probe can read."""
    prompt, parse = doors.encode(sample), TASKS.get(sample.task).parse
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            sampled_under=prompt,
            segments=(),
            text=text,
            offsets=(),
            parsed=parse(text),
            stop=StopReason.EOS,
            policy_step=0,
        )
        for text in texts
    )
    return Group(draw_id=sample.id, sample=sample, rollouts=rollouts)


def listened(doors: Doors, groups: Sequence[Group]) -> list[Group]:
    """The groups with the evidence of a listener that is the doors' policy as it is."""
    frozen = Frozen()
    frozen.prepare(doors)
    probe = ListenerProbe(LocalListener(frozen))
    found: list[Group] = []
    for i in range(0, len(groups), BATCH):
        some = groups[i : i + BATCH]
        for group, evidence in zip(some, probe(some, doors, CLOCK), strict=True):
            found.append(replace(group, evidence={ListenerConfidence: tuple(evidence)}))
    return found


def of_rollouts(group: Group) -> list[tuple[Rollout, Mapping[type, ListenerConfidence]]]:
    """Each rollout with its own evidence."""
    listened_to = group.evidence[ListenerConfidence]
    return [(r, {ListenerConfidence: e}) for r, e in zip(group.rollouts, listened_to, strict=True)]


Judged = tuple[Group, Rollout, Mapping[type, ListenerConfidence]]


def judged(groups: Sequence[Group]) -> list[Judged]:
    """The rollouts with a verdict that were heard: those that a listener can contradict."""
    return [
        (group, rollout, evidence)
        for group in groups
        for rollout, evidence in of_rollouts(group)
        if verdict_of(rollout) is not None
        and evidence[ListenerConfidence].probabilities is not None
    ]


def doubted(rollout: Rollout, confidence: ListenerConfidence) -> float:
    """1 - the probability that the listener gives to the rollout's verdict."""
    said, p = verdict_of(rollout), confidence.probabilities
    return math.nan if said is None or p is None else 1.0 - p[said.better]


def mean(values: Iterable[float]) -> float:
    """Their mean, NaN where there are none."""
    found = list(values)
    return fmean(found) if found else math.nan


# mechanisms: completions of the shipped model


def diagnosis(seed: int) -> Mapping[str, float]:
    """Share of right verdicts, where the listener contradicts and where it does not."""
    rows = [
        (
            contradicts_reward(rollout, group.sample, evidence, CLOCK),
            preference_reward(rollout, group.sample),
        )
        for group, rollout, evidence in judged(untrained(seed))
    ]
    return {
        "contradicted": mean(right for against, right in rows if against),
        "agreed": mean(right for against, right in rows if not against),
    }


def order(seed: int) -> Mapping[str, float]:
    """How often the more convincing of two completions equal in format and right earns more."""
    return {name: fmean(_ordered(groups)) for name, groups in scored(untrained(seed)).items()}


def _ordered(groups: Sequence[ScoredGroup]) -> list[float]:
    found = []
    for group in groups:
        form, right, p = (group.parts[name] for name in ("format", "preference", "listener"))
        for i in range(len(p)):
            for j in range(len(p)):
                same = form[i] == form[j] and right[i] == right[j]
                if same and (p[i] or 0.0) > (p[j] or 0.0) + APART:
                    found.append(float((group.rewards[i] or 0.0) > (group.rewards[j] or 0.0)))
    return found


def flat(seed: int) -> Mapping[str, float]:
    """Share of groups whose rewards differ by less than 0.01."""
    return {
        name: fmean(float(group.spread < 0.01) for group in groups)
        for name, groups in scored(untrained(seed)).items()
    }


def scored(groups: Sequence[Group]) -> dict[str, list[ScoredGroup]]:
    """The same completions under the rewards of both arms."""
    task, found = TASKS.get("picture_pair"), {}
    for name, weight in (("listener", 0.5), ("grpo", 0.0)):
        made = method_spec({"name": "listener", "listener_weight": weight}).build(task)
        scorer = Scorer(rewards={task.name: made.rewards}, bonuses=(), combine=made.combine)
        found[name] = scorer(groups, CLOCK)
    return found


def untrained(seed: int) -> list[Group]:
    """The shipped model's completions of fixed pairs, and what it makes of them as a listener."""
    if seed not in _heard:
        policy = load_policy(MODEL, device="cpu")
        policy.set_sampling()
        doors = Doors(policy, HFSampler(policy), RolloutConfig(max_new_tokens=64), seed=seed)
        world = TASKS.get("picture_pair").world
        assert world is not None
        pairs = [world(i, split="val", seed=seed, level="easy") for i in range(PAIRS)]
        draws = [(f"0.{i}", pair) for i, pair in enumerate(pairs)]
        _heard[seed] = listened(doors, GroupOf(SIZE)(draws, doors, CLOCK))
    return _heard[seed]
