"""Rewards that run elsewhere begin while other groups are still being sampled."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from builders import CLOCK

from mmrl.policy.scripted import Scripted
from mmrl.rewards.combine import weighted_sum
from mmrl.roles import Decision, Reward
from mmrl.rollout.hf import Sampling
from mmrl.rollout.plan import GroupOf
from mmrl.sources.pool import Pool
from mmrl.tasks.base import TASKS, Task
from mmrl.train.collector import Collector
from mmrl.train.models import Doors
from mmrl.train.ranks import Ranks
from mmrl.train.score import Scorer
from mmrl.types import Sample


def half(rollout, sample, evidence=None, clock=None, /):
    return 0.5


USERS = Reward(name="users", fn=half, isolated=True)
ROWS = [Sample(id=name, task="beside", question=name) for name in ("a", "b", "c")]


class Diary(Scripted):
    """Writes down when each prompt's rollouts were finished."""

    def __init__(self, events):
        super().__init__({row.question: ["yes", "no"] for row in ROWS})
        self.events = events

    def _rollout(self, prompt, text, *rest):
        self.events.append(f"write {prompt.messages[0]['content'][-1]['text']}")
        return super()._rollout(prompt, text, *rest)


class Elsewhere:
    """Stands for the workers: notes when a group is sent and when its result is wanted."""

    def __init__(self, events):
        self.events = events

    def submit(self, reward, group, clock, /):
        self.events.append(f"send {group.sample.id}")
        return group

    def result(self, handle, /):
        self.events.append(f"wait {handle.sample.id}")
        return [0.5] * len(handle), [None] * len(handle)


def collect(probes):
    events: list[str] = []
    policy = Diary(events)
    settings = SimpleNamespace(max_new_tokens=8, temperature=1.0, top_k=0, top_p=1.0, stop=())
    models = Doors(policy, policy, settings, seed=0, isolated=Elsewhere(events))
    assert models.sampling == Sampling(max_new_tokens=8)
    scorer = Scorer(
        rewards={"beside": (USERS,)}, bonuses=(), combine=weighted_sum, isolated=models.isolated
    )
    collector = Collector(
        source=Pool(ROWS, seed=0),
        plan=GroupOf(2),
        probes=probes,
        scorer=scorer,
        gate=lambda scored: Decision(),
        models=models,
        ranks=Ranks(),
        size=3,
        max_draws=3,
        skip_bad_media=True,
    )
    batch = collector.next(CLOCK)
    assert [g.parts["users"] for g in batch.groups] == [(0.5, 0.5)] * 3
    return events, [g.group.sample.id for g in batch.groups]


@pytest.fixture(autouse=True)
def task(monkeypatch):
    made = Task(
        name="beside",
        template="{question}",
        rewards=(USERS,),
        score=half,
        gold=lambda sample: "yes",
    )
    monkeypatch.setitem(TASKS._parts, "beside", made)


def test_a_group_is_sent_before_the_next_is_written_and_only_once():
    events, order = collect(probes=())
    one, two, three = order
    assert events == [
        *(f"write {one}", f"write {one}", f"send {one}"),
        *(f"write {two}", f"write {two}", f"send {two}"),
        *(f"write {three}", f"write {three}", f"send {three}"),
        *(f"wait {one}", f"wait {two}", f"wait {three}"),
    ]


def test_with_a_probe_nothing_is_sent_before_its_evidence():
    class Evidence:
        pass

    class Ask:
        provides = Evidence

        def __call__(self, groups, models, clock, /):
            return [[Evidence() for _ in group.rollouts] for group in groups]

    events, order = collect(probes=(Ask(),))
    assert [e.split()[0] for e in events] == ["write"] * 6 + ["send"] * 3 + ["wait"] * 3
    assert [e.split()[1] for e in events[6:9]] == order
