"""Reads a data set as a run would, and says what is wrong with it by file and line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmrl.data.load import RowData, open_dataset
from mmrl.data.spec import DEFAULT_SPLIT, DatasetSpec
from mmrl.data.view import SampleView, gold_answer, media_info
from mmrl.errors import ConfigError, DataError, MediaError, PolicyError
from mmrl.media.plan import ImagePlan, MediaBudget
from mmrl.media.store import MediaStore
from mmrl.rewards.outcome import Outcome, judge
from mmrl.rewards.workers import RewardPool
from mmrl.roles import Reward
from mmrl.tasks.base import TASKS, Task
from mmrl.types import Clock, MediaInfo, Prompt, Rollout, Sample, Segment, StopReason

Level = Literal["error", "warning", "info"]
RewardsOf = Callable[[str], Sequence[Reward]]
"""Rewards by task name."""
DRAWN_SAMPLES = 64
"""Samples that are looked at of a world without an end, when no limit is given."""
MOST_ALIKE = 10
"""Findings of one rule that are listed; the rest is counted."""
_SMALL = 1e-6
_CLOCK = Clock(step=0, stage="check", stage_step=0, stage_steps=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was noticed, and where."""

    level: Level
    rule: str
    """`row`, `id`, `media`, `gold`, `reward`, `tokens`, `rows`, `evidence` or `summary`."""
    where: str
    """`file:line`, or the sample of a world."""
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass
class _Findings:
    held: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, rule: str, where: str, message: str, level: Level = "error") -> None:
        self.counts[rule] += 1
        if self.counts[rule] <= MOST_ALIKE:
            message = message.removeprefix(f"{where}: ")
            self.held.append(Finding(level=level, rule=rule, where=where, message=message))

    def all(self, where: str) -> list[Finding]:
        for rule, count in self.counts.items():
            if count > MOST_ALIKE:
                text = f"{count - MOST_ALIKE} more findings of the kind `{rule}`"
                self.held.append(Finding(level="error", rule=rule, where=where, message=text))
        return self.held


def check_data(
    data: SampleView | DatasetSpec | str | Path,
    *,
    split: str = DEFAULT_SPLIT,
    rewards: Sequence[Reward] | RewardsOf | None = None,
    policy: Any = None,
    limit: int | None = None,
    store: MediaStore | None = None,
    pool: RewardPool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Finding]:
    """All that is wrong with the rows; errors first. Never stops at the first.

    Every row is read, its media are decoded, its gold answer must earn the maximum and an empty
    one the minimum of every reward that needs no evidence: the task's, or `rewards`. Where these
    are given by task, as a recipe does, those that are not the task's own must only work, and gold
    that earns less than nothing at all is a warning; `pool` runs the isolated ones. With a `policy`
    prompts are planned against its token budget. `limit` looks at the first rows only;
    `progress(done, of)` is called after each.
    """
    found = _Findings()
    if isinstance(data, DatasetSpec | str | Path):
        try:
            view: SampleView = open_dataset(data, split)
        except (ConfigError, DataError) as error:
            place = data.file if isinstance(data, DatasetSpec) else data
            found.add("row", str(place), str(error))
            return found.all(str(place))
    else:
        view = data
    total = DRAWN_SAMPLES if view.size is None else view.size
    total = total if limit is None else min(limit, view.size or limit)
    ids: dict[str, int] = {}
    lengths: list[int] = []
    with ExitStack() as stack:
        media = store or stack.enter_context(MediaStore(workers=1))
        for index in range(total):
            where = view.where(index)
            sample = _read(view, index, where, found)
            if sample is not None:
                if sample.id in ids:
                    first = view.where(ids[sample.id])
                    found.add("id", where, f'id "{sample.id}" is that of {first} too')
                ids.setdefault(sample.id, index)
                length = _check_sample(sample, where, rewards, policy, media, pool, found)
                lengths += [length] if length is not None else []
            if progress is not None:
                progress(index + 1, total)
    _check_size(view, found)
    if lengths:
        mean = sum(lengths) / len(lengths)
        text = f"prompts have {min(lengths)} to {max(lengths)} tokens, {mean:.0f} on average"
        found.add("summary", view.name, text, "info")
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(found.all(view.name), key=lambda finding: order[finding.level])


def _read(view: SampleView, index: int, where: str, found: _Findings) -> Sample | None:
    try:
        return view[index]
    except (ConfigError, DataError, UnicodeDecodeError) as error:
        found.add("row", where, str(error))
        return None


def _check_sample(
    sample: Sample,
    where: str,
    rewards: Sequence[Reward] | RewardsOf | None,
    policy: Any,
    store: MediaStore,
    pool: RewardPool | None,
    found: _Findings,
) -> int | None:
    """Adds what is wrong with one sample; returns its prompt's tokens where a policy planned it."""
    try:
        task = TASKS.get(sample.task)
    except ConfigError as error:
        found.add("row", where, str(error))
        return None
    infos = _check_media(sample, where, store, found)
    if infos is None:
        return None
    length = None
    if policy is not None:
        try:
            plan = policy.plan(task.messages(sample), name=sample.id)
            infos, length = tuple(plan.media), int(plan.num_tokens)
        except (PolicyError, MediaError) as error:
            found.add("tokens", where, str(error))
    own = task.rewards if rewards is None or callable(rewards) else rewards
    asked = rewards(task.name) if callable(rewards) else own
    strict = {reward.name for reward in asked if any(reward.fn == r.fn for r in own)}
    _check_answers(sample, task, asked, strict, infos, where, pool, found)
    return length


def check_target(sample: Sample, task: Task, infos: tuple[MediaInfo, ...]) -> list[Finding]:
    """What is wrong with a sample's target: it gives no gold answer, or one that is not rewarded.

    `infos` are the sizes of its media. Rewards that need evidence are not asked.
    """
    found = _Findings()
    strict = {reward.name for reward in task.rewards}
    _check_answers(sample, task, task.rewards, strict, infos, sample.id, None, found)
    return found.held


def _check_media(
    sample: Sample, where: str, store: MediaStore, found: _Findings
) -> tuple[MediaInfo, ...] | None:
    """Decodes every medium; None when one cannot be read."""
    infos = []
    for ref in sample.media:
        try:
            plan = store.plan(ref, MediaBudget())
            if isinstance(plan, ImagePlan):
                store.image(ref, plan)
            else:
                store.video(ref, plan)
            infos.append(media_info(ref, store))
        except MediaError as error:
            found.add("media", where, f"{error} ({error.reason})")
            continue
        except ConfigError as error:  # options of the reference
            found.add("media", where, str(error))
    return tuple(infos) if len(infos) == len(sample.media) else None


def _check_answers(
    sample: Sample,
    task: Task,
    rewards: Sequence[Reward],
    strict: Set[str],
    infos: tuple[MediaInfo, ...],
    where: str,
    pool: RewardPool | None,
    found: _Findings,
) -> None:
    """Judges gold and an empty completion; rewards that are not `strict` may give any value."""
    try:
        gold = gold_answer(task, sample)
    except DataError as error:
        found.add("gold", where, str(error))
        return
    said = {"gold answer": _said(gold, task, infos), "empty completion": _said("", task, infos)}
    ends = {"gold answer": 1, "empty completion": 0}
    earned: dict[str, list[float]] = {}
    for name, rollout in said.items():
        for reward in rewards:
            if reward.needs:
                continue
            outcome = _judged(reward, rollout, sample, pool)
            if outcome.failure is not None:
                message = f'reward "{reward.name}" of the {name} fails: {outcome.failure}'
                found.add("reward", where, message)
            elif outcome.value is None:
                continue  # the reward does not apply to this row
            elif reward.name not in strict:
                earned.setdefault(reward.name, []).append(outcome.value)
            elif abs(outcome.value - reward.bounds[ends[name]]) > _SMALL:
                message = (
                    f"the {name} {rollout.text!r:.80} earns {outcome.value:g} of reward "
                    f'"{reward.name}", expected {reward.bounds[ends[name]]:g}'
                )
                found.add("reward", where, message)
    for name, values in earned.items():
        if len(values) == 2 and values[0] < values[1] - _SMALL:
            message = (
                f'the gold answer {gold!r:.80} earns {values[0]:g} of reward "{name}", an empty '
                f"completion {values[1]:g}"
            )
            found.add("reward", where, message, "warning")


def _judged(reward: Reward, rollout: Rollout, sample: Sample, pool: RewardPool | None) -> Outcome:
    if pool is not None and reward.isolated:
        return pool.submit_one(reward, rollout, sample, {}, _CLOCK).result()
    return judge(reward, (rollout, sample, {}, _CLOCK), reward.bounds)


def _said(text: str, task: Task, infos: tuple[MediaInfo, ...]) -> Rollout:
    prompt = Prompt(messages=(), token_ids=(), media=infos)
    return Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(Segment(token_ids=(), sampled=True, logps=(), trainable=()),),
        text=text,
        offsets=(),
        parsed=task.parse(text),
        stop=StopReason.EOS,
        policy_step=0,
    )


def _check_size(view: SampleView, found: _Findings) -> None:
    if not isinstance(view, RowData):
        return
    expected = view.spec.rows_expected(view.split)
    if expected is not None and expected != len(view):
        text = f"split {view.split} has {len(view)} rows, expected_rows says {expected}"
        found.add("rows", str(view.spec.file), text)
