"""mmrl: reinforcement learning of vision-language models on images and video.

The public names; each is imported when it is first asked for, so `import mmrl` is quick and brings
no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmrl.config.load import dump_run, load_run
    from mmrl.config.schema import Run
    from mmrl.data.check import check_data
    from mmrl.data.registry import register_dataset
    from mmrl.errors import (
        ConfigError,
        DataError,
        MediaError,
        MethodError,
        MmrlError,
        PolicyError,
        RewardError,
    )
    from mmrl.methods.base import Method, MethodSpec, register_method
    from mmrl.policy.vlm import VLMPolicy
    from mmrl.rewards.adapters import from_easyr1, from_trl, from_verl
    from mmrl.rewards.registry import register_reward
    from mmrl.roles import Reward
    from mmrl.tasks.base import Task, register_task
    from mmrl.train.run import RunResult, evaluate, train
    from mmrl.types import (
        Clock,
        Demonstration,
        Group,
        MediaRef,
        Parsed,
        Prompt,
        Rollout,
        Sample,
        ScoredGroup,
        Verdict,
    )

__version__ = "0.1.0"

_HOMES = {
    "mmrl.types": (
        "Clock",
        "Demonstration",
        "Group",
        "MediaRef",
        "Parsed",
        "Prompt",
        "Rollout",
        "Sample",
        "ScoredGroup",
        "Verdict",
    ),
    "mmrl.roles": ("Reward",),
    "mmrl.errors": (
        "ConfigError",
        "DataError",
        "MediaError",
        "MethodError",
        "MmrlError",
        "PolicyError",
        "RewardError",
    ),
    "mmrl.config.schema": ("Run",),
    "mmrl.config.load": ("dump_run", "load_run"),
    "mmrl.tasks.base": ("Task", "register_task"),
    "mmrl.data.registry": ("register_dataset",),
    "mmrl.data.check": ("check_data",),
    "mmrl.rewards.registry": ("register_reward",),
    "mmrl.rewards.adapters": ("from_easyr1", "from_trl", "from_verl"),
    "mmrl.methods.base": ("Method", "MethodSpec", "register_method"),
    "mmrl.policy.vlm": ("VLMPolicy",),
    "mmrl.train": ("train",),
    "mmrl.train.run": ("RunResult", "evaluate"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022 - by what one reaches for
    "__version__",
    # run
    "train",
    "evaluate",
    "load_run",
    "dump_run",
    "Run",
    "RunResult",
    "VLMPolicy",
    # extend
    "register_reward",
    "register_dataset",
    "register_task",
    "register_method",
    "from_trl",
    "from_verl",
    "from_easyr1",
    "check_data",
    "Task",
    "Reward",
    "Method",
    "MethodSpec",
    # what flows
    "Sample",
    "MediaRef",
    "Prompt",
    "Parsed",
    "Verdict",
    "Rollout",
    "Group",
    "ScoredGroup",
    "Demonstration",
    "Clock",
    # errors
    "MmrlError",
    "ConfigError",
    "DataError",
    "MediaError",
    "MethodError",
    "PolicyError",
    "RewardError",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'mmrl' has no attribute {name!r}")
    module = importlib.import_module(home)
    if name == "train":
        return module  # the package is callable: `mmrl.train(...)` and `mmrl.train.run` both work
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
