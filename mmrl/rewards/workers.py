"""Users' rewards in processes that can be killed, each call with a time limit.

Workers are started by `exec`, not forked: nothing of torch, of its threads or of the user's main
script comes along (multiprocessing would import that script again in every worker). Functions go
by address, see `mmrl.rewards.functions`; what is judged goes without vision tensors.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any

from mmrl.closing import Closing
from mmrl.errors import RewardError
from mmrl.rewards.functions import FunctionRef, Ref, address
from mmrl.rewards.outcome import Outcome, judge
from mmrl.rewards.worker_main import WORKER_MARK, allow_read_only_mappings
from mmrl.roles import Reward, RewardFn, ShortRewardFn
from mmrl.types import Clock, Group, Prompt, Rollout, Sample

NO_CLOCK = Clock(step=0, stage="", stage_step=0, stage_steps=1)
_NO_EVIDENCE: Mapping[type, Any] = {}
_BOOT = "from mmrl.rewards.worker_main import main; main()"
LOAD_TIMEOUT_S = 120.0
"""For importing a user's module, which may import torch; not counted to any sample."""


@dataclass(frozen=True, kw_only=True)
class _Job:
    name: str
    ref: Ref
    arguments: tuple[Any, ...] | None
    """None only imports the function."""
    bounds: tuple[float, float]
    timeout_s: float
    result: Future[Outcome] = field(default_factory=Future)


@dataclass(frozen=True)
class Handle:
    """A group that is being judged by one reward."""

    reward: Reward
    futures: tuple[Future[Outcome], ...]


class RewardPool(Closing):
    """Worker processes for rewards; `submit` returns at once, so that judging runs beside sampling.

    A call that exceeds its limit ends as `Outcome(failure="timeout: …")`: its process is killed
    with all that it started, and replaced. Processes start with the first job that needs one.
    """

    def __init__(
        self,
        workers: int = 2,
        timeout_s: float = 10.0,
        *,
        timeouts: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """`timeouts` are limits of single rewards by name, instead of `timeout_s` [seconds]."""
        if workers < 1 or timeout_s <= 0:
            raise RewardError(f"wanted workers >= 1 and timeout_s > 0; got {workers}, {timeout_s}")
        if os.environ.get(WORKER_MARK):
            raise RewardError(
                "a reward worker imported a script that starts a run; put the script's main part "
                'under `if __name__ == "__main__":` or move the reward to a file of its own'
            )
        allow_read_only_mappings()
        self.timeout_s = timeout_s
        self._timeouts = dict(timeouts)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._workers = [_Worker(self._jobs) for _ in range(workers)]
        self._started = False
        self._addresses: dict[int, tuple[RewardFn | ShortRewardFn, Ref]] = {}
        self._figures: dict[str, list[float]] = {}
        self._close = weakref.finalize(self, _stop, self._jobs, self._workers)

    @property
    def replaced(self) -> int:
        """Workers that were killed or died and have been replaced so far."""
        return sum(worker.replaced for worker in self._workers)

    def check(self, reward: Reward) -> None:
        """Refuses a reward that no worker could import, before a run depends on it."""
        self._enqueue(reward, None).result()

    def submit(self, reward: Reward, group: Group, clock: Clock, /) -> Handle:
        """Sends every rollout of a group to be judged; returns at once."""
        return Handle(
            reward,
            tuple(
                self.submit_one(
                    reward,
                    rollout,
                    group.sample,
                    {k: v[g] for k, v in group.evidence.items()},
                    clock,
                )
                for g, rollout in enumerate(group.rollouts)
            ),
        )

    def result(self, handle: Handle, /) -> tuple[list[float | None], list[str | None]]:
        """Waits for a group: values and failures, one a rollout; both None means unscorable."""
        outcomes = [future.result() for future in handle.futures]
        for outcome in outcomes:
            for name, value in outcome.parts.items():
                self._figures.setdefault(f"{handle.reward.name}/{name}", []).append(value)
        return [o.value for o in outcomes], [o.failure for o in outcomes]

    def figures(self) -> dict[str, float]:
        """Means of the further figures that rewards returned since the last call, for logs."""
        means = {name: sum(values) / len(values) for name, values in self._figures.items()}
        self._figures.clear()
        return means

    def submit_one(
        self,
        reward: Reward,
        rollout: Rollout,
        sample: Sample,
        evidence: Mapping[type, Any] = _NO_EVIDENCE,
        clock: Clock = NO_CLOCK,
    ) -> Future[Outcome]:
        """The coming outcome of one judgement; only the evidence that the reward needs is sent.

        A reward that is not `isolated` is judged here and now, without a time limit. A function
        that cannot travel is refused here; one that a worker cannot import raises RewardError from
        `result()`.
        """
        evidence = {kind: evidence[kind] for kind in reward.needs if kind in evidence}
        if not reward.isolated:
            done: Future[Outcome] = Future()
            done.set_result(judge(reward, (rollout, sample, evidence, clock), reward.bounds))
            return done
        return self._enqueue(reward, reward.arguments(lighten(rollout), sample, evidence, clock))

    def close(self) -> None:
        """Ends the workers; judgements under way are lost."""
        self._close()

    def _enqueue(self, reward: Reward, arguments: tuple[Any, ...] | None) -> Future[Outcome]:
        if not self._close.alive:
            raise RewardError("this pool of reward workers is closed")
        known = self._addresses.get(id(reward.fn))
        if known is None:
            known = self._addresses[id(reward.fn)] = (reward.fn, address(reward.fn))
        if not self._started:
            self._started = True
            for worker in self._workers:
                worker.start()
        job = _Job(
            name=reward.name,
            ref=known[1],
            arguments=arguments,
            bounds=reward.bounds,
            timeout_s=self._timeouts.get(reward.name, self.timeout_s),
        )
        self._jobs.put(job)
        return job.result


def lighten(rollout: Rollout) -> Rollout:
    """The rollout without vision tensors and kept ids: what may go to another process."""
    own = _without_vision(rollout.prompt)
    same = rollout.sampled_under is rollout.prompt
    return dataclasses.replace(
        rollout,
        prompt=own,
        sampled_under=own if same else _without_vision(rollout.sampled_under),
        segments=tuple(dataclasses.replace(s, vision=None, kept_ids=()) for s in rollout.segments),
    )


def _without_vision(prompt: Prompt) -> Prompt:
    return prompt if prompt.vision is None else dataclasses.replace(prompt, vision=None)


class _Worker(threading.Thread):
    """A thread that feeds one process, watches its time and replaces it."""

    def __init__(self, jobs: queue.SimpleQueue[_Job | None]) -> None:
        super().__init__(name="mmrl-reward", daemon=True)
        self._jobs = jobs
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._loaded: set[str] = set()
        self._ending = threading.Lock()
        self.replaced = 0

    def run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                if not job.result.set_running_or_notify_cancel():
                    continue
                try:
                    job.result.set_result(self._judge(job))
                except BaseException as error:  # whoever waits for it gets it: never a stall
                    job.result.set_exception(error)
                    if not isinstance(error, RewardError):
                        raise
        finally:
            self.end()

    def _judge(self, job: _Job) -> Outcome:
        key = self._load(job)
        if job.arguments is None:
            return Outcome(value=None)
        start = time.perf_counter()
        message = ("call", key, job.arguments, job.bounds, job.timeout_s)
        answer = self._ask(message, job.timeout_s, job)
        if isinstance(answer, Outcome):
            return answer
        return Outcome(value=None, failure=answer, seconds=time.perf_counter() - start)

    def _load(self, job: _Job) -> str:
        if self._process is not None and self._process.poll() is not None:
            self._replace()  # died while idle
        key = repr(job.ref)
        if key not in self._loaded:
            answer = self._ask(("load", key, job.ref), LOAD_TIMEOUT_S, job)
            if answer != "":
                raise RewardError(
                    f'reward "{job.name}": a worker could not import {_spoken(job.ref)}: {answer}'
                )
            self._loaded.add(key)
        return key

    def _ask(self, message: tuple[Any, ...], timeout_s: float, job: _Job) -> Outcome | str:
        """The worker's answer, or the name of what went wrong with it."""
        connection = self._connection or self._start()
        try:
            connection.send(message)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise RewardError(
                f'reward "{job.name}": what it should judge cannot be sent to a worker ({error}); '
                "keep plain values in Sample.meta and in evidence, or ask for `in_process: true`"
            ) from error
        except OSError:
            return self._died()
        try:
            if connection.poll(timeout_s):
                answer: Outcome | str = connection.recv()
                return answer
        except (EOFError, OSError):
            return self._died()
        self._replace()
        return f"timeout: no value within {timeout_s:g} s"

    def _died(self) -> str:
        process = self._process
        code = process.wait() if process is not None else 0
        self._replace()
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"crashed: the worker ended with {reason}"

    def _start(self) -> Connection:
        ours, theirs = socket.socketpair()
        search = os.pathsep.join(path or os.getcwd() for path in sys.path)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a reward prints must not mix with what a command prints
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": search, "OMP_NUM_THREADS": "1"},
            )
        self._connection = Connection(ours.detach())
        return self._connection

    def _replace(self) -> None:
        self.end()
        self.replaced += 1

    def end(self) -> None:
        """Kills the process with all that it started."""
        with self._ending:
            process, self._process = self._process, None
            connection, self._connection = self._connection, None
            self._loaded = set()
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # gone already
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if connection is not None:
            connection.close()


def _stop(jobs: queue.SimpleQueue[_Job | None], workers: list[_Worker]) -> None:
    waiting = []
    while not jobs.empty():
        try:
            waiting.append(jobs.get_nowait())
        except queue.Empty:
            break
    for job in waiting:
        if job is not None:
            job.result.cancel()
    for _ in workers:
        jobs.put(None)
    for worker in workers:
        worker.end()


def _spoken(ref: Ref) -> str:
    if isinstance(ref, FunctionRef):
        return f"{ref.file or ref.module}:{ref.qualname}"
    inner = [value for value in (*ref.args, *ref.kwargs.values()) if isinstance(value, FunctionRef)]
    return _spoken(inner[0]) if inner else _spoken(ref.make)
