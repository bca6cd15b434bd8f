"""`mmrl doctor`: what this machine and this installation can do, one line each, with the fix."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

GIB = 2**30
EXTRAS = {
    "tensorboard": "tensorboard",
    "wandb": "wandb",
    "trackio": "trackio",
    "bitsandbytes": "qlora",
    "vllm": "vllm",
    "deepspeed": "deepspeed",
    "trl": "trl",
}
"""Optional package -> the extra that installs it."""
MIN_DISK_GB = 5
MIN_MEMORY_GB = 4


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's: what was looked at, how it is, what to do about it."""

    status: Status
    what: str
    says: str
    fix: str = ""

    def __str__(self) -> str:
        line = f"{self.status:4}  {self.what:14} {self.says}"
        return f"{line}\n      {'':14} fix: {self.fix}" if self.fix else line


def doctor(args: argparse.Namespace) -> int:
    """Prints every finding; 1 when something fails, else 0."""
    failed = 0
    for finding in examine():
        print(finding, flush=True)
        failed += finding.status is Status.FAIL
    print(f"\n{failed} failed; fix these first" if failed else "\nready: mmrl can train here")
    return 1 if failed else 0


def examine() -> Iterator[Finding]:
    """All findings, the quick ones first."""
    yield python_version()
    yield cores()
    yield memory()
    yield disk(Path.cwd())
    yield torch_build()
    yield torchvision_state()
    yield cuda_only_wheels()
    yield transformers_version()
    yield from readers()
    yield devices()
    yield sandbox()
    yield from extras()
    yield plugins()


def python_version(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether Python is one that mmrl supports."""
    text = ".".join(map(str, version))
    says = f"{text} on {platform.system()} {platform.machine()}"
    if version < (3, 11):
        return Finding(Status.FAIL, "python", says, "install Python 3.11, 3.12 or 3.13")
    if version >= (3, 14):
        return Finding(Status.WARN, "python", says, "3.11 to 3.13 are tested; make the venv of one")
    return Finding(Status.OK, "python", says)


def cores() -> Finding:
    """Cores this process may run on."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        count = os.cpu_count() or 1
    return Finding(Status.OK, "cores", str(count))


def memory() -> Finding:
    """Memory that may be used: the machine's, or the container's limit when it is lower."""
    import psutil

    machine = psutil.virtual_memory()
    total, free = machine.total, machine.available
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.is_file() and (text := limit.read_text().strip()).isdigit() and int(text) < total:
        used = Path("/sys/fs/cgroup/memory.current").read_text().strip()
        total = int(text)
        free = min(free, total - int(used))
    says = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < MIN_MEMORY_GB * GIB:
        fix = f"training wants {MIN_MEMORY_GB} GiB: close what else runs, or lower media.memory_gb"
        return Finding(Status.WARN, "memory", says, fix)
    return Finding(Status.OK, "memory", says)


def disk(folder: Path) -> Finding:
    """Room for run folders, and whether one may be written."""
    free = shutil.disk_usage(folder).free
    says = f"{free / GIB:.1f} GiB free in {folder}"
    if not os.access(folder, os.W_OK):
        return Finding(Status.FAIL, "disk", f"{folder} may not be written", "set run_dir elsewhere")
    if free < MIN_DISK_GB * GIB:
        fix = "set run_dir and media.cache_dir to a larger disk, or lower checkpoint.keep"
        return Finding(Status.WARN, "disk", says, fix)
    return Finding(Status.OK, "disk", says)


def torch_build() -> Finding:
    """The torch that is installed."""
    failed, module = _import("torch")
    if failed:
        return Finding(Status.FAIL, "torch", failed, "make venv")
    built = f"CUDA {module.version.cuda}" if module.version.cuda else "CPU build"
    return Finding(Status.OK, "torch", f"{module.__version__}, {built}")


def torchvision_state() -> Finding:
    """Whether torchvision imports, and whether its compiled operators are there."""
    from mmrl import torchvision_shim

    try:
        torchvision_shim.ensure_torchvision()
    except (ImportError, RuntimeError, OSError) as error:
        fix = "install the torchvision that matches torch (constraints.txt names the pair)"
        return Finding(Status.FAIL, "torchvision", _first_line(error), fix)
    version = importlib.metadata.version("torchvision")
    declared = getattr(torchvision_shim, "_library", None) is not None
    state = "operators declared by mmrl (CPU torch)" if declared else "its own operators"
    return Finding(Status.OK, "torchvision", f"{version}, {state}")


def cuda_only_wheels(names: tuple[str, ...] = ("torchaudio", "torchcodec")) -> Finding:
    """Wheels that break `import transformers` when their CUDA libraries are missing."""
    broken = []
    for name in names:
        if importlib.util.find_spec(name) is not None:
            failed, _ = _import(name)
            if failed:
                broken.append(name)
    if broken:
        fix = f"pip uninstall {' '.join(broken)} (mmrl does not use them)"
        says = f"{', '.join(broken)} cannot be imported and may break transformers"
        return Finding(Status.FAIL, "other wheels", says, fix)
    return Finding(Status.OK, "other wheels", "no broken torchaudio or torchcodec")


def transformers_version() -> Finding:
    """Whether transformers is one that the model families were written for."""
    failed, module = _import("transformers")
    if failed:
        return Finding(Status.FAIL, "transformers", failed, "make venv")
    major, minor = (int(part) for part in module.__version__.split(".")[:2])
    if not (5, 17) <= (major, minor) < (5, 24):
        fix = 'pip install "transformers>=5.17,<5.24"'
        return Finding(Status.WARN, "transformers", f"{module.__version__} is not tested", fix)
    return Finding(Status.OK, "transformers", module.__version__)


def readers() -> Iterator[Finding]:
    """The video readers; one is enough, each missing one narrows what can be read."""
    wanted = {"av": "av", "decord": "decord", "cv2": "opencv-python-headless"}
    found = {}
    for name in wanted:
        failed, module = _import(name)
        if not failed:
            found[name] = str(getattr(module, "__version__", "present"))
    for name, package in wanted.items():
        if name in found:
            yield Finding(Status.OK, name, found[name])
        elif name == "decord" and platform.machine() not in ("x86_64", "AMD64"):
            yield Finding(Status.OK, name, f"has no wheel for {platform.machine()}; PyAV reads")
        else:
            status = Status.WARN if found else Status.FAIL
            yield Finding(status, name, "cannot be imported", f"pip install {package}")


def devices() -> Finding:
    """What `policy.device: auto` would take."""
    failed, torch = _import("torch")
    if failed:
        return Finding(Status.FAIL, "devices", failed, "make venv")
    if torch.cuda.is_available():
        names = []
        for i in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(i)
            names.append(f"{properties.name} ({properties.total_memory / GIB:.0f} GiB)")
        return Finding(Status.OK, "devices", ", ".join(names))
    if torch.backends.mps.is_available():
        return Finding(Status.OK, "devices", "mps (Apple GPU)")
    if torch.version.cuda and shutil.which("nvidia-smi"):
        fix = "the driver is older than this torch's CUDA: update it, or install a matching torch"
        return Finding(Status.WARN, "devices", "an NVIDIA driver is there, CUDA is not", fix)
    says = f"cpu, {torch.get_num_threads()} threads; enough for the tiny recipes"
    return Finding(Status.OK, "devices", says)


def sandbox() -> Finding:
    """Whether untrusted programs can be jailed; only rewards that run programs need it."""
    from mmrl.sandbox.walls import REMEDIES, Wall, missing_walls

    missing = missing_walls()
    if not missing:
        return Finding(Status.OK, "sandbox", f"{', '.join(Wall)} stand: programs can be run")
    says = "; ".join(f"no {wall}: {why}" for wall, why in missing.items())
    wanted = "; ".join(REMEDIES[wall] for wall in missing)
    without = f"`without: [{', '.join(missing)}]` in the recipe's kwargs.run does without"
    return Finding(Status.WARN, "sandbox", says, f"only to run programs: {wanted}; {without}")


def extras() -> Iterator[Finding]:
    """Optional packages: absent is fine, the line says how to get one."""
    absent = []
    for package, extra in EXTRAS.items():
        if importlib.util.find_spec(package) is None:
            absent.append(f"{package} (pip install '.[{extra}]')")
        else:
            version = importlib.metadata.version(package)
            yield Finding(Status.OK, package, f"{version} (optional)")
    if absent:
        yield Finding(Status.OK, "not installed", f"optional: {', '.join(absent)}")


def plugins() -> Finding:
    """Packages that announce themselves under the entry point group `mmrl`."""
    names = sorted(e.name for e in importlib.metadata.entry_points(group="mmrl"))
    return Finding(Status.OK, "plug-ins", ", ".join(names) or "none installed")


def _import(name: str) -> tuple[str, Any]:
    """("", module), or the first line of why it cannot be imported and None."""
    try:
        return "", importlib.import_module(name)
    except (ImportError, OSError, RuntimeError) as error:
        return _first_line(error), None


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
