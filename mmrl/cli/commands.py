"""The commands that are one library call: train, eval, score, report, bench."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrl.cli.names import data_entry
from mmrl.errors import ConfigError, MmrlError, nearest

if TYPE_CHECKING:
    from mmrl.roles import Reward


def train(args: argparse.Namespace) -> int:
    """Trains a recipe; a run folder that is there already is gone on with."""
    from mmrl.config.load import load_recipe

    overrides = [*args.overrides, *(["log.console=quiet"] if args.quiet else [])]
    loaded = load_recipe(args.recipe, overrides)  # a typo is told before torch is imported

    from mmrl.train.run import train as run_recipe

    result = run_recipe(loaded, fresh=args.fresh)
    if result.interrupted:
        raise KeyboardInterrupt
    if args.quiet:
        print(result.folder)
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Evaluates a run or checkpoint folder and prints every measure with its interval."""
    from mmrl.train.run import evaluate as evaluate_model

    evaluation = evaluate_model(
        args.model,
        [data_entry(name, args.split) for name in args.data],
        samples=args.samples,
        best_of=args.best_of,
        limit=args.limit,
        seed=args.seed,
        out=Path(args.out) if args.out else None,
        overrides=args.overrides,
    )
    width = max(map(len, evaluation.estimates), default=7)
    print(f"{'measure':{width}}     mean   95 % interval     n")
    for name, value in evaluation.estimates.items():
        interval = f"{value.low:8.4f} {value.high:8.4f}"
        print(f"{name:{width}} {value.mean:8.4f} {interval} {value.num_items:5}")
    if evaluation.skipped:
        print(f"{len(evaluation.skipped)} samples skipped: unreadable media, or too long a prompt")
    if args.out:
        print(f"items and predictions in {args.out}")
    return 0


def score(args: argparse.Namespace) -> int:
    """Scores every row of a file and prints the mean with its interval, and what failed."""
    from mmrl.rewards.functions import module_of_file
    from mmrl.rewards.score_file import COLUMNS, score_file

    path = Path(args.file)
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*.jsonl")] if path.parent.is_dir() else []
        raise ConfigError(f"{path}: no such file.{nearest(path.name, beside)}")
    columns = {}
    for pair in args.column:
        part, equals, column = pair.partition("=")
        if not equals or part not in COLUMNS:
            known = nearest(part, COLUMNS)
            raise ConfigError(f'--column "{pair}": wanted PART=COLUMN, no part "{part}".{known}')
        columns[part] = column
    for plugin in args.plugin:
        module_of_file(Path(plugin))
    summary = score_file(_reward_of(args), path, args.out, columns=columns)
    mean = "none scored" if summary.mean is None else f"mean {summary.mean:.4f}"
    interval = "" if summary.low is None else f", 95 % [{summary.low:.4f}, {summary.high:.4f}]"
    print(f"{summary.reward}: {mean}{interval} over {summary.rows} rows")
    if summary.unscorable:
        print(f"{summary.unscorable} rows that it cannot score")
    for kind, rows in summary.failures.items():
        print(f"{rows} rows failed: {kind}")
    if args.out:
        print(f"scores in {args.out}")
    return 1 if summary.failures else 0


def _reward_of(args: argparse.Namespace) -> Reward:
    """A registered reward, or a function in a file (`file.py:name`) run in worker processes."""
    from mmrl.rewards.adapters import user_reward
    from mmrl.rewards.registry import REWARDS, check_reward_fn
    from mmrl.roles import Reward

    if ":" not in args.reward:
        return REWARDS.get(args.reward)
    name = args.reward.rpartition(":")[2]
    function = user_reward(args.reward, args.kind)
    check_reward_fn(name, function)
    return Reward(name=name, fn=function, bounds=tuple(args.bounds), isolated=True)


def report(args: argparse.Namespace) -> int:
    """Writes the report of a run folder and prints where it is."""
    from mmrl.eval.report import write_report

    if args.to is not None and not args.to.endswith(".html"):
        raise ConfigError(f"--to {args.to}: wanted a file name that ends in .html")
    print(write_report(Path(args.run_folder), Path(args.to) if args.to else None))
    return 0


def watch(args: argparse.Namespace) -> int:
    """Follows a run folder that is being written."""
    from mmrl.cli.watch import watch as follow

    return follow(args)


def bench(args: argparse.Namespace) -> int:
    """Runs a benchmark ("all": each with its defaults), prints it; without a name lists them."""
    known = benchmarks()
    if args.name is None:
        for name, about in known.items():
            print(f"{name:12} {about}")
        return 0
    if args.name == "all":
        return _bench_all(known, args.arguments)
    if args.name not in known:
        raise ConfigError(f'no benchmark "{args.name}".{nearest(args.name, [*known, "all"])}')
    from mmrl.bench.measure import told

    print(told(_run_benchmark(args.name, args.arguments), args.arguments))
    return 0


def _bench_all(known: Iterable[str], arguments: list[str]) -> int:
    """One JSON object a benchmark; one that cannot run here says why in its place."""
    if arguments:
        raise ConfigError(
            f"bench all: {' '.join(arguments)} is of one benchmark; all run with their defaults. "
            "Give it to one of them: mmrl bench NAME " + " ".join(arguments)
        )
    for name in known:
        try:
            figures = _run_benchmark(name, [])
        except MmrlError as error:
            figures = {"not_run": str(error)}
        print(json.dumps({name: figures}, indent=2), flush=True)
    return 0


def benchmarks() -> dict[str, str]:
    """Name -> first line of what it measures, of every module in `mmrl.bench` with a `run`."""
    from mmrl import bench as package

    found = {}
    folder = Path(package.__path__[0])
    for module in pkgutil.iter_modules(package.__path__):
        tree = ast.parse((folder / f"{module.name}.py").read_text(encoding="utf-8"))
        if any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            found[module.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def _run_benchmark(name: str, arguments: list[str]) -> dict[str, Any]:
    return importlib.import_module(f"mmrl.bench.{name}").run(arguments)
