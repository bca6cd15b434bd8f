"""A pool that runs untrusted Python programs, each in a jailed process of its own.

    with PythonSandbox(workers=2) as sandbox:
        result = sandbox.run(program, capture=("chart_data",))
        result.outcome, result.tables["chart_data"].rows

A program sees numpy, pandas, most of the standard library and, where its text names matplotlib, an
Agg canvas; an empty scratch folder; no network, no other file or process, no environment. Each is
forked from a warm parent (`mmrl.sandbox.zygote`), of which every worker has its own: a hung or
broken one is killed and replaced without touching its neighbours.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection

from mmrl.closing import Closing
from mmrl.errors import SandboxError
from mmrl.sandbox.result import KIB, Limits, Outcome, Result, result_of
from mmrl.sandbox.walls import PACKAGE_ROOT, Wall, require

_BOOT = "import sys; sys.path.append(sys.argv[1]); from mmrl.sandbox.zygote import main; main()"
_START_TIMEOUT_S = 120.0
"""For importing pandas (and making matplotlib's list of fonts, once) on a machine under load."""
_GRACE_S = 10.0
"""Beyond a program's time, after which the warm parent itself is taken to hang."""
_HEADER_BYTES = 4 * KIB
_DRAWING_WORDS = ("matplotlib", "pyplot", "pylab", ".plot", ".hist(")
_ENVIRONMENT = {  # one thread each: a process with more is not to be forked
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "Agg",
    "PYTHONHASHSEED": "0",  # sets of text in one order: a program gives one answer
}
_PASSED_ON = ("LD_LIBRARY_PATH", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")
"""Of the trainer's environment, to warm parents only: C libraries, matplotlib's cache of fonts."""


@dataclass(frozen=True)
class _Job:
    source: str
    capture: tuple[str, ...]
    is_drawing: bool
    result: Future[Result] = field(default_factory=Future)


class PythonSandbox(Closing):
    """Runs programs, `workers` at a time; results come as futures, always as a `Result`.

    SandboxError at once where the system lacks a wall (`mmrl.sandbox.walls`) that is not named in
    `without`: those walls are not put up, even where they could be. Limits and time-outs hold
    without any. `without=tuple(Wall)` runs programs as this user, with this user's files.
    """

    def __init__(
        self,
        workers: int = 2,
        limits: Limits | None = None,
        *,
        without: Collection[Wall | str] = (),
    ) -> None:
        if workers < 1:
            raise SandboxError(f"sandbox: wanted workers >= 1; got {workers}")
        if not hasattr(os, "fork"):
            raise SandboxError(f"sandbox: {sys.platform} cannot fork, on which this is built")
        self.limits = limits or Limits()
        self.walls = require(without)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._workers = [_Worker(self._jobs, self.limits, self.walls) for _ in range(workers)]
        self._lock = threading.Lock()
        self._started = False
        self._close = weakref.finalize(self, _stop, self._jobs, self._workers)

    @property
    def restarts(self) -> int:
        """Warm parents that died or hung and have been replaced so far."""
        return sum(worker.restarts for worker in self._workers)

    def submit(
        self, source: str, capture: Iterable[str] = (), *, is_drawing: bool | None = None
    ) -> Future[Result]:
        """The coming result of one program; names in `capture` come back as tables.

        `is_drawing` asks for a process with matplotlib; None looks for its name in the text.
        """
        if not self._close.alive:
            raise SandboxError("this sandbox is closed")
        if is_drawing is None:
            is_drawing = any(word in source for word in _DRAWING_WORDS)
        job = _Job(source, tuple(dict.fromkeys(capture)), is_drawing)
        if why := _refusal(source, self.limits):
            job.result.set_result(Result(outcome=Outcome.REFUSED, error=why))
            return job.result
        with self._lock:
            if not self._started:
                self._started = True
                for worker in self._workers:
                    worker.start()
        self._jobs.put(job)
        return job.result

    def run(
        self, source: str, capture: Iterable[str] = (), *, is_drawing: bool | None = None
    ) -> Result:
        """The result of one program, waited for."""
        return self.submit(source, capture, is_drawing=is_drawing).result()

    def map(
        self, sources: Iterable[str], capture: Sequence[str] = (), *, is_drawing: bool | None = None
    ) -> list[Result]:
        """Results of programs in their order, `workers` at a time."""
        futures = [self.submit(source, capture, is_drawing=is_drawing) for source in sources]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Kills what runs and ends the workers; programs not begun are cancelled."""
        self._close()


def _refusal(source: str, limits: Limits) -> str:
    """Why a program is not run at all, or ""."""
    try:
        size = len(source.encode())
    except UnicodeEncodeError as error:
        return f"the program is not UTF-8 text: {error.reason} at {error.start}"
    if size > limits.source_kb * KIB:
        return f"the program has {size} bytes; at most {limits.source_kb} KiB are run"
    return ""


class _Gone(Exception):
    """The warm parent ended, hung, or sent what it never sends."""


class _Zygote:
    """A warm parent as seen from here: started, asked, killed."""

    def __init__(self, limits: Limits, walls: Collection[Wall], is_drawing: bool) -> None:
        self._ending = threading.Lock()
        self._limits = limits
        has_own_scratch = Wall.NAMESPACES in walls
        self._scratch = None if has_own_scratch else tempfile.mkdtemp(prefix="mmrl-sandbox-")
        settings = {
            "walls": sorted(walls),
            "is_drawing": is_drawing,
            "limits": asdict(limits),
            "scratch": self._scratch,
        }
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        ours, theirs = socket.socketpair()
        with theirs:
            words = [PACKAGE_ROOT, str(theirs.fileno()), json.dumps(settings)]
            # -s -P and an environment of ours are -I, but for the hash seed, which -I ignores
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-B", "-X", "utf8", "-c", _BOOT, *words],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={**passed_on, **_ENVIRONMENT},
            )
        self._connection = Connection(ours.detach())

    def wait_until_ready(self) -> None:
        """Returns when it serves; SandboxError with its own words when it cannot."""
        said = json.loads(self._receive(64 * KIB, _START_TIMEOUT_S))
        if not said["ready"]:
            raise SandboxError(f"sandbox: a warm parent could not start:\n{said['why'].strip()}")

    def run(self, job: _Job) -> Result:
        """One program's result; _Gone when the warm parent is lost with it."""
        limits = self._limits
        message = json.dumps({"source": job.source, "capture": job.capture}).encode()
        try:
            self._connection.send_bytes(message)
        except OSError as error:
            raise _Gone(self._last_words()) from error
        header = json.loads(self._receive(_HEADER_BYTES, limits.wall_s + _GRACE_S))
        stdout = self._receive(limits.output_kb * KIB, _GRACE_S)
        answer = self._receive(limits.answer_kb * KIB, _GRACE_S)
        return result_of(header, stdout, answer, job.capture, limits)

    def end(self) -> None:
        """Kills it; its programs end with it (process namespace, or the kernel's parent watch)."""
        with self._ending:
            if self.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def close(self) -> None:
        """`end`, by the thread that asks: the connection is given up too."""
        self.end()
        self._connection.close()

    def _receive(self, most_bytes: int, timeout_s: float) -> bytes:
        try:
            if not self._connection.poll(timeout_s):
                raise _Gone(f"the warm parent did not answer in {timeout_s:g} s")
            return self._connection.recv_bytes(most_bytes)
        except (EOFError, OSError) as error:
            raise _Gone(self._last_words()) from error

    def _last_words(self) -> str:
        try:
            code = self.process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return "the warm parent closed its socket"
        return f"the warm parent ended with {f'signal {-code}' if code < 0 else f'code {code}'}"


class _Worker(threading.Thread):
    """A thread with up to two warm parents, one of them with matplotlib, started when needed."""

    def __init__(
        self, jobs: queue.SimpleQueue[_Job | None], limits: Limits, walls: Collection[Wall]
    ) -> None:
        super().__init__(name="mmrl-sandbox", daemon=True)
        self._jobs = jobs
        self._limits = limits
        self._walls = walls
        self._zygotes: dict[bool, _Zygote] = {}
        self._lock = threading.Lock()
        self._is_ending = False
        self.restarts = 0

    def run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                if not job.result.set_running_or_notify_cancel():
                    continue
                try:
                    job.result.set_result(self._result(job))
                except BaseException as error:  # whoever waits for it gets it: never a stall
                    job.result.set_exception(error)
                    if not isinstance(error, SandboxError):
                        raise
        finally:
            for is_drawing in (False, True):
                self._drop(is_drawing)

    def end(self) -> None:
        """From any thread: kills the warm parents, and no new one starts."""
        with self._lock:
            self._is_ending = True
            zygotes = list(self._zygotes.values())
        for zygote in zygotes:
            zygote.end()

    def _result(self, job: _Job) -> Result:
        zygote = self._zygotes.get(job.is_drawing)
        if zygote is not None and zygote.process.poll() is not None:  # died while idle
            self._replace(job.is_drawing)
            zygote = None
        try:
            return (zygote or self._start(job.is_drawing)).run(job)
        except _Gone as error:
            self._replace(job.is_drawing)
            return Result(outcome=Outcome.KILLED, error=str(error))

    def _start(self, is_drawing: bool) -> _Zygote:
        with self._lock:
            if self._is_ending:
                raise _Gone("the sandbox was closed")
            zygote = self._zygotes[is_drawing] = _Zygote(self._limits, self._walls, is_drawing)
        try:
            zygote.wait_until_ready()
        except SandboxError:
            self._drop(is_drawing)
            raise
        return zygote

    def _replace(self, is_drawing: bool) -> None:
        self._drop(is_drawing)
        self.restarts += 1

    def _drop(self, is_drawing: bool) -> None:
        with self._lock:
            zygote = self._zygotes.pop(is_drawing, None)
        if zygote is not None:
            zygote.close()


def _stop(jobs: queue.SimpleQueue[_Job | None], workers: list[_Worker]) -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            job = jobs.get_nowait()
            if job is not None:
                job.result.cancel()
    for _ in workers:
        jobs.put(None)
    for worker in workers:
        worker.end()
    for worker in workers:
        if worker.is_alive() and worker is not threading.current_thread():
            worker.join(_GRACE_S)
