"""Digests of samples of every level of every world, as JSON: run in processes of its own."""

from __future__ import annotations

import hashlib
import json
import sys

from mmrl.tasks.base import TASKS
from mmrl.types import Sample

SAMPLES = 2


def digest(sample: Sample) -> str:
    """Of all that a sample holds, media byte for byte."""
    whole = hashlib.sha256()
    for ref in sample.media:
        whole.update(ref.kind.encode() + (ref.data or b"") + repr(ref.path).encode())
        whole.update(repr((ref.span, dict(ref.options))).encode())
    for part in (sample.id, sample.task, sample.question, sample.target, dict(sample.meta)):
        whole.update(repr(part).encode("utf-8", "surrogatepass"))
    whole.update(TASKS.get(sample.task).gold(sample).encode())
    return whole.hexdigest()


def digests(order: int) -> dict[str, str]:
    """ "world level number" -> digest; `order` -1 goes through everything backwards."""
    keys = [
        (name, level, i)
        for name in TASKS
        for level in TASKS.get(name).levels
        for i in range(SAMPLES)
        if TASKS.get(name).world is not None
    ]
    found = {}
    for name, level, i in keys[::order]:
        task = TASKS.get(name)
        assert task.world is not None
        options = {**task.world_options, **task.levels[level]}
        found[f"{name} {level} {i}"] = digest(task.world(i, split="val", seed=11, **options))
    return dict(sorted(found.items()))


if __name__ == "__main__":
    print(json.dumps(digests(int(sys.argv[1]))))
