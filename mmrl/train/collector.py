"""Draws samples, samples groups, scores them and lets the gate decide, until a step is full.

Every rank draws the same samples from the same source state and works on its share; what sources
and gates observe are the groups of all ranks in one order, so their states stay equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mmrl.errors import MediaError, PolicyError
from mmrl.roles import GateAction, Source
from mmrl.train.ranks import Ranks
from mmrl.train.score import Scorer
from mmrl.types import Clock, Demonstration, Group, Rollout, Sample, ScoredGroup


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """What a step trains on: this rank's groups, all ranks' groups, and what was left out."""

    groups: tuple[ScoredGroup, ...]
    everyone: tuple[ScoredGroup, ...]
    """Kept groups of all ranks in draw order (without pixels when there are several ranks)."""
    demonstrations: tuple[Demonstration, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> number of groups a gate refused."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> number of samples whose media or length made them unusable."""
    num_draws: int = 0
    observed: tuple[ScoredGroup, ...] = ()
    """All scored groups, kept and dropped."""


class Collector:
    """Fills a step with `size` groups, drawing at most `max_draws` samples for it."""

    def __init__(
        self,
        *,
        source: Source,
        plan: Any,
        probes: Sequence[Any],
        scorer: Scorer,
        gate: Any,
        models: Any,
        ranks: Ranks,
        size: int,
        max_draws: int,
        skip_bad_media: bool,
    ) -> None:
        self.source, self.plan, self.probes, self.scorer = source, plan, probes, scorer
        self.gate, self.models, self.ranks = gate, models, ranks
        self.size, self.max_draws, self.skip_bad_media = size, max_draws, skip_bad_media

    def next(self, clock: Clock) -> Batch:
        """One step's batch; it holds fewer than `size` groups when `max_draws` is used up."""
        self._own: dict[str, ScoredGroup] = {}
        kept: list[tuple[int, ScoredGroup]] = []
        observed: list[ScoredGroup] = []
        dropped: Counter[str] = Counter()
        skipped: Counter[str] = Counter()
        drawn = 0
        while len(kept) < self.size and drawn < self.max_draws:
            want = min(self.size - len(kept), self.max_draws - drawn)
            samples = self.source.draw(want)
            draws = [
                (f"{clock.step}.{drawn + k}", s)
                for k, s in enumerate(samples)
                if isinstance(s, Sample)
            ]
            drawn += want
            scored, bad = self._round(draws, clock)
            skipped.update(bad)
            self.source.observe([group for _, group in scored])
            observed.extend(group for _, group in scored)
            for owner, group in scored:
                decision = self.gate(group)
                if decision.action is GateAction.DROP:
                    dropped[decision.reason or "dropped"] += 1
                else:
                    kept.extend([(owner, group)] * decision.repeat)
        kept = kept[: self.size]
        return Batch(
            groups=tuple(self._own[g.group.draw_id] for o, g in kept if o == self.ranks.index),
            everyone=tuple(g for _, g in kept),
            dropped=dict(dropped),
            skipped=dict(skipped),
            num_draws=drawn,
            observed=tuple(observed),
        )

    def look_ahead(self) -> None:
        """Lets media of the next step be read while this one trains."""
        prefetch_next(self.source, self.size, self.models, self.ranks)

    def _round(
        self, draws: Sequence[tuple[str, Sample]], clock: Clock
    ) -> tuple[list[tuple[int, ScoredGroup]], Counter[str]]:
        """Samples and scores this rank's share; returns everyone's, in draw order."""
        mine = draws[self.ranks.index :: self.ranks.size]
        usable, bad = [], Counter[str]()
        for draw_id, sample in mine:
            try:
                self.models.encode(sample)
            except (MediaError, PolicyError) as error:
                if not self.skip_bad_media:
                    raise
                bad[getattr(error, "reason", "prompt")] += 1
                self.models.report_bad(sample, error)
                continue
            usable.append((draw_id, sample))
        drawn = {draw_id for draw_id, _ in usable}

        def begin(group: Group) -> None:
            if group.draw_id in drawn:  # a contrast is not judged by itself
                self.scorer.start(group, clock)

        self.models.on_group = None if self.probes else begin  # probes come before rewards
        groups = list(self.plan(usable, self.models, clock)) if usable else []
        for probe in self.probes:
            groups = _with_evidence(groups, probe.provides, probe(groups, self.models, clock))
        scored = self.scorer(groups, clock)
        self._own.update({s.group.draw_id: s for s in scored})
        if self.ranks.size == 1:
            return [(0, s) for s in scored], bad
        gathered = self.ranks.gather([(self.ranks.index, _without_pixels(s)) for s in scored])
        gathered.sort(key=lambda item: int(item[1].group.draw_id.split(".")[1]))
        total = Counter[str]()
        for reason, number in self.ranks.gather(list(bad.items())):
            total[reason] += number
        return gathered, total


def prefetch_next(source: Source, size: int, models: Any, ranks: Ranks) -> None:
    """Starts reading the media of this rank's share of the next draw, where it can be foretold."""
    peek = getattr(source, "peek", None)
    if peek is not None:
        mine = peek(size)[ranks.index :: ranks.size]
        models.prefetch([s for s in mine if isinstance(s, Sample)])


def _with_evidence(
    groups: Sequence[Group], kind: type, evidence: Sequence[Sequence[Any]]
) -> list[Group]:
    return [
        replace(group, evidence={**group.evidence, kind: tuple(values)})
        for group, values in zip(groups, evidence, strict=True)
    ]


def _without_pixels(scored: ScoredGroup) -> ScoredGroup:
    def light(rollout: Rollout) -> Rollout:
        return replace(
            rollout,
            prompt=replace(rollout.prompt, vision=None, messages=()),
            sampled_under=replace(rollout.sampled_under, vision=None, messages=()),
        )

    group = scored.group
    return replace(
        scored,
        group=replace(
            group,
            rollouts=tuple(light(r) for r in group.rollouts),
            evidence={},
            contrast=(),
        ),
    )
