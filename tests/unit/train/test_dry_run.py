"""`mmrl check --dry-run`: one step of a recipe on random weights, without its data."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mmrl.cli import main
from mmrl.config.load import load_recipe
from mmrl.data.registry import DATASETS
from mmrl.data.spec import dataset_files, load_spec
from mmrl.data.stand_in import fits, rows_are_here, stand_in
from mmrl.errors import ConfigError
from mmrl.policy.families import FAMILIES
from mmrl.policy.load import load_policy
from mmrl.policy.small import family_named, save_small
from mmrl.train.dry_run import dry_run
from mmrl.train.scaled import scaled

TINY = Path(__file__).parents[3] / "assets" / "tiny-vlm"
FULL = """
policy: {model: models/Qwen2.5-VL-3B-Instruct, dtype: bfloat16, attention: flash_attention_2}
rollout: {max_new_tokens: 768, top_p: 0.9}
method: {name: dapo, group_size: 16, minibatches: 4}
media: {image: {min_pixels: 3136, max_pixels: 1003520}, video: {fps: 2, max_frames: 16}}
stages:
  - {name: cold, kind: sft, steps: 40, data: [{cfg: MINE}]}
  - {name: pairs, steps: 100, data: [{cfg: MINE}, {task: picture_pair}]}
eval: {data: [{cfg: MINE, split: test}], limit: 500}
"""
MINE = "name: mine\nsource: {there}\ntask: preference\nlicence: CC0\nfetch: ask for them\n"
MINE += "splits: {{train: train.jsonl, test: test.jsonl}}\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(MINE.format(there="nowhere"))
    path = tmp_path / "full.yaml"
    path.write_text(FULL.replace("MINE", str(tmp_path / "mine.yaml")))
    return path


def test_a_recipe_without_weights_and_rows_takes_a_step_of_each_stage(recipe, tmp_path, capsys):
    here = tmp_path / "temporary"
    here.mkdir()
    before, (known, tempfile.tempdir) = DATASETS.names(), (tempfile.tempdir, str(here))
    try:
        assert main(["check", str(recipe), "--dry-run"]) == 0
    finally:
        tempfile.tempdir = known
    assert list(here.iterdir()) == []  # nothing is left
    assert DATASETS.names() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full.yaml", "mine.yaml", "temporary"]
    out = capsys.readouterr().out
    assert "model: qwen2.5-vl, 0.1 million random weights" in out
    mine = tmp_path / "mine.yaml"
    for key, split in (("stages.0.data.0", "train"), ("eval.data.0", "test")):
        assert f"rows: {key}: {mine}, split {split}: not here; 8 samples of picture_pair" in out
    rows = {tuple(line.split()) for line in out.splitlines()}
    assert ("policy.dtype", "bfloat16", "float32") in rows
    assert ("method.group_size", "16", "4") in rows
    assert ("rollout.top_p", "0.9", "1") in rows
    assert ("stages.1.steps", "100", "1") in rows
    assert "stage cold (sft): one step" in out and "stage pairs (rl): one step" in out
    assert out.endswith("nothing was kept\nall is well\n")


def test_half_of_the_rollouts_are_well_formed_so_that_rewards_differ(recipe):
    done = dry_run(load_recipe(recipe, ["method.minibatches=1"]))
    cold, pairs = done.stages
    assert cold.parts == {} and cold.metrics["nll"] > 1.0  # random weights
    assert pairs.parts["rewards"] == ("preference x 1", "format x 0.2", "overlong x 1")
    # of each group of 4: the gold answer, own text, another sample's gold answer, own text
    assert pairs.metrics["format"] == 0.5
    assert pairs.metrics["score"] in (0.25, 0.375, 0.5)  # the other's letter may be right too
    assert pairs.metrics["zero_spread"] == 0.0 and pairs.metrics["grad_norm"] > 0.0
    # what stands for a sample has the log-prob that the learner gives it
    assert pairs.metrics["logp_gap"] < 1e-5
    assert done.num_evaluated == 4  # two samples, before and after


STAGED = """
policy: {model: TINY}
stages:
  - name: sort
    kind: collect
    steps: 20
    data: [{task: picture_pair}]
    collect: {samples: 16, keep: {low: 0.9, min_std: 0.4}, form: demonstrations}
  - {name: imitate, kind: sft, steps: 9, data: [{stage: sort.kept}]}
  - name: practise
    steps: 30
    data: [{stage: sort.kept}]
    promote: {measure: right, above: 0.9, times: 3, every: 10, data: [{task: picture_pair}]}
"""


def test_collected_samples_reach_the_later_stages(tmp_path):
    (tmp_path / "r.yaml").write_text(STAGED.replace("TINY", str(TINY)))
    loaded = load_recipe(tmp_path / "r.yaml")
    done = dry_run(loaded)
    assert [(s.name, s.kind) for s in done.stages] == [
        ("sort", "collect"),
        ("imitate", "sft"),
        ("practise", "rl"),
    ]
    assert done.family == "qwen2.5-vl"  # of the folder's config.json
    _, imitate, practise = done.stages
    assert imitate.metrics["demonstrations"] > 0 and practise.metrics["grad_norm"] > 0
    said = {c.key: (c.recipe, c.dry) for c in done.changes}
    assert said["stages.0.collect.keep.low"] == (0.9, None)  # random weights pass no such filter
    assert said["stages.0.collect.samples"] == (16, 4)
    assert said["stages.2.promote.every"] == (10, 1)


def test_a_wrong_recipe_fails_as_in_a_check(recipe, capsys):
    assert main(["check", str(recipe), "--dry-run", "method.group_sise=2"]) == 2
    assert "method.group_sise: dapo has no such setting" in capsys.readouterr().err
    assert main(["check", str(recipe), "--dry-run", "stages.1.data.1.task=picture_pear"]) == 2
    assert 'stages.1.data.1.task: no task "picture_pear"' in capsys.readouterr().err
    assert main(["check", str(recipe), "--dry-run", "eval.data.0.split=best"]) == 2
    assert 'no split "best"' in capsys.readouterr().err


def test_the_name_must_tell_the_family(recipe, capsys):
    assert main(["check", str(recipe), "--dry-run", "policy.model=models/My-Model-7B"]) == 2
    err = capsys.readouterr().err
    assert "override: policy.model:" in err and "qwen2.5-vl" in err and "internvl" in err


def test_a_data_set_has_no_step(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text(MINE.format(there="nowhere"))
    assert main(["check", str(tmp_path / "mine.yaml"), "--dry-run"]) == 2
    assert "is a data set" in capsys.readouterr().err


@pytest.mark.parametrize("family", [f.name for f in FAMILIES])
def test_a_small_folder_of_each_family_loads_as_that_family(family, tmp_path):
    folder = save_small(tmp_path / "m", family)
    assert family_named(str(folder)).name == family
    policy = load_policy(folder, device="cpu")
    assert policy.family.name == family
    assert sum(p.numel() for p in policy.core.parameters()) < 200_000


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("models/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl"),
        ("Qwen/Qwen2-VL-2B", "qwen2-vl"),
        ("InternVL3-8B-hf", "internvl"),
        ("llava-onevision-qwen2-7b-ov-hf", "llava-onevision"),
        ("SmolVLM2-2.2B-Instruct", "smolvlm"),
    ],
)
def test_names_tell_families(name, family):
    assert family_named(name).name == family


def test_sizes_are_cut_and_never_raised(recipe):
    loaded = load_recipe(recipe, ["method.group_size=2", "rollout.max_new_tokens=8"])
    small, changes = scaled(loaded, model="m", folder="f")
    said = {c.key: (c.recipe, c.dry) for c in changes}
    assert small.run.rollout.max_new_tokens == 8 and small.run.policy.model == "m"
    assert "rollout.max_new_tokens" not in said and "method.group_size" not in said
    assert said["method.minibatches"] == (4, 2)
    assert said["media.video.fps"] == (2.0, None)
    assert [s.steps for s in small.run.stages] == [1, 1]
    assert small.places == loaded.places


@pytest.mark.parametrize("path", dataset_files().values(), ids=lambda p: p.stem)
def test_what_stands_in_for_rows_is_judged_as_rows_are(path):
    spec = load_spec(path)
    if spec.task == "detection":  # no world draws things with labels
        with pytest.raises(ConfigError, match="nothing can stand in for them"):
            stand_in(spec)
        return
    _, samples = stand_in(spec)
    assert len({s.id for s in samples}) == 8
    assert all(fits(s) for s in samples)


def test_rows_that_are_here_stay(tmp_path):
    (tmp_path / "mine.yaml").write_text(MINE.format(there="."))
    spec = load_spec(tmp_path / "mine.yaml")
    assert not rows_are_here(spec, "train")
    (tmp_path / "train.jsonl").write_text("{}\n")
    assert rows_are_here(spec, "train") and not rows_are_here(spec, "test")
