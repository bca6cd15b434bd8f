"""Asks a checkpoint about a picture or clip: n completions, as rollout records, scored if asked.

    studio = Studio(page.runs, page.models)
    ticket = Ticket()
    asked = studio.ask(Question(checkpoint=..., sample=..., num=4), ticket)

One model is in memory and one question is answered at a time; others wait. A ticket says how far
its question is, and takes it back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmrl.data.view import gold_answer
from mmrl.errors import DataError, MmrlError
from mmrl.inspector.models import MOST_NEW_TOKENS, Checkpoint, Holder, checkpoints, named
from mmrl.inspector.runs import RunFiles
from mmrl.inspector.targets import with_target
from mmrl.rewards.combine import weighted_sum
from mmrl.seeds import seed_of
from mmrl.tasks.base import TASKS, Task
from mmrl.types import Clock, CreditedGroup, Group, MediaRef, Rollout, Sample, ScoredGroup

MOST_COMPLETIONS = 16
HOTTEST = 2.0
"""Highest temperature; beyond it a model writes noise."""
LONGEST_QUESTION = 8000
"""Characters of a question."""
LIMIT_S = 180.0
"""For loading and answering one question."""
WAIT_S = 900.0
"""For the questions before it."""
PLAIN = "as it stands"
"""The template that adds nothing to a question."""
_registering = threading.Lock()
_CLOCK = Clock(step=0, stage="try", stage_step=0, stage_steps=1)
_BROKEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
"""What a reward may raise at a target of a foreign form."""


class Stopped(MmrlError):
    """A question that was taken back, or that took too long."""


@dataclass(kw_only=True)
class Ticket:
    """One question on its way: `status` is a line for people; `cancel` takes the question back."""

    limit_s: float = LIMIT_S
    wait_s: float = WAIT_S
    status: str = "waiting"
    share: float = 0.0
    """Of the tokens that may be written, written so far."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    _until: float = field(default=float("inf"), init=False)

    def cancel(self) -> None:
        self.cancelled.set()

    def start(self, limit_s: float) -> None:
        """Counts a time limit from now."""
        self._until = time.monotonic() + limit_s

    def check(self) -> None:
        """Raises Stopped where the question was taken back or its time is over."""
        if self.cancelled.is_set():
            raise Stopped("cancelled")
        if time.monotonic() > self._until:
            raise Stopped(
                f"stopped at its time limit ({self.status}); ask for fewer or shorter completions"
            )


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of which checkpoint. `target` is the text of a reference, JSON or plain; None
    takes the sample's own where `scored`."""

    checkpoint: str
    sample: Sample
    num: int = 4
    temperature: float = 1.0
    seed: int = 0
    max_new_tokens: int | None = None
    scored: bool = False
    target: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The answers, in the form of rollout records (`mmrl.train.observers.records`)."""

    sample: Sample
    records: tuple[Mapping[str, Any], ...]
    gold: str | None
    scored: bool
    prompt_tokens: int
    seconds: float
    """Of sampling alone."""


class Studio:
    """Answers questions with the checkpoints of these runs and model folders."""

    def __init__(self, runs: Mapping[str, RunFiles], models: Mapping[str, Path]) -> None:
        self._runs, self._models = runs, models
        self._holder = Holder()
        self._turn = threading.Lock()
        self._waiting = 0
        self._count = threading.Lock()

    def checkpoints(self) -> dict[str, Checkpoint]:
        """What can be asked now, by name."""
        return checkpoints(self._runs, self._models)

    @property
    def loaded(self) -> int:
        """How often a model was loaded so far."""
        return self._holder.loaded

    def ask(self, question: Question, ticket: Ticket) -> Asked:
        """Loads the checkpoint if another is held, samples, and scores where asked.

        MediaError, PolicyError, ConfigError, DataError say what cannot be done; Stopped that the
        ticket ended it.
        """
        _check(question)
        checkpoint = named(self.checkpoints(), question.checkpoint)
        with self._in_turn(ticket):
            ticket.start(ticket.limit_s)
            ticket.status = f"loading {checkpoint.name}"
            ticket.check()
            doors = self._holder.get(checkpoint)
            ticket.status = "reading the prompt"
            ticket.check()
            try:
                return self._answer(question, doors, ticket)
            finally:
                doors.forget()

    def close(self) -> None:
        """Forgets the model, once the question that is being answered is done."""
        with self._turn:
            self._holder.release()

    @contextmanager
    def _in_turn(self, ticket: Ticket) -> Iterator[None]:
        with self._count:
            self._waiting += 1
        ticket.start(ticket.wait_s)
        try:
            while not self._turn.acquire(timeout=0.1):
                ticket.status = f"waiting for its turn, {self._waiting} in line"
                ticket.check()
        finally:
            with self._count:
                self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    def _answer(self, question: Question, doors: Any, ticket: Ticket) -> Asked:
        sample = question.sample
        doors.prefetch([sample])
        prompt = doors.encode(sample)
        if question.target is not None:
            sample = with_target(sample, question.target, prompt.media)
        gold = gold_answer(TASKS.get(sample.task), sample) if question.scored else None
        most = question.max_new_tokens or doors.sampling.max_new_tokens
        num = 1 if question.temperature == 0 else question.num
        held, doors.sampling = doors.sampling, replace(doors.sampling, max_new_tokens=most)
        start = time.monotonic()
        try:
            with _watched(doors.policy.core.model, ticket, most):
                (rollouts,) = doors.sample(
                    [sample],
                    [prompt],
                    seeds=[[seed_of(question.seed, "eval", sample.id, k) for k in range(num)]],
                    temperature=question.temperature,
                    policy_step=0,
                )
        finally:
            doors.sampling = held
        seconds = time.monotonic() - start
        ticket.status = "scoring"
        return Asked(
            sample=sample,
            records=_records(sample, rollouts, question.scored),
            gold=gold,
            scored=question.scored,
            prompt_tokens=len(prompt.token_ids),
            seconds=seconds,
        )


def question_about(
    task: str,
    question: str,
    media: Sequence[MediaRef],
    *,
    name: str,
    plain: bool = False,
    coord_space: str | None = None,
    answer_space: str | None = None,
) -> Sample:
    """A sample of a task with one's own question and media; `plain` leaves the template out.

    `coord_space` is that of the target's boxes, `answer_space` that in which the model writes
    (None: as its family does).
    """
    chosen = TASKS.get(task)
    spaces = {"coord_space": coord_space, "answer_space": answer_space}
    return Sample(
        id=name,
        task=_plain_task(chosen).name if plain else task,
        question=question,
        media=tuple(media),
        meta={key: space for key, space in spaces.items() if space is not None},
    )


def spaces_of(task: str) -> tuple[str | None, str | None]:
    """The spaces of target and answers that a task's own samples have; None where it has none."""
    known = TASKS.get(task)
    if known.world is None:
        return None, None
    meta = known.world(0, split="train", seed=0, **known.world_options).meta
    return meta.get("coord_space"), meta.get("answer_space") or meta.get("coord_space")


def _plain_task(task: Task) -> Task:
    """The task with a template that adds nothing, registered when it is first asked for."""
    name = f"{task.name}:{PLAIN}"
    with _registering:
        if name not in TASKS:
            TASKS.add(name, replace(task, name=name, template="{question}", world=None, levels={}))
    return TASKS.get(name)


def _check(question: Question) -> None:
    if not 1 <= question.num <= MOST_COMPLETIONS:
        raise DataError(f"completions: 1 to {MOST_COMPLETIONS}, got {question.num}")
    if not 0 <= question.temperature <= HOTTEST:
        raise DataError(f"temperature: 0 to {HOTTEST:g}, got {question.temperature:g}")
    if not 1 <= (question.max_new_tokens or 1) <= MOST_NEW_TOKENS:
        raise DataError(f"new tokens: 1 to {MOST_NEW_TOKENS}, got {question.max_new_tokens}")
    if len(question.sample.question) > LONGEST_QUESTION:
        length = len(question.sample.question)
        raise DataError(f"question: {length:,} characters; at most {LONGEST_QUESTION:,} are asked")
    if not question.sample.question.strip() and not question.sample.media:
        raise DataError("nothing is asked: give a question, or a picture or clip")


@contextmanager
def _watched(model: Any, ticket: Ticket, most: int) -> Iterator[None]:
    """Inside, the ticket is looked at before every token, and told how many there are."""
    calls = 0

    def before(*_: Any) -> None:
        nonlocal calls
        ticket.check()
        ticket.share = min(1.0, calls / most)
        ticket.status = f"token {calls} of at most {most}" if calls else "reading the prompt"
        calls += 1

    handle = model.register_forward_pre_hook(before)
    try:
        yield
    finally:
        handle.remove()


def _records(
    sample: Sample, rollouts: Sequence[Rollout], scored: bool
) -> tuple[Mapping[str, Any], ...]:
    from mmrl.train.observers.records import group_records

    group = Group(draw_id=sample.id, sample=sample, rollouts=tuple(rollouts))
    try:
        found = _score(group) if scored else _unscored(group)
        credited = CreditedGroup(scored=found, advantages={}, weights=())
        return tuple(group_records(_CLOCK, credited, []))
    except _BROKEN as error:
        text = f"{type(error).__name__}: {error}"[:500]
        raise DataError(f"the rewards of {sample.task} cannot read this target: {text}") from error


def _score(group: Group) -> ScoredGroup:
    """The group under the task's own rewards; those that need evidence are left out."""
    from mmrl.train.score import Scorer

    rewards = [r for r in TASKS.get(group.sample.task).rewards if not r.needs]
    scorer = Scorer(rewards={group.sample.task: rewards}, bonuses=(), combine=weighted_sum)
    return scorer([group], _CLOCK)[0]


def _unscored(group: Group) -> ScoredGroup:
    nothing = (None,) * len(group)
    return ScoredGroup(
        group=group, parts={}, score=nothing, outcome=(False,) * len(group), rewards=nothing
    )
