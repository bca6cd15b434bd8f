"""Decoding in processes that can be killed: a clip may make native code spin for ever.

A reader that spins holds the interpreter lock, so neither signal handlers nor threads of the same
process can end it (dmlc/decord#373); only killing the process does. Each worker is a process of its
own (`mmrl.media.worker`), fed by one thread here that waits with a time limit, kills, replaces.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import selectors
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

import mmrl
from mmrl.closing import Closing
from mmrl.errors import MediaError
from mmrl.media.decode import Plan, decode, plan_to_json
from mmrl.media.quarantine import Quarantine
from mmrl.media.source import check, name_of
from mmrl.media.video import FallbackCount
from mmrl.types import MediaRef

_START_LIMIT_S = 120.0
"""For a worker to import its readers on a machine under load; not counted against a medium."""


class DecodePool(Closing):
    """Decodes planned media in `workers` processes, each medium within `timeout_s` seconds.

    A medium that cannot be read, takes longer (`timeout`) or ends its process (`crashed`) raises a
    MediaError and joins the quarantine list, which is asked first. `workers=0` decodes in this
    process, without a time limit. Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        workers: int = 1,
        timeout_s: float = 30.0,
        quarantine_path: str | Path | None = None,
        *,
        command: tuple[str, ...] = ("-m", "mmrl.media.worker"),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.workers = workers
        self.timeout_s = timeout_s
        self.quarantine = Quarantine(quarantine_path)
        self.command = command
        self._env = dict(env or {})
        self._fallbacks: Counter[str] = Counter()
        self._killed = 0
        self._lock = threading.Lock()
        self._jobs: queue.Queue[_Job | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._scratch: str | None = None
        self._closed = False

    def submit(self, ref: MediaRef, plan: Plan) -> Future[np.ndarray]:
        """Starts decoding; the future gives uint8 pixels as planned, or raises a MediaError."""
        future: Future[np.ndarray] = Future()
        try:
            if self._closed:
                raise MediaError(f"{name_of(ref)}: the decoding pool is closed", reason="cancelled")
            check(ref)
            self.quarantine.check(ref)
        except MediaError as error:
            future.set_exception(error)
            return future
        if not self.workers:
            self._here(ref, plan, future)
            return future
        with self._lock:
            self._start()
        self._jobs.put(_Job(ref, plan, future))
        return future

    prefetch = submit

    def get(self, ref: MediaRef, plan: Plan) -> np.ndarray:
        """The pixels, waited for."""
        return self.submit(ref, plan).result()

    def counters(self) -> dict[str, Any]:
        """`killed` workers, `fallbacks` between readers, `quarantined` media by reason."""
        with self._lock:
            return {
                "killed": self._killed,
                "fallbacks": dict(self._fallbacks),
                "quarantined": self.quarantine.counts(),
            }

    def close(self) -> None:
        """Ends the workers; jobs not begun are cancelled."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            threads = list(self._threads)
        with contextlib.suppress(queue.Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job.future.cancel()
        for _ in threads:
            self._jobs.put(None)
        for thread in threads:
            thread.join()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _here(self, ref: MediaRef, plan: Plan, future: Future[np.ndarray]) -> None:
        count = FallbackCount()
        try:
            future.set_result(decode(ref, plan, count))
        except MediaError as error:
            self.quarantine.add(ref, error)
            future.set_exception(error)
        with self._lock:
            self._fallbacks.update(count.counts())

    def _start(self) -> None:
        if self._threads:
            return
        self._scratch = tempfile.mkdtemp(prefix="mmrl-decode-")
        weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
        for number in range(self.workers):
            thread = threading.Thread(target=self._serve, name=f"mmrl-decode-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self) -> None:
        worker: _Worker | None = None
        while (job := self._jobs.get()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            try:
                if worker is None or not worker.alive:
                    worker = _Worker(self.command, self._env)
                pixels = self._run(worker, job)
            except MediaError as error:
                self.quarantine.add(job.ref, error)
                job.future.set_exception(error)
            except OSError as error:
                # no disk for the pixels, no process to be had: the machine's fault, not the clip's
                job.future.set_exception(
                    MediaError(f"{name_of(job.ref)}: decoding: {error}", reason="cancelled")
                )
            else:
                job.future.set_result(pixels)
        if worker is not None:
            worker.end()

    def _run(self, worker: _Worker, job: _Job) -> np.ndarray:
        assert self._scratch is not None
        handle, out = tempfile.mkstemp(dir=self._scratch, suffix=".npy")
        os.close(handle)
        source = None
        try:
            path = job.ref.path
            if path is None:
                handle, source = tempfile.mkstemp(dir=self._scratch, suffix=".medium")
                with os.fdopen(handle, "wb") as file:
                    file.write(job.ref.data or b"")
                path = Path(source)
            reply = worker.ask(
                {
                    "kind": job.ref.kind,
                    "path": os.path.abspath(path),
                    "plan": plan_to_json(job.plan),
                    "out": out,
                    "timeout_s": self.timeout_s,
                },
                self.timeout_s,
            )
            if reply is None:
                with self._lock:
                    self._killed += 1
                if worker.timed_out:
                    raise MediaError(
                        f"{name_of(job.ref)}: not decoded within {self.timeout_s:g} s; "
                        "its process was killed",
                        reason="timeout",
                    )
                raise MediaError(
                    f"{name_of(job.ref)}: its decoding process died "
                    f"(exit status {worker.status}); most often its reader crashed",
                    reason="crashed",
                )
            if not reply["ok"]:
                raise MediaError(reply["message"], reason=reply["reason"])
            with self._lock:
                self._fallbacks.update(reply["fallbacks"])
            pixels: np.ndarray = np.load(out, allow_pickle=False)
            return pixels
        finally:
            for scratch in (out, source):
                if scratch is not None:
                    Path(scratch).unlink(missing_ok=True)


class _Job:
    def __init__(self, ref: MediaRef, plan: Plan, future: Future[np.ndarray]) -> None:
        self.ref = ref
        self.plan = plan
        self.future = future


class _Worker:
    """One decoding process and its two pipes."""

    def __init__(self, command: tuple[str, ...], env: Mapping[str, str]) -> None:
        root = str(Path(mmrl.__file__).resolve().parent.parent)
        paths = [root, os.environ.get("PYTHONPATH", "")]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(p for p in paths if p),
                "OMP_NUM_THREADS": "1",
                **env,
            },
        )
        self.alive = True
        self.timed_out = False
        self.status: int | None = None
        self._read = b""
        if self._line(_START_LIMIT_S) is None:
            self.end()
            raise OSError(f"a decoding process did not start (exit status {self.status})")

    def ask(self, job: Mapping[str, Any], limit_s: float) -> dict[str, Any] | None:
        """The answer, or None when the process is gone: killed past the limit, or dead."""
        assert self.process.stdin is not None
        line = None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            line = self._line(limit_s)
        if line is None:
            self.end()
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _line(self, limit_s: float) -> bytes | None:
        """The next line of the process; None past the limit or at its end."""
        assert self.process.stdout is not None
        stream = self.process.stdout.fileno()
        until = time.monotonic() + limit_s
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while b"\n" not in self._read:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    self.timed_out = True
                    return None
                block = os.read(stream, 1 << 16)
                if not block:
                    return None
                self._read += block
        line, _, self._read = self._read.partition(b"\n")
        return line

    def end(self) -> None:
        """Kills the process and collects it."""
        self.alive = False
        self.process.kill()
        self.status = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
