"""`mmrl show`: what exists, and what one name or recipe means."""

from __future__ import annotations

import argparse
import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mmrl.cli.names import data_entry, is_dataset_file, is_file_name
from mmrl.config.schema import CollectConfig, DataEntry, Run
from mmrl.data.spec import dataset_files
from mmrl.errors import ConfigError, nearest

TOPICS = ("tasks", "worlds", "rewards", "methods", "datasets", "schema")


def show(args: argparse.Namespace) -> int:
    """Prints a topic's list, a recipe as it is resolved, or all that has the given name.

    With `--to` draws samples instead.
    """
    topic = args.topic
    if args.to is not None:
        return _draw(args)
    if args.overrides and not is_file_name(topic):
        raise ConfigError(f"key=value changes a recipe; {topic} is not one")
    if topic in TOPICS:
        print("\n".join(_TOPIC_LINES[topic]()))
    elif is_file_name(topic):
        print(_file(Path(topic), args.overrides), end="")
    else:
        print("\n\n".join(_named(topic)))
    return 0


def _draw(args: argparse.Namespace) -> int:
    """Sheets of samples: of one task or data set to a file, of all worlds to a folder."""
    from mmrl.cli.sheet import sheet_of, world_sheets
    from mmrl.config.load import key_value

    to = Path(args.to)
    if args.topic == "worlds":
        if args.overrides:
            raise ConfigError("show worlds draws every level as it is; name one task to change it")
        for path in world_sheets(to, args.samples, args.seed, args.split or "train"):
            print(path)
        return 0
    entry = data_entry(args.topic, args.split)
    if "cfg" in entry and args.split is None:
        from mmrl.data.spec import load_spec

        entry["split"] = load_spec(entry["cfg"]).split_names()[0]
    options = dict(key_value(text) for text in args.overrides)
    if options and "task" not in entry:
        raise ConfigError(f"key=value sets an option of a world; {args.topic} is a data set")
    if options:
        entry["options"] = options
    print(sheet_of(entry, args.samples, args.seed, to))
    return 0


def task_lines() -> list[str]:
    """One line a task: name, measure, rewards, whether it draws its own samples."""
    from mmrl.tasks.base import TASKS

    rows = []
    for name in TASKS:
        task = TASKS.get(name)
        rewards = " + ".join(f"{r.weight:g} {r.name}" for r in task.rewards)
        origin = "draws samples" if task.world else "reads a data set"
        rows.append((name, task.score_name, origin, rewards))
    return _table(("task", "measure", "origin", "rewards"), rows)


def world_lines() -> list[str]:
    """One line a level of each world: the options that it stands for."""
    from mmrl.tasks.base import TASKS

    rows = []
    for name in TASKS:
        task = TASKS.get(name)
        for level, options in task.levels.items() if task.world is not None else ():
            rows.append((name, level, ", ".join(f"{k}={_plain(v)}" for k, v in options.items())))
    return [
        *_table(("world", "level", "options"), rows),
        "",
        "draw some: mmrl show TASK --to X.png",
    ]


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple) else str(value)


def reward_lines() -> list[str]:
    """One line a reward: name, bounds, what it says of itself."""
    from mmrl.rewards.registry import REWARDS

    rows = []
    for name in REWARDS:
        reward = REWARDS.get(name)
        low, high = reward.bounds
        rows.append((name, f"[{low:g}, {high:g}]", _first_line(reward.fn)))
    return _table(("reward", "bounds", "what it returns"), rows)


def method_lines() -> list[str]:
    """One line a method: name and what it says of itself."""
    from mmrl.methods.base import METHODS

    rows = [(name, _first_line(METHODS.get(name))) for name in METHODS]
    return [*_table(("method", "what it is"), rows), "", "settings: mmrl show NAME"]


def dataset_lines() -> list[str]:
    """One line a data set: those of datasets_cfg/ here, and registered ones."""
    from mmrl.data.registry import DATASETS
    from mmrl.data.spec import load_spec

    rows = []
    for name, path in dataset_files().items():
        spec = load_spec(path)
        rows.append((name, spec.task, ", ".join(spec.split_names()), spec.licence, str(path)))
    rows += [(name, "", "", "", "registered") for name in DATASETS]
    if not rows:
        return ["no data sets here: none registered, and no datasets_cfg/*.yaml"]
    return _table(("data set", "task", "splits", "licence", "where"), rows)


def schema_lines() -> list[str]:
    """The JSON schema of recipes, with the names that are registered now."""
    from mmrl.config.load import json_schema

    return [json.dumps(json_schema(), indent=2)]


_TOPIC_LINES: dict[str, Callable[[], list[str]]] = {
    "tasks": task_lines,
    "worlds": world_lines,
    "rewards": reward_lines,
    "methods": method_lines,
    "datasets": dataset_lines,
    "schema": schema_lines,
}


def _file(path: Path, overrides: Iterable[str]) -> str:
    """A recipe with every setting spelled out, or a data set file as it is read."""
    from mmrl.config.load import dump_run, load_recipe
    from mmrl.config.yaml import dump_yaml

    if is_dataset_file(path):
        from mmrl.data.spec import load_spec

        return dump_yaml(load_spec(path).model_dump(mode="json"))
    loaded = load_recipe(path, list(overrides))
    stages = "".join(f"# {line}\n" for line in stage_lines(loaded.run))
    return f"# {path}, with every setting\n{stages}{dump_run(loaded.run)}"


def stage_lines(run: Run) -> list[str]:
    """One line a stage of a staged recipe: what it does, on what, when it ends, what is reset."""
    rows = []
    for stage in run.stages:
        data = ", ".join(map(_entry_name, stage.data or run.data))
        steps = f"{stage.steps} steps"
        if stage.promote is not None:
            rule = stage.promote
            times = f", {rule.times} times in a row" if rule.times > 1 else ""
            steps = f"at most {steps}, until {rule.measure} > {rule.above:g}{times}"
        elif stage.kind == "collect":
            steps = (
                f"at most {steps}, {(stage.collect or CollectConfig()).samples} completions each"
            )
        kept = {
            "from the model as loaded": stage.start == "initial",
            "moments reset": stage.reset_optimizer,
            "schedule of the run": not stage.reset_clock,
            "reference of an earlier stage": stage.reference == "carry",
        }
        more = "; ".join(words for words, said in kept.items() if said)
        rows.append((stage.name, stage.kind, data, steps, more))
    return _table(("stage", "kind", "data", "length", ""), rows) if rows else []


def _entry_name(entry: DataEntry) -> str:
    name = str(entry.task or entry.cfg or entry.dataset or entry.stage)
    options = [f"{k}={_plain(v)}" for k, v in entry.options.items()]
    return f"{name} ({', '.join(options)})" if options else name


def _named(name: str) -> list[str]:
    """A paragraph for every method, task, reward and data set of that name."""
    from mmrl.data.registry import DATASETS
    from mmrl.methods.base import METHODS
    from mmrl.rewards.registry import REWARDS
    from mmrl.tasks.base import TASKS

    found = []
    if name in METHODS:
        found.append(_method(name, METHODS.get(name)))
    if name in TASKS:
        found.append(_task(name))
    if name in REWARDS:
        reward = REWARDS.get(name)
        about = inspect.getdoc(reward.fn) or ""
        found.append(f"reward {name}, in [{reward.bounds[0]:g}, {reward.bounds[1]:g}]\n{about}")
    if name in DATASETS or name in dataset_files():
        entry = data_entry(name)
        if "cfg" in entry:
            found.append(f"data set {name}\n{_file(Path(entry['cfg']), ())}".rstrip())
        elif "dataset" in entry:
            found.append(f"data set {name}\n{inspect.getdoc(DATASETS.get(name)) or ''}")
    if not found:
        known = {*TOPICS, *METHODS, *TASKS, *REWARDS, *DATASETS, *dataset_files()}
        raise ConfigError(f'nothing is called "{name}".{nearest(name, known)}')
    return found


def _method(name: str, spec: Any) -> str:
    """The settings of a method: default and reason of each."""
    lines = [f"method {name}: {_first_line(spec)}", ""]
    for key, field in spec.model_fields.items():
        if key == "name":
            continue
        default = field.get_default(call_default_factory=True)
        lines.append(f"  {key}: {default if isinstance(default, str) else json.dumps(default)}")
        about = field.description or _inherited(spec, key)
        lines += [f"      {line}" for line in about.splitlines()]
    return "\n".join(lines)


def _inherited(spec: Any, key: str) -> str:
    """The reason of a setting whose default a preset changes, from the method it changes."""
    for base in spec.__mro__[1:]:
        field = getattr(base, "model_fields", {}).get(key)
        if field is not None and field.description:
            return str(field.description)
    return ""


def _task(name: str) -> str:
    from mmrl.tasks.base import TASKS

    task = TASKS.get(name)
    rewards = ", ".join(f"{r.weight:g} {r.name} in {list(r.bounds)}" for r in task.rewards)
    lines = [
        f"task {name}",
        f"  template   {task.template!r}",
        f"  measure    {task.score_name} in [0, 1], right from {task.threshold:g}",
        f"  rewards    {rewards}",
    ]
    if task.measures:
        lines.append(f"  measures   {', '.join(task.measures)}")
    if task.world is not None:
        sample = task.world(0, split="train", seed=0, **task.world_options)
        options = {**_options(task.world), **task.world_options}
        listed = ", ".join(f"{k}: {json.dumps(v, default=str)}" for k, v in options.items())
        lines += [
            f"  options    {{{listed}}}",
            f"  example    {sample.question}",
            f"  gold       {task.gold(sample)}",
        ]
    return "\n".join(lines)


def _options(world: Any) -> dict[str, Any]:
    """The options that a world declares (its keyword-only parameters), with their defaults."""
    parameters = inspect.signature(world).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.kind is p.KEYWORD_ONLY and p.name not in ("split", "seed")
    }


def _first_line(part: Any) -> str:
    doc = inspect.getdoc(part)
    if doc and doc.startswith(type(part).__name__ + "("):
        doc = inspect.getdoc(type(part))
    return (doc or "").partition("\n")[0]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines with columns as wide as their longest cell."""
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
