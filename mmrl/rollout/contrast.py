"""A plan with a contrast: beside each group a smaller one under a poorer view of the same sample.

T-GRPO (Video-R1, arXiv 2503.21776) samples G rollouts on a clip and G/2 on its frames in a shuffled
order. The contrast stands in `Group.contrast`: it is scored, never packed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmrl.errors import ConfigError
from mmrl.rollout.plan import GroupOf
from mmrl.seeds import seed_of
from mmrl.types import Clock, Group, Sample

Poorer = Callable[[Sample, int], Sample | None]
"""`change(sample, seed)`: the poorer sample, or None where it would be the same."""


def shuffled_frames(sample: Sample, seed: int) -> Sample | None:
    """The sample with the frames of its clips in another order; the seconds told stay in order.

    The frames are those of the strategy `fps`, which a reference that names another strategy
    (`uniform`, `scenes`, …) would not see: such a sample is refused.
    """
    if not any(ref.kind == "video" for ref in sample.media):
        return None
    media = []
    for k, ref in enumerate(sample.media):
        if ref.kind == "video":
            strategy = ref.options.get("strategy", "fps")
            if strategy != "fps":
                raise ConfigError(
                    f'sample "{sample.id}": its clip asks for strategy "{strategy}"; shuffled '
                    'frames compare with strategy "fps" only'
                )
            own = seed_of(seed, k) & 0x7FFFFFFF
            ref = replace(ref, options={**ref.options, "strategy": "shuffled", "seed": own})
        media.append(ref)
    return replace(sample, media=tuple(media))


def without_media(sample: Sample, seed: int) -> Sample | None:
    """The question alone: what can be answered without looking."""
    return replace(sample, media=()) if sample.media else None


@dataclass(frozen=True, kw_only=True)
class WithContrast:
    """`size` rollouts of each draw, and `contrast_size` of its poorer view (default: half)."""

    size: int
    contrast_size: int | None = None
    change: Poorer = shuffled_frames

    def __post_init__(self) -> None:
        if self.size < 1 or self.num_contrast < 1:
            raise ConfigError(
                f"a plan with contrast wants at least one rollout of each view; size = "
                f"{self.size}, contrast_size = {self.num_contrast}"
            )

    @property
    def num_contrast(self) -> int:
        return max(1, self.size // 2) if self.contrast_size is None else self.contrast_size

    def __call__(
        self, draws: Sequence[tuple[str, Sample]], models: Any, clock: Clock, /
    ) -> list[Group]:
        poorer: list[tuple[str, Sample]] = []
        for draw_id, sample in draws:
            changed = self.change(sample, seed_of(models.seed, "contrast", draw_id))
            if changed is not None:
                poorer.append((f"{draw_id}.contrast", changed))
        groups = GroupOf(self.size)(draws, models, clock)
        contrast = GroupOf(self.num_contrast)(poorer, models, clock) if poorer else []
        of = {group.draw_id.removesuffix(".contrast"): group for group in contrast}
        return [
            replace(group, contrast=(of[group.draw_id],)) if group.draw_id in of else group
            for group in groups
        ]
