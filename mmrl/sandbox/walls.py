"""The three walls around a program, and which of them cannot stand on this machine.

A wall is not taken to stand because the kernel has a word for it: a process of its own puts it up
and runs against it. Containers often forbid user namespaces to whoever has no CAP_SYS_ADMIN.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Collection, Mapping
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from mmrl.errors import SandboxError

PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
_PROBE = (
    "import sys, json; sys.path.append(sys.argv[1]); "
    "from mmrl.sandbox.jail import prove; print(json.dumps(prove()))"
)
_PROBE_TIMEOUT_S = 60.0


class Wall(StrEnum):
    """What keeps a program in; each alone stops most attempts, most attempts meet two."""

    SECCOMP = "seccomp"
    """Few system calls: no socket, process, thread, signal, exec, link, executable memory."""
    LANDLOCK = "landlock"
    """Files only beneath the scratch folder (of others their existence may still be seen)."""
    NAMESPACES = "namespaces"
    """An empty root folder, no network device, no other process to be seen."""


REMEDIES: Mapping[Wall, str] = {
    Wall.SECCOMP: "a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64",
    Wall.LANDLOCK: "Linux 5.13 or later with landlock among its security modules (lsm=)",
    Wall.NAMESPACES: "unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0; in a container a profile that has unshare)",
}
"""What lets a wall stand that is missing."""


@functools.cache
def missing_walls() -> Mapping[Wall, str]:
    """The walls that cannot stand here, each with the reason; asked once a process, 0.1 s."""
    if sys.platform != "linux":
        return MappingProxyType({wall: f"needs Linux; this is {sys.platform}" for wall in Wall})
    command = [sys.executable, "-I", "-S", "-c", _PROBE, PACKAGE_ROOT]
    try:
        probe = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=True, env={}
        )
        missing = json.loads(probe.stdout)
    except subprocess.CalledProcessError as error:
        why = (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]
        missing = {wall: f"the probe failed: {why}" for wall in Wall}
    except subprocess.TimeoutExpired:
        missing = {wall: f"the probe did not end in {_PROBE_TIMEOUT_S:g} s" for wall in Wall}
    return MappingProxyType({Wall(name): why for name, why in missing.items()})


def require(without: Collection[Wall | str]) -> frozenset[Wall]:
    """The walls to put up: all but `without`; SandboxError naming those that cannot stand."""
    known = {wall.value for wall in Wall}
    unknown = [name for name in without if name not in known]
    if unknown:
        raise SandboxError(f'sandbox: no wall "{unknown[0]}"; there are {", ".join(sorted(known))}')
    wanted = frozenset(Wall) - {Wall(name) for name in without}
    missing = {wall: why for wall, why in missing_walls().items() if wall in wanted}
    if missing:
        names = [wall.value for wall in missing]
        lines = [f"  {wall}: {why}. Wanted: {REMEDIES[wall]}" for wall, why in missing.items()]
        raise SandboxError(
            "sandbox: untrusted programs are not run, this system lacks the isolation for it:\n"
            + "\n".join(lines)
            + f"\nProvide it, or say that you do without: without={names}"
        )
    return wanted
