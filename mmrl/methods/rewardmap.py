"""RewardMap: rewards that are rarely flat, worth more on harder maps, fed easy questions first.

arXiv 2510.02240, eq. 3: R = W · (format + right + α · detail). `detail` counts the right parts of
a route and applies to planning alone; W = W_map + W_question grows with the map and with the need
to change trains. The other half of the paper is the order of the data (yes or no, then counting,
then planning), which is the recipe's: see its `stages`.

Departures: parts lie in [0, 1] where the released code has 10 for a right answer and up to 10 for
detail, so that 10 · right + 0.5 · detail is 1 · right + 0.5 · detail here, and all rewards, W
aside, are a tenth. The code has no format term and the paper prints no scale for it; ours is one
point of ten. Advantages are r - mean, as the paper writes them: the released trainer divides by
the group's std as well, which cancels W (`normalize: std` does so, and is warned of). The detail
points are mended (`mmrl.rewards.routes`). The stops passed are not rewarded, as in the code.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field

from mmrl.errors import MethodError
from mmrl.methods.base import Method, register_method
from mmrl.methods.grpo import Grpo, Normalize, ReductionName
from mmrl.rewards.combine import weighted_sum
from mmrl.rewards.difficulty import MAP_WEIGHTS, DifficultyWeighted
from mmrl.roles import Reward
from mmrl.tasks.base import Task

UNUSED = ("route_via",)
"""Parts of the map tasks that the paper does not reward."""


@register_method
class RewardMap(Grpo):
    """GRPO with detail reward and difficulty weights (arXiv 2510.02240)."""

    name: str = "rewardmap"
    normalize: Normalize = "mean_only"
    beta: float = Field(default=1e-3, ge=0.0)
    """Weight of the KL (paper; the released script has 1e-2, its yaml 5e-3)."""
    entropy_coef: float = Field(default=1e-3, ge=0.0)
    """Weight of the entropy bonus (released trainer's default; the paper does not mention it)."""
    reduction: ReductionName = "token_mean"
    right: float = Field(default=1.0, ge=0.0)
    """Weight of a right answer (eq. 3)."""
    detail: float = Field(default=0.5, ge=0.0)
    """α, weight of a route's details (paper, ablated: 0.3 and 0.7 are worse); 0 leaves them out."""
    format: float = Field(default=0.1, ge=0.0)
    """Weight of a well-formed answer (scale not printed, see above); 0 as in the released code."""
    weighted: bool = True
    """Whether harder questions weigh more (eq. 4)."""
    of_map: dict[str, float] = Field(default_factory=lambda: dict(MAP_WEIGHTS))
    """W_map by `difficulty_city` (paper: easy 1.0, middle 1.2, hard 1.5)."""
    of_transfers: float = Field(default=0.5, ge=0.0)
    """W_question of a route with at least one change of trains (paper)."""

    def build(self, task: Task, **parts: Any) -> Method:
        weights = DifficultyWeighted(of_map=self.of_map, of_transfers=self.of_transfers)
        return super().build(task, combine=weights if self.weighted else weighted_sum, **parts)

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        """The task's parts in RewardMap's weights; parts of other names stay as they are."""
        weights = {"map_right": self.right, "route_detail": self.detail, "format": self.format}
        names = [reward.name for reward in super().rewards(task)]
        missing = [n for n in ("map_right", "route_detail") if weights[n] and n not in names]
        if missing:
            raise MethodError(
                f'rewardmap weighs the reward "{missing[0]}", which task "{task.name}" does not '
                f"have (it has {', '.join(names)}); give it the tasks transit or reasonmap"
            )
        return tuple(
            replace(reward, weight=weights.get(reward.name, reward.weight))
            for reward in super().rewards(task)
            if reward.name not in UNUSED and weights.get(reward.name, 1.0) > 0.0
        )
