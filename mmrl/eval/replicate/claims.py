"""claims.yaml: what a paper claims, and how it is tried. Every problem is named with its line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mmrl.config.explain import describe, explain
from mmrl.config.load import load_yaml
from mmrl.config.schema import Section
from mmrl.errors import ConfigError, nearest
from mmrl.eval.replicate.schema import (
    LEAST_ITEMS,
    Arm,
    Claim,
    ClaimsFile,
    EvaluationConfig,
    PaperInfo,
)
from mmrl.rewards.functions import load_user_function, module_of_file

RECIPES = Path("recipes")


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A validated claims.yaml."""

    folder: Path
    info: PaperInfo
    recipe: Path
    seeds: int
    start: Path | None
    evaluations: Mapping[str, EvaluationConfig]
    arms: Mapping[str, Arm]
    claims: tuple[Claim, ...]
    places: Mapping[str, int] = field(default_factory=dict, repr=False)
    least_items: int = LEAST_ITEMS

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def trained_claims(self) -> tuple[Claim, ...]:
        return tuple(c for c in self.claims if c.kind == "trained")

    @property
    def mechanisms(self) -> tuple[Claim, ...]:
        return tuple(c for c in self.claims if c.kind == "mechanism")

    def located(self, key: str, message: str) -> ConfigError:
        """An error that names file, line and key."""
        return _located(self.folder / "claims.yaml", self.places, key, message)

    def function(self, claim: Claim) -> Callable[..., Any]:
        """The function of a claim, from a file of the recipe's own folder."""
        file, _, name = claim.key.partition(":")
        key = f"claims.{self.claims.index(claim)}.{'function' if claim.function else 'measure'}"
        if Path(file).name != file or not file.endswith(".py"):
            words = f'"{claim.key}": wanted FILE.py:function, a file of {self.folder}'
            raise self.located(key, words)
        try:
            if (self.folder / file).is_file():
                _read_again_if_changed(self.folder / file)
            return load_user_function(f"{self.folder / file}:{name}")
        except ConfigError as error:
            raise self.located(key, str(error)) from error


def papers_with_claims(recipes: Path = RECIPES) -> dict[str, Path]:
    """Name -> folder of every recipe folder with a claims.yaml."""
    return {path.parent.name: path.parent for path in sorted(recipes.glob("*/claims.yaml"))}


def open_paper(paper: str | Path, *, least_items: int = LEAST_ITEMS) -> Paper:
    """The paper of a name (`recipes/NAME`) or a folder."""
    folder = Path(paper)
    if not (folder / "claims.yaml").is_file():
        known = papers_with_claims()
        if str(paper) not in known:
            near = nearest(str(paper), known)
            raise ConfigError(f'no paper "{paper}": no recipes/{paper}/claims.yaml.{near}')
        folder = known[str(paper)]
    return load_claims(folder, least_items=least_items)


def load_claims(folder: Path, *, least_items: int = LEAST_ITEMS) -> Paper:
    """Reads and checks `folder`/claims.yaml; no recipe, model or data is opened."""
    path = folder / "claims.yaml"
    data, places = load_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: wanted a mapping (paper: …, claims: …); got {describe(data)}")
    file = _validated(ClaimsFile, data, path, places, "")
    evaluations = {
        name: _validated(EvaluationConfig, given, path, places, f"evaluations.{name}.")
        for name, given in file.evaluations.items()
    }
    for name, evaluation in evaluations.items():
        if evaluation.items < least_items:
            words = f"wanted at least {least_items}; got the number {evaluation.items}"
            raise _located(path, places, f"evaluations.{name}.items", words)
        for i, entry in enumerate(evaluation.data):
            if entry.limit is not None:
                words = "items says how many are shown; leave limit out"
                raise _located(path, places, f"evaluations.{name}.data.{i}.limit", words)
    paper = Paper(
        folder=folder,
        info=file.paper,
        recipe=folder / file.recipe,
        seeds=file.seeds,
        start=folder / file.start if file.start else None,
        evaluations=evaluations,
        arms={name: _arm(name, given, path, places) for name, given in file.arms.items()},
        claims=file.claims,
        places=places,
        least_items=least_items,
    )
    for key, named in (("recipe", paper.recipe), ("start", paper.start)):
        if named is not None and not named.is_file():
            near = nearest(named.name, [p.name for p in folder.glob("*.yaml")])
            raise paper.located(key, f"no file {named}.{near}")
    for i, claim in enumerate(paper.claims):
        _check_claim(paper, i, claim)
    return paper


def _read_again_if_changed(path: Path) -> None:
    """Forgets a module whose file is another one now: a figure is logged with the code it is of."""
    text = path.read_bytes()
    module = module_of_file(path)
    if vars(module).setdefault("_text_of_claims", text) != text:
        del sys.modules[module.__name__]
        vars(module_of_file(path))["_text_of_claims"] = text


def _arm(name: str, given: Any, path: Path, places: Mapping[str, int]) -> Arm:
    if not isinstance(given, dict):
        words = f"wanted a mapping (overrides of the recipe; {{}} is none); got {describe(given)}"
        raise _located(path, places, f"arms.{name}", words)
    if not name.replace("_", "").replace("-", "").isalnum():
        raise _located(path, places, f"arms.{name}", "an arm's name is letters, digits, _ and -")
    flags = {key: given[key] for key in ("blank", "untrained") if key in given}
    for key, value in flags.items():
        if not isinstance(value, bool):
            words = f"wanted true or false; got {describe(value)}"
            raise _located(path, places, f"arms.{name}.{key}", words)
    overrides = {key: value for key, value in given.items() if key not in flags}
    return Arm(name=name, overrides=overrides, **flags)


def _check_claim(paper: Paper, index: int, claim: Claim) -> None:
    key = f"claims.{index}"
    if claim.name in [c.name for c in paper.claims[:index]]:
        raise paper.located(f"{key}.name", f'two claims are called "{claim.name}"')
    if (claim.measure is None) == (claim.function is None):
        raise paper.located(
            key, "give one of measure (EVALUATION.MEASURE) and function (FILE.py:name)"
        )
    if claim.kind == "mechanism" and claim.file is None:
        words = "a mechanism is a function of the seed: write function: FILE.py:name"
        raise paper.located(f"{key}.measure", words)
    if claim.kind == "trained":
        for side in ("arm", "against"):
            name = getattr(claim, side)
            if name not in paper.arms:
                raise paper.located(f"{key}.{side}", f'no arm "{name}".{nearest(name, paper.arms)}')
        if claim.file is None:
            evaluation = claim.key.partition(".")[0]
            if evaluation not in paper.evaluations:
                words = f'"{claim.key}": no evaluation "{evaluation}".'
                words += nearest(evaluation, paper.evaluations)
                raise paper.located(f"{key}.measure", words)
    if claim.arm == claim.against:
        raise paper.located(f"{key}.against", f'"{claim.arm}" is compared with itself')
    if claim.file is not None:
        paper.function(claim)


def _located(path: Path, places: Mapping[str, int], key: str, message: str) -> ConfigError:
    known = key
    while known and known not in places:
        known = known.rpartition(".")[0]
    return ConfigError(f"{path}:{places.get(known, 1)}: {key}: {message}")


M = TypeVar("M", bound=Section)


def _validated(model: type[M], data: Any, path: Path, places: Mapping[str, int], prefix: str) -> M:
    try:
        return model.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        problems = [
            _located(path, places, f"{prefix}{key}".rstrip("."), words)
            for key, words in explain(model, error)
        ]
        raise ConfigError("\n".join(map(str, problems))) from None
