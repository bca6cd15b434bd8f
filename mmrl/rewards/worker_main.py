"""The process in which users' rewards run: reads jobs from a socket until it closes.

Started by `mmrl.rewards.workers` with the socket's number as its argument. Besides the parent's
kill a kernel timer ends a call that hangs, so that nothing keeps spinning when the parent is gone.
"""

from __future__ import annotations

import copyreg
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Any

from mmrl.rewards.functions import Ref
from mmrl.rewards.outcome import judge

WORKER_MARK = "MMRL_REWARD_WORKER"
GRACE_S = 5.0
"""Seconds beyond the time limit after which the kernel ends a call."""


def _proxy(values: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(values)


def allow_read_only_mappings() -> None:
    """Lets defaults such as `Sample.meta` cross between processes."""
    copyreg.pickle(MappingProxyType, lambda proxy: (_proxy, (dict(proxy),)))


def serve(connection: Connection) -> None:
    """Answers ("load", key, address) and ("call", key, arguments, bounds, seconds) in order."""
    functions: dict[str, Callable[..., Any]] = {}
    while True:
        try:
            kind, key, *rest = connection.recv()
        except EOFError:
            return
        if kind == "load":
            connection.send(_load(functions, key, rest[0]))
        else:
            arguments, bounds, seconds = rest
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_S)
            outcome = judge(functions[key], arguments, bounds)
            signal.setitimer(signal.ITIMER_REAL, 0)
            connection.send(outcome)


def _load(functions: dict[str, Callable[..., Any]], key: str, ref: Ref) -> str:
    """ "" or why the function cannot be imported here."""
    try:
        functions[key] = ref.load()
    except Exception as error:  # importing a user's file may raise anything; the parent raises it
        return f"{type(error).__name__}: {error}"
    return ""


def main() -> None:
    os.environ[WORKER_MARK] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair
    allow_read_only_mappings()
    serve(Connection(int(sys.argv[1])))
