"""GUI-G1's parts on fixed rollouts: where they push the size of boxes, and who is weighed.

No model is trained. The pull on sizes is of boxes drawn around reference boxes, as a model writes
them whose first corner is about right and whose sides are right but for a factor; weights are those
of questions of the recipe's own world.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmrl.config.load import load_recipe
from mmrl.credit.group import centred
from mmrl.credit.size_weights import size_weight
from mmrl.data.registry import open_data
from mmrl.methods.base import method_spec
from mmrl.methods.gui_g1 import GuiG1
from mmrl.parse.boxes import Box, box_iou
from mmrl.parse.points import box_centre, in_box
from mmrl.rewards.box_size import edge_nearness

RECIPE = Path(__file__).with_name("tiny.yaml")
GROUPS, GROUP_SIZE = 512, 8


def size_pull(seed: int) -> Mapping[str, float]:
    """Mean of advantage · log(area / reference's) by rewards: below 0, boxes shrink."""
    rng = np.random.default_rng([seed, 2505])
    pull = {"hit": 0.0, "iou": 0.0, "all": 0.0}
    for _ in range(GROUPS):
        gold = _gold(rng)
        boxes = [_around(rng, gold) for _ in range(GROUP_SIZE)]
        logs = [math.log(_area(box) / _area(gold)) for box in boxes]
        hits = [float(in_box(box_centre(box), gold)) for box in boxes]
        ious = [box_iou(box, gold) for box in boxes]
        sizes = [edge_nearness(box, gold, 100.0, 100.0) for box in boxes]
        whole = [h + 0.25 * i + 0.125 * s for h, i, s in zip(hits, ious, sizes, strict=True)]
        for name, rewards in (("hit", hits), ("iou", ious), ("all", whole)):
            gain = sum(a * x for a, x in zip(centred(rewards), logs, strict=True))
            pull[name] += gain / GROUP_SIZE / GROUPS
    return pull


def small_share(seed: int) -> Mapping[str, float]:
    """Share of the weight that the third of questions with the smallest boxes has.

    512 training questions of tiny.yaml's world, weighed by its method's settings.
    """
    run = load_recipe(RECIPE).run
    spec = method_spec(run.method)
    assert isinstance(spec, GuiG1) and spec.shares and spec.weigh in ("inverse", "log")
    world = open_data(run.data[0].given(), "train", seed)
    # reference boxes of drawn worlds are in norm_100: 1e4 is the whole picture
    shares = sorted(_area(world[i].target) / 1e4 for i in range(GROUPS))
    weights = [size_weight(share, *spec.shares, spec.weigh) for share in shares]
    third = len(shares) // 3
    return {"weighted": sum(weights[:third]) / sum(weights), "unweighted": third / len(shares)}


def _gold(rng: np.random.Generator) -> Box:
    width, height = rng.uniform(12, 40, 2)
    x, y = rng.uniform(0, 100 - width), rng.uniform(0, 100 - height)
    return float(x), float(y), float(x + width), float(y + height)


def _around(rng: np.random.Generator, gold: Box) -> Box:
    x, y = rng.normal(gold[:2], 4.0)
    width = (gold[2] - gold[0]) * math.exp(rng.normal(0.0, 0.5))
    height = (gold[3] - gold[1]) * math.exp(rng.normal(0.0, 0.5))
    return float(x), float(y), float(x + width), float(y + height)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
