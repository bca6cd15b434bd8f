"""What a word on the command line names: a recipe, a data set file, a task, a registered part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmrl.config.load import load_yaml
from mmrl.data.spec import dataset_files
from mmrl.errors import ConfigError, nearest


def is_dataset_file(path: Path) -> bool:
    """Whether a YAML file describes a data set (it has a `source`), not a recipe."""
    data, _ = load_yaml(path)
    return isinstance(data, dict) and "source" in data


def is_file_name(word: str) -> bool:
    return word.endswith((".yaml", ".yml"))


def data_entry(word: str, split: str | None = None) -> dict[str, Any]:
    """The data entry that a word means: a YAML file, a task, a file of `datasets_cfg/`, or a
    registered data set, in this order."""
    from mmrl.data.registry import DATASETS
    from mmrl.tasks.base import TASKS

    files = dataset_files()
    entry: dict[str, Any]
    if is_file_name(word):
        entry = {"cfg": word}
    elif word in TASKS:
        entry = {"task": word}
    elif word in files:
        entry = {"cfg": str(files[word])}
    elif word in DATASETS:
        entry = {"dataset": word}
    else:
        known = {*TASKS.names(), *files, *DATASETS.names()}
        raise ConfigError(f'no task or data set "{word}".{nearest(word, known)}')
    return entry if split is None else {**entry, "split": split}
