"""A typo anywhere in a recipe is named with its key, its file and line, and the nearest name."""

import re
from pathlib import Path

import pytest

from mmrl.config.load import load_recipe
from mmrl.errors import ConfigError
from mmrl.train.recipe import check_recipe

RECIPE = """\
name: typos
policy:
  model: assets/tiny-vlm
  freeze: [vision]
media:
  image: {max_pixels: 50176}
method:
  name: dapo
  clip_high: 0.3
rewards:
  - {name: box_iou, weight: 1.0}
  - {name: format, weight: 0.2}
data:
  - task: digit_box
    options: {others: [1, 2]}
stages:
  - name: first
    steps: 3
    method: {group_size: 4}
    optimizer: {warmup_steps: 2}
eval:
  samples: 4
  data:
    - {task: digit_box, split: test}
"""

TYPOS = [
    # (right, wrong, line, key, nearest)
    ("policy:", "polcy:", 2, "polcy", "policy"),
    ("  freeze:", "  freze:", 4, "policy.freze", "freeze"),
    ("[vision]", "[vison]", 4, "policy.freeze.0", "vision"),
    ("max_pixels", "max_pixel", 6, "media.image.max_pixel", "max_pixels"),
    ("name: dapo", "name: dappo", 8, "method.name", "dapo"),
    ("clip_high", "clip_hihg", 9, "method.clip_hihg", "clip_high"),
    ("box_iou", "box_iuo", 11, "rewards.0.name", "box_iou"),
    ("format, weight", "format, wieght", 12, "rewards.1.wieght", "weight"),
    ("- task: digit_box", "- task: digt_box", 14, "data.0.task", "digit_box"),
    ("- task: digit_box", "- taks: digit_box", 14, "data.0.taks", "task"),
    ("others", "ohters", 15, "data.0.options.ohters", "others"),
    ("    steps", "    stpes", 18, "stages.0.stpes", "steps"),
    ("group_size", "groupsize", 19, "stages.0.method.groupsize", "group_size"),
    ("warmup_steps", "warm_steps", 20, "stages.0.optimizer.warm_steps", "warmup_steps"),
    ("samples", "smaples", 22, "eval.smaples", "samples"),
    ("- {task: digit_box", "- {task: digit_bix", 24, "eval.data.0.task", "digit_box"),
]


VALUES = [
    # (right, wrong, line, words)
    ("clip_high: 0.3", "clip_high: -1", 9, "method.clip_high"),
    ("clip_high: 0.3", "normalize: stdd", 9, "method.normalize"),
    ("group_size: 4", "group_size: 0", 19, "stages.0.method.group_size"),
    ("samples: 4", "samples: four", 22, 'eval.samples: wanted a whole number; got text "four"'),
    ("digit_box, split: test", "digit_box, splits: test", 24, "eval.data.0.splits"),
]


def checked(path: Path, overrides: tuple[str, ...] = ()) -> None:
    check_recipe(load_recipe(path, overrides))


def test_the_recipe_without_a_typo_passes(tmp_path: Path) -> None:
    path = tmp_path / "typos.yaml"
    path.write_text(RECIPE)
    checked(path)


@pytest.mark.parametrize(("right", "wrong", "line", "key", "nearest"), TYPOS)
def test_typo(tmp_path: Path, right: str, wrong: str, line: int, key: str, nearest: str) -> None:
    assert RECIPE.count(right) == 1
    path = tmp_path / "typos.yaml"
    path.write_text(RECIPE.replace(right, wrong))
    with pytest.raises(ConfigError) as caught:
        checked(path)
    message = str(caught.value)
    assert f"{path}:{line}: " in message
    assert re.search(rf"\b{re.escape(key)}\b", message)
    assert f'Did you mean "{nearest}"?' in message


@pytest.mark.parametrize(("right", "wrong", "line", "words"), VALUES)
def test_wrong_value(tmp_path: Path, right: str, wrong: str, line: int, words: str) -> None:
    assert RECIPE.count(right) == 1
    path = tmp_path / "typos.yaml"
    path.write_text(RECIPE.replace(right, wrong))
    with pytest.raises(ConfigError) as caught:
        checked(path)
    assert f"{path}:{line}: {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("trian.steps=5", "trian.steps", "train"),
        ("method.clip_hihg=0.2", "method.clip_hihg", "clip_high"),
        ("data.0.task=digt_box", "data.0.task", "digit_box"),
        ("rewards.0.name=box_iuo", "rewards.0.name", "box_iou"),
    ],
)
def test_typo_in_an_override(tmp_path: Path, override: str, key: str, nearest: str) -> None:
    path = tmp_path / "typos.yaml"
    path.write_text(RECIPE)
    with pytest.raises(ConfigError) as caught:
        checked(path, (override,))
    message = str(caught.value)
    assert message.startswith("override: ")
    assert key in message
    assert f'Did you mean "{nearest}"?' in message
