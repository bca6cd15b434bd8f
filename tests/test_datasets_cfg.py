"""Every recipe and every `datasets_cfg` file under `mmrl check`: passes, or says what to fetch.

A file whose rows are in the repository must pass. One whose rows are elsewhere must say under
`fetch` how they get here, and check must end with 2 and that sentence.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from mmrl.cli.names import is_dataset_file
from mmrl.config.yaml import load_yaml
from mmrl.data.spec import load_spec
from mmrl.tasks.base import TASKS

ROOT = Path(__file__).parents[1]
CFG = sorted(path.relative_to(ROOT) for path in (ROOT / "datasets_cfg").glob("*.yaml"))


def is_base(path: Path) -> bool:
    """Whether a recipe draws nothing itself: it is there for others to extend, checked in them."""
    data, _ = load_yaml(path)
    return not any(data.get(key) for key in ("data", "stages", "extends"))


RECIPES = sorted(
    path.relative_to(ROOT)
    for path in (ROOT / "recipes").rglob("*.yaml")
    if not is_dataset_file(path) and not is_base(path)
)
ELSEWHERE = {"own_data": "its data are the reader's own: README, 'Your own data'"}
"""Recipes that name data which nobody can have, and why."""
LARGE = {
    "full.yaml": "names a checkpoint of billions of parameters, which is not in the repository"
}
"""File names of recipes for large models, and why their models are missing here."""


class Checked(NamedTuple):
    code: int
    out: str
    err: str


@cache
def checked() -> dict[str, Checked]:
    """What `mmrl check` says of every file: all in one process, without a network."""
    script = """
import contextlib, io, json, sys
from mmrl.cli import main
told = {}
for name in sys.argv[1:]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["check", name, "--rows", "2"])
    told[name] = code, out.getvalue(), err.getvalue()
print(json.dumps(told))
"""
    made = subprocess.run(
        [sys.executable, "-c", script, *map(str, [*CFG, *RECIPES])],
        cwd=ROOT,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    told = json.loads(made.stdout.splitlines()[-1])
    return {name: Checked(*said) for name, said in told.items()}


def rows_are_here(path: Path) -> bool:
    """Whether there are rows to read: in the repository, or fetched by whoever runs this."""
    spec = load_spec(ROOT / path)
    return spec.hub_id is None and spec.source_path().exists()


@pytest.mark.parametrize("path", CFG, ids=str)
def test_a_data_set_passes_or_says_what_to_fetch(path: Path) -> None:
    said = checked()[str(path)]
    spec = load_spec(ROOT / path)
    if rows_are_here(path):
        assert said.code == 0, said
        assert said.out.endswith("all is well\n")
    else:
        assert said.code == 2, said
        assert spec.fetch, f"{path}: say under `fetch` how its rows get here"
        assert said.err.startswith(f"mmrl: {path}: ") and said.err.count("\n") == 1, said.err
        assert f"To get the rows: {spec.fetch}" in said.err


@pytest.mark.parametrize("path", CFG, ids=str)
def test_a_data_set_says_all_that_a_user_must_know(path: Path) -> None:
    spec = load_spec(ROOT / path)
    assert spec.name == path.stem
    assert spec.task in TASKS
    assert spec.licence
    text = (ROOT / path).read_text(encoding="utf-8")
    said = " ".join(
        line.removeprefix("#").strip()
        for line in itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    )
    assert len(said.split()) >= 6, f"{path}: begin with a comment that says what this is"
    script = path.with_suffix(".py")
    if (ROOT / script).is_file():
        assert str(script) in (spec.fetch or ""), f"{path}: let fetch name {script}"


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_a_recipe_passes_or_names_the_model_or_data_to_fetch(path: Path) -> None:
    said = checked()[str(path)]
    if path.parent.name in ELSEWHERE:
        assert said.code == 2 and 'no file "mine/data.yaml"' in said.err
    elif path.name in LARGE:
        assert said.code in (0, 2), said
        if said.code == 2:
            assert said.err.count("\n") == 1
            assert "download it first" in said.err or "To get the rows: " in said.err, said.err
    else:
        assert said.code == 0, said
        assert said.out.endswith("all is well\n")


def test_the_lists_are_not_empty_and_a_base_is_extended() -> None:
    assert len(CFG) >= 3 and len(RECIPES) >= 3
    files = [
        path
        for path in (ROOT / "recipes").rglob("*.yaml")
        if not is_dataset_file(path) and path.name != "claims.yaml"
    ]
    extended = {
        (path.parent / str(load_yaml(path)[0]["extends"])).resolve()
        for path in files
        if "extends" in load_yaml(path)[0]
    }
    assert [path for path in files if is_base(path) and path.resolve() not in extended] == []
