"""`mmrl check`: what is wrong with a recipe or a data set, before anything is trained."""

from __future__ import annotations

import argparse
from pathlib import Path

from mmrl.cli.names import data_entry, is_dataset_file, is_file_name


def check(args: argparse.Namespace) -> int:
    """Checks and prints; 1 when something is wrong with rows, an error when with the settings."""
    if is_file_name(args.target) and not is_dataset_file(Path(args.target)):
        return _recipe(args)
    return _data(args)


def _recipe(args: argparse.Namespace) -> int:
    from mmrl.config.load import load_recipe

    loaded = load_recipe(args.target, args.overrides)

    from mmrl.train.assemble import check_recipe
    from mmrl.train.run import import_plugins

    import_plugins(loaded)
    check_recipe(loaded)
    return 0


def _data(args: argparse.Namespace) -> int:
    data_entry(args.target, args.split)
    return 0
