"""A recipe file and its overrides to a validated `Run`, every setting with the place it came from.

    loaded = load_recipe("recipes/quickstart.yaml", ["train.steps=50", "policy.freeze=[vision]"])
    loaded.run.train.steps                    # 50
    loaded.where("train.steps")               # "override"
    raise loaded.located("method.clipp", "no such setting")

`extends: other.yaml` (relative to the file, one level) puts another recipe underneath: mappings
merge, everything else is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mmrl.config.explain import describe, explain, section_at
from mmrl.config.schema import OptimizerConfig, Run, StageConfig
from mmrl.config.yaml import dump_yaml, load_yaml, parse_scalar, parse_yaml
from mmrl.errors import ConfigError, nearest

__all__ = [
    "LoadedRun",
    "dump_run",
    "json_schema",
    "load_recipe",
    "load_run",
    "load_yaml",
    "stage_optimizer",
]

Overrides = Mapping[str, Any] | Sequence[str]
Places = dict[str, str]
"""Dotted key to "file:line", or to "override"."""

OVERRIDE = "override"


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run with the place of every setting, for messages of later validators."""

    run: Run
    path: Path | None = None
    """The recipe file; None when the run was made in Python."""
    places: Mapping[str, str] = field(default_factory=dict, repr=False)

    def where(self, key: str) -> str:
        """ "file:line" of a dotted key, of its nearest parent that is written, or "override"."""
        return _where(self.places, key, self._source)

    def located(self, key: str, message: str) -> ConfigError:
        """An error that names the place and the key: `recipe.yaml:7: method.clipp: message`."""
        return ConfigError(f"{self.where(key)}: {key}: {message}")

    @property
    def _source(self) -> str:
        return str(self.path) if self.path else "run"


def load_run(source: str | Path | Run | Mapping[str, Any], overrides: Overrides = ()) -> Run:
    """The validated run of a recipe file (or of a run or plain mapping), overrides applied."""
    return load_recipe(source, overrides).run


def load_recipe(
    source: str | Path | Run | Mapping[str, Any], overrides: Overrides = ()
) -> LoadedRun:
    """As `load_run`, with the place of every setting. Every problem is named in one error."""
    path: Path | None = None
    places: Places = {}
    if isinstance(source, Run):
        data = _plain(source.model_dump(), "run")
    elif isinstance(source, Mapping):
        data = _plain(source, "run")
    else:
        path = Path(source)
        data, places = _read(path)
    _override(data, places, overrides)
    name = str(path) if path else "run"
    try:
        run = Run.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        found = [(_where(places, k, name), k, words) for k, words in explain(Run, error)]
        found.sort(key=lambda problem: _line(problem[0]))
        raise ConfigError("\n".join(": ".join(problem) for problem in found)) from None
    loaded = LoadedRun(run=run, path=path, places=places)
    for i, stage in enumerate(run.stages):
        try:
            stage_optimizer(run, stage)
        except ValidationError as error:
            problems = [
                loaded.located(f"stages.{i}.optimizer.{k}", words)
                for k, words in explain(OptimizerConfig, error)
            ]
            raise ConfigError("\n".join(map(str, problems))) from None
    return loaded


def stage_optimizer(run: Run, stage: StageConfig) -> OptimizerConfig:
    """The optimizer settings of a stage: the recipe's, with what the stage says differently."""
    merged = {**run.optimizer.model_dump(), **stage.optimizer}
    return OptimizerConfig.model_validate_json(json.dumps(merged), strict=True)


def dump_run(run: Run) -> str:
    """The run as YAML, every setting spelled out; `load_run` of it gives an equal run."""
    return dump_yaml(_plain(run.model_dump(), "run"))


def json_schema() -> dict[str, Any]:
    """JSON schema of a recipe file, for editors that complete and check YAML."""
    schema = Run.model_json_schema()
    schema["properties"] = {
        "extends": {
            "type": "string",
            "description": "Another recipe, relative to this file, that this one changes.",
        },
        **schema["properties"],
    }
    # a recipe that extends another may leave everything to it
    schema.pop("required", None)
    return schema


def _where(places: Mapping[str, str], key: str, default: str) -> str:
    while key:
        if key in places:
            return places[key]
        key = key.rpartition(".")[0]
    return default


def _line(place: str) -> int:
    """The line of "file:line"; 0 for a place without one."""
    last = place.rpartition(":")[2]
    return int(last) if last.isdigit() else 0


def _read(path: Path) -> tuple[dict[str, Any], Places]:
    """The data of a recipe on top of the one it extends, and the place of each key."""
    data, places = _read_one(path)
    if "extends" not in data:
        return data, places
    base_name, base_place = data.pop("extends"), places.pop("extends")
    if not isinstance(base_name, str):
        raise ConfigError(
            f"{base_place}: extends: wanted the path of one recipe; got {describe(base_name)}"
        )
    base_path = path.parent / base_name
    if not base_path.is_file():
        raise ConfigError(f"{base_place}: extends: no file {base_path}")
    base, base_places = _read_one(base_path)
    if "extends" in base:
        raise ConfigError(
            f"{base_place}: extends: {base_path} itself extends {base['extends']} "
            f"({base_places['extends']}); only one level is read: extend {base['extends']} "
            f"directly, or write its settings into {base_path.name}"
        )
    _merge(base, base_places, data, places, "")
    return base, base_places


def _read_one(path: Path) -> tuple[dict[str, Any], Places]:
    data, lines = load_yaml(path)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path}: a recipe is a mapping (policy: ..., data: ...); got {describe(data)}"
        )
    return data, {key: f"{path}:{line}" for key, line in lines.items() if key}


def _merge(
    base: dict[str, Any],
    base_places: Places,
    top: Mapping[str, Any],
    top_places: Mapping[str, str],
    prefix: str,
) -> None:
    """Puts `top` over `base` in place."""
    for name, value in top.items():
        key = f"{prefix}{name}"
        below = base.get(name)
        if isinstance(value, dict) and isinstance(below, dict):
            base_places[key] = top_places[key]
            _merge(below, base_places, value, top_places, f"{key}.")
            continue
        _forget(base_places, key)
        base[name] = value
        for inner, place in top_places.items():
            if inner == key or inner.startswith(f"{key}."):
                base_places[inner] = place


def _forget(places: Places, key: str) -> None:
    for known in [k for k in places if k == key or k.startswith(f"{key}.")]:
        del places[known]


def _override(data: dict[str, Any], places: Places, overrides: Overrides) -> None:
    """Writes every override into the data."""
    pairs: list[tuple[str, Any]]
    if isinstance(overrides, Mapping):
        pairs = [(str(k), _plain(v, str(k))) for k, v in overrides.items()]
    elif isinstance(overrides, str):
        raise ConfigError(f"{OVERRIDE}: wanted a list of key=value; got {describe(overrides)}")
    else:
        pairs = [key_value(text) for text in overrides]
    for key, value in pairs:
        _set(data, key, value)
        _forget(places, key)
        places[key] = OVERRIDE


def key_value(text: str) -> tuple[str, Any]:
    """`key=value` to the key and the value as a recipe would read it (lists and mappings too)."""
    key, equals, raw = text.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ConfigError(f'{OVERRIDE} "{text}": wanted key=value, as in train.steps=50')
    raw = raw.strip()
    if raw[:1] in ("[", "{", '"', "'"):
        return key, parse_yaml(raw, name=f'{OVERRIDE} "{text}"')[0]
    return key, parse_scalar(raw)


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    """Sets a dotted key; sections that are not there yet are made, list entries are not."""
    parts = key.split(".")
    current: Any = data
    for depth, part in enumerate(parts):
        done = ".".join(parts[:depth])
        last = depth == len(parts) - 1
        if isinstance(current, list):
            if not part.isdigit() or int(part) >= len(current):
                known = f"0 to {len(current) - 1}" if current else "none"
                raise ConfigError(
                    f"{OVERRIDE}: {key}: {done} has no entry {part}; there are {known}"
                )
            if last:
                current[int(part)] = value
            else:
                current = current[int(part)]
            continue
        if not isinstance(current, dict):
            raise ConfigError(
                f"{OVERRIDE}: {key}: {done} is {describe(current)}, it has no setting {part}"
            )
        if part.isdigit() and not current:
            raise ConfigError(f"{OVERRIDE}: {key}: {done} has no entries in the recipe")
        _check_known(key, parts[: depth + 1])
        if last:
            current[part] = value
        else:
            if current.get(part) is None:
                current[part] = {}
            current = current[part]


def _check_known(key: str, parts: list[str]) -> None:
    """Refuses an unknown setting of a known section before a section is made for it."""
    section = section_at(Run, parts[:-1])
    if section is not None and parts[-1] not in section.model_fields:
        known = section.model_fields
        raise ConfigError(f"{OVERRIDE}: {key}: no such setting.{nearest(parts[-1], known)}")


def _plain(value: Any, key: str) -> Any:
    """Tuples as lists, paths as text, so that values from Python are what a file could hold."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v, f"{key}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, f"{key}.{i}") for i, v in enumerate(value)]
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"{OVERRIDE}: {key}: a setting is plain data; got {describe(value)}")
