"""The commands that are one library call: train, eval, score, bench."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import pkgutil
from pathlib import Path

from mmrl.cli.names import data_entry
from mmrl.errors import ConfigError, nearest


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
        print(f"{evaluation.skipped} samples skipped: unreadable media, or too long a prompt")
    if args.out:
        print(f"items and predictions in {args.out}")
    return 0


def score(args: argparse.Namespace) -> int:
    """Prints one JSON line a row: the reward, or why it could not score; then the mean."""
    from mmrl.rewards.score_file import score_file

    score_file(args.reward, Path(args.file))
    return 0


def bench(args: argparse.Namespace) -> int:
    """Runs a benchmark ("all": each with its defaults), prints JSON; without a name lists them."""
    known = benchmarks()
    if args.name is None:
        for name, about in known.items():
            print(f"{name:12} {about}")
        return 0
    if args.name == "all":
        for name in known:
            print(json.dumps({name: _run_benchmark(name, args.arguments)}, indent=2), flush=True)
        return 0
    if args.name not in known:
        raise ConfigError(f'no benchmark "{args.name}".{nearest(args.name, [*known, "all"])}')
    print(json.dumps(_run_benchmark(args.name, args.arguments), indent=2))
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


def _run_benchmark(name: str, arguments: list[str]) -> object:
    return importlib.import_module(f"mmrl.bench.{name}").run(arguments)
