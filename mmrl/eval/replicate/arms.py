"""An arm as a recipe, and what its runs depend on as one key.

The key is a hash of the resolved settings, the start weights, and the code that a paper brings (its
method's class, plug-ins, reward functions; without comments and docstrings). A run with another key
is another run.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmrl.config.load import LoadedRun, load_recipe
from mmrl.config.schema import Run
from mmrl.errors import ConfigError
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.schema import Arm
from mmrl.methods.base import METHODS, MethodSpec
from mmrl.train.recipe import stage_spec, stages_of
from mmrl.train.run import import_plugins

_NOT_OF_THE_RESULT = ("name", "run_dir", "seed", "log", "checkpoint", "eval", "plugins", "method")
"""Settings that leave the trained weights as they are, or are hashed by what they mean."""


def arm_recipe(paper: Paper, arm: Arm) -> LoadedRun:
    """The recipe with the arm's overrides, pictures grey where the arm says so.

    Nested mappings merge. Where the arm names another method, the recipe's method settings that the
    other one does not have are left out (they were checked in the recipe itself).
    """
    base = load_recipe(paper.recipe)
    import_plugins(base)
    overrides = dict(_flat(arm.overrides))
    try:
        loaded = load_recipe(paper.recipe, _with_method(base.run, overrides))
    except ConfigError as error:
        raise paper.located(f"arms.{arm.name}", str(error)) from error
    more: dict[str, Any] = {}
    if arm.blank:
        more["data"] = _blank(loaded.run.data)
        for i, stage in enumerate(loaded.run.stages):
            more[f"stages.{i}.data"] = _blank(stage.data)
    for i, stage in enumerate(loaded.run.stages):
        # a promotion looks at the recipe's evaluation, which an arm's run leaves to the claims
        if stage.promote is not None and not stage.promote.data:
            more[f"stages.{i}.promote.data"] = [e.given() for e in loaded.run.eval.data]
    if not more:
        return loaded
    return replace(load_recipe(loaded.run, more), path=loaded.path)


def run_of(
    loaded: LoadedRun, *, paper: str, arm: str, seed: int, folder: Path, start: Path | None
) -> LoadedRun:
    """The recipe of one arm and seed: its folder, its start, no evaluation of its own."""
    more: dict[str, Any] = {
        "name": f"{paper}_{arm}",
        "run_dir": str(folder),
        "seed": seed,
        "eval.data": [],
        "eval.early_stop": None,
        "checkpoint.best": None,
        "checkpoint.keep": 1,
        "log.console": "quiet",
    }
    if start is not None:
        more["policy.model"] = str(start)
    return replace(load_recipe(loaded.run, more), path=loaded.path)


def start_recipe(paper: Paper) -> LoadedRun | None:
    """The recipe that all arms start from, or None."""
    return None if paper.start is None else load_recipe(paper.start)


def start_key(paper: Paper) -> str | None:
    """What the start model depends on, its seed included."""
    loaded = start_recipe(paper)
    return None if loaded is None else settings_key(loaded, None, seed=loaded.run.seed)


def arm_key(paper: Paper, arm: Arm, start: str | None) -> str:
    """What the weights of an arm depend on beside the seed."""
    loaded = arm_recipe(paper, arm)
    if not arm.untrained:
        return settings_key(loaded, start)
    run = loaded.run.model_dump(mode="json")
    seen = {name: run[name] for name in ("media", "rollout", "policy")}
    return digest(_with_weights(seen, loaded.run, start))


def settings_key(loaded: LoadedRun, start: str | None, **more: Any) -> str:
    """Hash of a recipe's settings, methods with their defaults, weights and code."""
    run = loaded.run
    data = run.model_dump(mode="json", exclude=set(_NOT_OF_THE_RESULT))
    specs = [stage_spec(loaded, s) for s in stages_of(run) if s.kind != "sft"]
    data["methods"] = [spec.model_dump(mode="json") for spec in specs]
    data["code"] = [
        *(method_code(type(spec)) for spec in specs),
        *(code_digest(path) for path in _files(loaded)),
    ]
    return digest({**_with_weights(data, run, start), **more})


def evaluation_key(paper: Paper, name: str) -> str:
    """Hash of what an evaluation shows and how it samples."""
    return digest(paper.evaluations[name].model_dump(mode="json"))


def digest(data: Any) -> str:
    """Twelve hex digits of a hash of plain data."""
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def code_digest(path: Path) -> str:
    """Hash of a Python file's code: layout, comments and docstrings do not count."""
    return digest(ast.dump(_bare(ast.parse(path.read_text(encoding="utf-8")))))


def method_code(spec: type[MethodSpec]) -> str:
    """Hash of the classes that make a method, up to `MethodSpec`, and of what its file defines.

    Other methods of the file are left out: a new one beside it changes no result.
    """
    own = {c.__name__: c.__module__ for c in spec.__mro__ if issubclass(c, MethodSpec)}
    own.pop("MethodSpec")
    found = []
    for module in sorted(set(own.values())):
        tree = _bare(ast.parse(Path(str(sys.modules[module].__file__)).read_text(encoding="utf-8")))
        specs = {c.__name__ for name in METHODS.names() for c in METHODS.get(name).__mro__}
        others = specs - {name for name, home in own.items() if home == module}
        kept = [n for n in tree.body if not (isinstance(n, ast.ClassDef) and n.name in others)]
        found.append(ast.dump(ast.Module(body=kept, type_ignores=[])))
    return digest(found)


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without texts that stand alone."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [n for n in body if not _is_text(n)]  # type: ignore[attr-defined]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _files(loaded: LoadedRun) -> list[Path]:
    """Plug-in files and files of reward functions and environments."""
    run = loaded.run
    names = [name for name in run.plugins if name.endswith(".py")]
    rewards = [*(run.rewards or ()), *(r for s in run.stages for r in s.rewards or ())]
    functions = [r.function for r in rewards if r.function] + [run.rollout.environment or ""]
    names += [f.rpartition(":")[0] for f in functions if ".py:" in f]
    beside = loaded.path.parent if loaded.path else Path()
    return sorted({Path(n) if Path(n).is_file() else beside / n for n in names})


def _with_weights(data: Mapping[str, Any], run: Run, start: str | None) -> dict[str, Any]:
    weights = start or weights_digest(Path(run.policy.model))
    return {**data, "policy": {**data["policy"], "model": weights}}


@lru_cache(maxsize=8)
def weights_digest(folder: Path) -> str:
    """Hash of a checkpoint folder's files by name and content."""
    if not folder.is_dir():
        raise ConfigError(f"policy.model: no folder {folder} (seen from {Path.cwd()})")
    files = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".json", ".txt"))
    return digest([(p.name, hashlib.sha256(p.read_bytes()).hexdigest()) for p in files])


def _flat(overrides: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted keys."""
    for name, value in overrides.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _with_method(run: Run, overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides in which another method does not inherit settings that it lacks."""
    name = overrides.get("method.name", run.method.get("name"))
    if name == run.method.get("name"):
        return overrides
    known = METHODS.get(str(name)).model_fields
    cleared: dict[str, Any] = {"method": {k: v for k, v in run.method.items() if k in known}}
    if "stages" not in overrides:
        for i, stage in enumerate(run.stages):
            if stage.method and "name" not in stage.method:
                kept = {k: v for k, v in stage.method.items() if k in known}
                cleared[f"stages.{i}.method"] = kept
    return {**cleared, **overrides}


def _blank(entries: Any) -> list[dict[str, Any]]:
    """Entries with grey media; what a stage collected was grey when it was collected."""
    return [e.given() if e.stage is not None else {**e.given(), "blank": True} for e in entries]
