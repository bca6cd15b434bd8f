"""A planned medium to an array: what decoding workers run, and a process without workers too."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmrl.media.image import open_image, resize_image
from mmrl.media.plan import ImagePlan, VideoPlan
from mmrl.media.video import FallbackCount, fallbacks, read_frames
from mmrl.types import MediaRef

Plan = ImagePlan | VideoPlan


def decode(ref: MediaRef, plan: Plan, count: FallbackCount = fallbacks) -> np.ndarray:
    """uint8 pixels as planned: [H, W, 3] of a picture, [F, H, W, 3] of a clip."""
    if isinstance(plan, ImagePlan):
        return np.array(resize_image(open_image(ref), plan.processed_size))
    return read_frames(ref, plan, resized=True, count=count).frames


def plan_to_json(plan: Plan) -> str:
    """A plan as text with sorted keys: what travels to workers and what cache keys are made of."""
    kind = "image" if isinstance(plan, ImagePlan) else "video"
    return json.dumps({"kind": kind, **dataclasses.asdict(plan)}, sort_keys=True)


def plan_from_json(text: str) -> Plan:
    """The plan that `plan_to_json` wrote."""
    fields: dict[str, Any] = json.loads(text)
    kind = fields.pop("kind")
    for name, value in fields.items():
        if isinstance(value, list):
            fields[name] = tuple(value)
    return ImagePlan(**fields) if kind == "image" else VideoPlan(**fields)


def ref_from_job(job: Mapping[str, Any]) -> MediaRef:
    """The reference of a worker's job (`kind`, `path`)."""
    return MediaRef(kind=job["kind"], path=Path(job["path"]))
