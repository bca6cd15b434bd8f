"""Every paper's folder under recipes/, and the page's own example of adding one.

Folders are found by their claims.yaml. What a folder does not have yet is not asked for, except of
those with a stored result: these are whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmrl.config.load import LoadedRun, load_recipe, load_yaml
from mmrl.eval.replicate.arms import arm_recipe
from mmrl.eval.replicate.claims import load_claims
from mmrl.eval.replicate.table import BEGIN, END
from mmrl.train.dry_run import dry_run
from mmrl.train.recipe import check_recipe
from mmrl.train.run import import_plugins

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "recipes"
PAPERS = sorted(path.parent for path in RECIPES.glob("*/claims.yaml"))
WHOLE = ("README.md", "tiny.yaml", "full.yaml", "run.sh", "data.py", "log.jsonl")
QUICK = "rewardmap"
"""The folder whose run.sh the fast tests run; those of all others are slow ones."""


GRPO_BY_ANOTHER_NAME = {
    "temporal_r1": ("random", "GRPO with the paper's rewards, on samples that no filter chose"),
    "t_grpo": ("grpo", "t_grpo with a bonus of 0 for the order of frames"),
    "listener": ("grpo", "listener with a weight of 0 for what the listener says"),
}
"""Folder -> the arm that is its GRPO control though its method has another name, and why."""


def having(name: str) -> list[Any]:
    """The papers' folders with a file of that name, as test parameters."""
    return [pytest.param(p, id=p.name) for p in PAPERS if (p / name).is_file()]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    """Recipes name their model and their data from the repository's root."""
    monkeypatch.chdir(ROOT)


def offline(**more: str) -> dict[str, str]:
    """An environment without a network, in which this repository is found first."""
    quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": "", **quiet, **more}


@pytest.mark.parametrize("folder", having("tiny.yaml"))
def test_the_miniature_fits_together(folder):
    loaded = load_recipe(folder / "tiny.yaml")
    import_plugins(loaded)
    check_recipe(loaded)
    assert loaded.run.policy.model == "assets/tiny-vlm"
    assert loaded.run.train.threads == 1  # of recipes/base/tiny.yaml: arms run side by side


@pytest.mark.parametrize("folder", having("full.yaml"))
def test_the_papers_set_up_takes_a_step_of_every_stage(folder):
    loaded = load_recipe(folder / "full.yaml")
    done = dry_run(loaded)
    assert len(done.stages) == max(1, len(loaded.run.stages))
    for stage in done.stages:
        learns = stage.kind != "collect"
        assert not learns or stage.metrics["grad_norm"] > 0.0, stage.name
        assert stage.kind == "sft" or stage.metrics["unscorable"] == 0.0, stage.name


@pytest.mark.parametrize("folder", having("claims.yaml"))
def test_claims_are_valid_and_have_their_controls(folder):
    paper = load_claims(folder)
    assert paper.info.arxiv and paper.seeds >= 5
    blind = {name for name, arm in paper.arms.items() if arm.blank}
    assert blind, "an arm that trains on grey pictures"
    seeing = [c for c in paper.trained_claims if c.name == "sees"]
    assert [{c.arm, c.against} & blind for c in seeing] == [{seeing[0].against}]
    assert any(c.name != "sees" for c in paper.trained_claims)
    trained = {n: a for n, a in paper.arms.items() if not (a.untrained or a.blank)}
    methods = {name: arm_recipe(paper, arm).run.method["name"] for name, arm in trained.items()}
    named, _ = GRPO_BY_ANOTHER_NAME.get(folder.name, ("", ""))
    assert named in trained if named else "grpo" in methods.values(), methods
    assert all(claim.source for claim in paper.claims)


@pytest.mark.parametrize("folder", having("README.md"))
def test_the_page_has_a_place_for_the_result(folder):
    text = (folder / "README.md").read_text()
    assert (text.count(BEGIN), text.count(END)) == (1, 1)
    before, _, rest = text.partition(BEGIN)
    own = before + rest.partition(END)[2]
    assert len(own.splitlines()) < 120
    arxiv = load_yaml(folder / "claims.yaml")[0]["paper"]["arxiv"]
    assert arxiv in own


@pytest.mark.parametrize("folder", having("result.json"))
def test_a_folder_with_a_result_is_whole(folder):
    assert [name for name in WHOLE if not (folder / name).is_file()] == []
    result = json.loads((folder / "result.json").read_text())
    claims = {claim["claim"] for claim in result["claims"]}
    assert claims == {claim.claim for claim in load_claims(folder).claims}
    assert len(result["seeds"]) >= 5 and max(result["seeds"]) < 1000  # no pilot is in a result


@pytest.mark.parametrize("folder", having("data.py"))
def test_the_fetcher_says_how_it_is_used_without_a_network(folder):
    said = subprocess.run(
        [sys.executable, folder / "data.py", "--help"],
        env=offline(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 0, said.stderr[-2000:]
    assert "--to" in said.stdout or "--help" in said.stdout


def small(loaded: LoadedRun, folder: Path) -> list[str]:
    """Overrides: two steps a stage and a handful of samples; every part still runs."""
    run = loaded.run
    given = [f"run_dir={folder}", "train.steps=2", "train.prompts_per_step=2", "eval.limit=2"]
    given += ["eval.every=0", "log.console=quiet", "checkpoint.every=0"]
    for i, stage in enumerate(run.stages):
        given.append(f"stages.{i}.steps=2")
        if stage.prompts_per_step is not None:
            given.append(f"stages.{i}.prompts_per_step=2")
        if stage.promote is not None:
            given += [f"stages.{i}.promote.every=1", f"stages.{i}.promote.times=1"]
            given.append(f"stages.{i}.promote.limit=2")
    return given


@pytest.mark.parametrize(
    "folder",
    [
        pytest.param(*p.values, id=p.id, marks=() if p.id == QUICK else pytest.mark.slow)
        for p in having("run.sh")
        if (p.values[0] / "tiny.yaml").is_file()
    ],
)
def test_the_launch_script_trains_the_miniature(folder, tmp_path):
    overrides = small(load_recipe(folder / "tiny.yaml"), tmp_path / "run")
    done = subprocess.run(
        ["bash", folder / "run.sh", "tiny", *overrides],
        cwd=tmp_path,  # it works from anywhere
        env=offline(),
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    metrics = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    steps = [row for row in map(json.loads, metrics) if row["kind"] == "step"]
    stages = max(1, len(load_recipe(folder / "tiny.yaml").run.stages))
    assert len({row["stage"] for row in steps}) == stages
    assert (tmp_path / "run" / "summary.json").is_file()
    assert (tmp_path / "run" / "report.html").is_file()


def test_every_paper_has_a_row_in_the_table():
    page = (RECIPES / "README.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and "arxiv.org" in line]
    for folder in PAPERS:
        info = load_claims(folder).info
        assert any(f"]({folder.name}/README.md)" in r and info.arxiv in r for r in rows), info


# the page's own example

FILE = re.compile(r"<!-- file: (?P<name>\S+) -->\n```\w+\n(?P<text>.*?)^```$", re.DOTALL | re.M)
COPIED = ("mmrl", "recipes/base", "tests/builders.py", "pyproject.toml")


def example() -> dict[str, str]:
    """File name -> text of the page's example, as it stands in its marked blocks."""
    page = (RECIPES / "README.md").read_text()
    return {found["name"]: found["text"] for found in FILE.finditer(page)}


def content(folder: Path) -> dict[str, str]:
    """Path -> digest of all files of a copy but what Python and runs write."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not {"__pycache__", "runs", ".pytest_cache"} & {*path.parts}
    }


AS_THE_PAGE_SAYS = """
import sys
import pytest
import mmrl
from mmrl.cli import main
assert mmrl.__file__.startswith(sys.argv[1]), mmrl.__file__
small = ["train.steps=2", "train.prompts_per_step=2", "eval.limit=2"]
for words in (
    ["show", "brevity"],
    ["check", "recipes/brevity/tiny.yaml", "--rows", "2"],
    ["train", "recipes/brevity/tiny.yaml", *small, "--quiet"],
):
    assert main(words) == 0, words
sys.exit(pytest.main(["tests/methods/test_brevity.py", "-p", "no:cacheprovider"]))
"""


def test_the_example_adds_a_paper_in_three_files(tmp_path):
    files = example()
    assert {Path(name).suffix for name in files} == {".py", ".yaml"}
    for name in COPIED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "assets").symlink_to(ROOT / "assets")
    before = content(tmp_path)
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", AS_THE_PAGE_SAYS, str(tmp_path)],
        cwd=tmp_path,
        env=offline(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "bonus_weight" in done.stdout and "3 passed" in done.stdout
    after = content(tmp_path)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed == set(files) and len(changed) == 3
    metrics = (tmp_path / "runs" / "brevity" / "metrics.jsonl").read_text().splitlines()
    steps = [row for row in map(json.loads, metrics) if row["kind"] == "step"]
    assert len(steps) == 2 and all(0.0 <= row["reward/brevity"] < 1.0 for row in steps)


def test_the_example_is_formatted_as_the_project_is(tmp_path):
    ruff = shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not on the path")
    for name, text in example().items():
        if name.endswith(".py"):
            (tmp_path / Path(name).name).write_text(text)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    # which imports are first-party is not known here
    for command in (["check", "--ignore", "I", "."], ["format", "--check", "."]):
        said = subprocess.run([ruff, *command], cwd=tmp_path, capture_output=True, text=True)
        assert said.returncode == 0, said.stdout
