"""The checkpoints that may be tried, and the one that is in memory.

What can be loaded is found in the known runs (`model/`, `best/`, `checkpoints/step-…`) and in the
model folders named on the command line; a browser names one by its name, never by a path. Loading
goes through `mmrl.policy.load`: safetensors alone, no code of a checkpoint or of a recipe is run.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrl.config.load import LoadedRun, load_recipe
from mmrl.errors import ConfigError, MmrlError, PolicyError, nearest
from mmrl.inspector.runs import RunFiles

if TYPE_CHECKING:
    from mmrl.train.models import Doors

MOST_NEW_TOKENS = 2048
CLIP_LIMIT_S = 20.0
_STEP = re.compile(r"step-(\d{1,9})")
_KEPT = ("dtype", "max_prompt_tokens", "over_budget")
"""Settings of a run's policy that hold here too; where and how it computes is this machine's."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One model that can be loaded."""

    name: str
    folder: Path
    run: RunFiles | None = None
    """The run whose settings hold (budgets, dtype, tokens); None for a plain model folder."""
    step: int | None = None
    """Of a checkpoint in the middle of a run: its weights go onto the run's first model."""

    @property
    def stamp(self) -> tuple[tuple[str, int, int], ...]:
        """Names, sizes and times of the files: a model that was written anew has another."""
        found = []
        for path in sorted(self.folder.glob("*")):
            about = path.stat()
            found.append((path.name, about.st_size, about.st_mtime_ns))
        return tuple(found)


def checkpoints(runs: Mapping[str, RunFiles], models: Mapping[str, Path]) -> dict[str, Checkpoint]:
    """Name -> checkpoint of everything that is there now, run by run, then model folders."""
    found: list[Checkpoint] = []
    for name, run in runs.items():
        for part in ("model", "best"):
            folder = run.folder / part
            if not folder.is_symlink() and _is_model(folder):
                found.append(Checkpoint(name=f"{name} · {part}", folder=folder, run=run))
        for step, folder in _steps(run.folder / "checkpoints"):
            title = f"{name} · step {step}"
            found.append(Checkpoint(name=title, folder=folder, run=run, step=step))
    for name, folder in models.items():
        if _is_model(folder):
            found.append(Checkpoint(name=name, folder=folder))
    return {checkpoint.name: checkpoint for checkpoint in found}


def recipe_of(checkpoint: Checkpoint) -> LoadedRun:
    """The settings under which a checkpoint is loaded; ConfigError where a run's cannot be read.

    Of a run's recipe the budgets of media, the prompt limit and the sampling are taken; plug-ins,
    rewards, caches and devices are not.
    """
    settings: dict[str, Any] = {
        "policy": {"model": str(checkpoint.folder)},
        "media": {"workers": 1, "timeout_s": CLIP_LIMIT_S},
    }
    if checkpoint.run is not None:
        config = checkpoint.run.config
        own = load_recipe(
            {key: config[key] for key in ("policy", "media", "rollout") if key in config}
        ).run.model_dump(mode="json")
        settings["policy"] |= {key: own["policy"][key] for key in _KEPT}
        settings["media"] |= {key: own["media"][key] for key in ("image", "video")}
        settings["rollout"] = {
            key: own["rollout"][key] for key in ("max_new_tokens", "top_p", "top_k", "stop")
        }
        settings["rollout"]["max_new_tokens"] = min(
            MOST_NEW_TOKENS, settings["rollout"]["max_new_tokens"]
        )
        if checkpoint.step is not None:
            base = Path(own["policy"]["model"])
            if not _is_model(base):
                raise ConfigError(
                    f"{checkpoint.name}: a checkpoint of a run goes onto the model that the run "
                    f"began with ({base}), which is no model folder here"
                )
            settings["policy"] |= {key: own["policy"][key] for key in ("model", "lora", "freeze")}
    return load_recipe(settings)


class Holder:
    """Holds one loaded model at a time; not for several threads at once (its user has a lock)."""

    def __init__(self) -> None:
        self._key: object = None
        self._doors: Doors | None = None
        self.loaded = 0
        """How often a model was loaded."""

    def get(self, checkpoint: Checkpoint) -> Doors:
        """The model of a checkpoint; the one before leaves memory first. PolicyError, ConfigError
        where it cannot be loaded."""
        key = (checkpoint.name, checkpoint.folder, checkpoint.stamp)
        if self._doors is None or key != self._key:
            self.release()
            self._doors = _load(checkpoint)
            self._key = key
            self.loaded += 1
        return self._doors

    def release(self) -> None:
        """Forgets the model and ends its decoding processes."""
        if self._doors is None:
            return
        self._doors.close()
        self._doors, self._key = None, None
        gc.collect()
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def named(known: Mapping[str, Checkpoint], name: str) -> Checkpoint:
    """The checkpoint of that name, or a ConfigError that lists what there is."""
    if name not in known:
        raise ConfigError(f'no model "{ascii(name)[1:80]}" here.{nearest(name[:80], known)}')
    return known[name]


def _load(checkpoint: Checkpoint) -> Doors:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from mmrl.train.assemble import load_models
    from mmrl.train.run import quiet_libraries

    quiet_libraries()
    try:
        doors = load_models(recipe_of(checkpoint))
        if checkpoint.step is not None:
            state = load_file(checkpoint.folder / "policy.safetensors")
            doors.policy.load_trainable_state(state)
    except MmrlError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        # what transformers, safetensors and PEFT raise for files that are none of theirs
        text = f"{checkpoint.name}: cannot be loaded: {type(error).__name__}: {error}"
        raise PolicyError(text[:800]) from error
    return doors


def _is_model(folder: Path) -> bool:
    """Whether a folder holds a checkpoint that transformers or PEFT wrote."""
    heads = ("config.json", "adapter_config.json")
    return any((folder / head).is_file() for head in heads) and any(folder.glob("*.safetensors"))


def _steps(folder: Path) -> list[tuple[int, Path]]:
    """Whole checkpoints in the folder of a run, by step; links are not followed."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        step = _STEP.fullmatch(path.name)
        if step and not path.is_symlink() and (path / "policy.safetensors").is_file():
            found.append((int(step[1]), path))
    return sorted(found)
