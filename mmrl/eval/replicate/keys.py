"""What a figure depends on, as one key: another key is another run.

A key is a hash of the resolved settings, the start weights, the evaluations, and the code that a
paper brings (its method's class, plug-ins, reward functions; without comments and docstrings).
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmrl.config.load import LoadedRun
from mmrl.config.schema import Run
from mmrl.errors import ConfigError
from mmrl.eval.replicate.arms import arm_recipe, start_recipe
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.schema import Arm, Claim
from mmrl.methods.base import METHODS, MethodSpec
from mmrl.train.recipe import stage_spec, stages_of
from mmrl.train.staged import promotion_eval

_NOT_OF_THE_RESULT = ("name", "run_dir", "seed", "log", "checkpoint", "eval", "plugins", "method")
"""Settings that leave the trained weights as they are, or are hashed by what they mean; of `eval`,
what promotions read is hashed."""


def start_key(paper: Paper) -> str | None:
    """What the start model depends on, its seed included."""
    loaded = start_recipe(paper)
    return None if loaded is None else settings_key(loaded, None, seed=loaded.run.seed)


def line_key(paper: Paper, arm: Arm) -> str:
    """What an arm's figures depend on beside the seed: its weights and all evaluations."""
    evaluations = {name: evaluation_key(paper, name) for name in paper.evaluations}
    return digest([arm_key(paper, arm, start_key(paper)), evaluations])


def function_codes(paper: Paper, arm: str) -> dict[str, str]:
    """FILE.py:name -> hash of the file's code, of the function measures that compare this arm."""
    claims = [c for c in paper.trained_claims if c.file and arm in (c.arm, c.against)]
    return {c.key: code_digest(paper.folder / str(c.file)) for c in claims}


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
    promotions = [promotion_eval(run, s.promote) for s in run.stages if s.promote is not None]
    if promotions:
        read = {"data", "samples", "best_of", "greedy", "temperature", "limit"}
        data["promotions"] = [p.model_dump(mode="json", include=read) for p in promotions]
    return digest({**_with_weights(data, run, start), **more})


def evaluation_key(paper: Paper, name: str) -> str:
    """Hash of what an evaluation shows and how it samples."""
    return digest(paper.evaluations[name].model_dump(mode="json"))


def claim_digest(claim: Claim) -> str:
    """Hash of what a claim says of figures: its measure, its two arms, its direction."""
    return digest([claim.key, claim.arm, claim.against, claim.direction])


def digest(data: Any) -> str:
    """Twelve hex digits of a hash of plain data."""
    text = json.dumps(data, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def code_digest(path: Path) -> str:
    """Hash of a Python file's code: layout, comments and docstrings do not count."""
    return digest(ast.dump(_bare(ast.parse(path.read_text(encoding="utf-8")))))


@lru_cache(maxsize=1)
def project_code() -> str:
    """Hash of all code of mmrl, read once a process: which code a figure was made with.

    It is no part of a key (most of the code changes no figure); a result names every one it saw.
    """
    return folder_code(Path(__file__).parents[2])


def folder_code(root: Path) -> str:
    """Hash of all Python files below a folder as they stand, by relative path."""
    files = sorted((path.relative_to(root).as_posix(), path) for path in root.rglob("*.py"))
    return digest([(name, hashlib.sha256(path.read_bytes()).hexdigest()) for name, path in files])


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
