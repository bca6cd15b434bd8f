"""GUI-G1: where to click, learned without thinking, small things weighing more (arXiv 2505.15810).

    R = hit + 0.25 · IoU + 0.125 · size          A = R - mean of the group, no std
    loss = mean over rollouts of w_q · Σ_t -min(ρ A, clip(ρ, 1 ± 0.2) A) / constant length

`hit` alone shrinks boxes and IoU alone grows them; `size` (how near each edge is) holds them. w_q
in [0.5, 1.5] is greatest for the smallest boxes (`mmrl.credit.size_weights`). That the answer is
one JSON block without reasoning is the data's (`task: gui_fast`); the filter of questions that 8
samples get all right or all wrong is a stage of kind `collect`.

Departures: `size` is bounded (`mmrl.rewards.box_size`), boxes are proper or earn nothing, IoU is
continuous (`mmrl.rewards.iou`); the published ones pay an edge of a far box up to 83. There is no
reward for the form, as in the paper, unless a recipe asks for one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from pydantic import Field, model_validator

from mmrl.credit.size_weights import RowWeight, SizeWeight
from mmrl.errors import MethodError
from mmrl.methods.base import Method, register_method, unit_weights
from mmrl.methods.grpo import Grpo, Normalize, ReductionName
from mmrl.rewards.builtin import BOX_IOU, BOX_SIZE, FORMAT, HIT
from mmrl.roles import Reward, TokenWeights
from mmrl.tasks.base import Task

ONE_BOX = ("hit", "box_iou", "box_giou", "box_iou_50", "box_size", "box_l1")
"""Rewards of tasks whose reference is one box."""


@register_method
class GuiG1(Grpo):
    """GRPO for screens: three rewards of a box, weights by its size (arXiv 2505.15810)."""

    name: str = "gui_g1"
    normalize: Normalize = "mean_only"
    reduction: ReductionName = "sequence_sum_norm"
    """Sums over a constant: `max_length` ("Max_Tokens" of the paper; the code has 64, half of its
    longest completion: a factor on the loss, which AdamW cancels)."""
    hit: float = Field(default=1.0, ge=0.0)
    """Weight of pointing into the reference box (paper, code); 0 leaves the part out."""
    iou: float = Field(default=0.25, ge=0.0)
    """Weight of the overlap (paper, code); 0 leaves the part out."""
    size: float = Field(default=0.125, ge=0.0)
    """Weight of the edges' nearness (paper, code); 0 leaves the part out."""
    form: float = Field(default=0.0, ge=0.0)
    """Weight of the task's reward for well-formed tags; the paper has none."""
    weigh: Literal["off", "rate", "inverse", "log"] = "rate"
    """Weight of a question: none, the column `rate` of its row (code), or made of its box's share
    λ of the picture: by 1/λ (the paper's formula), or by log λ, which no tiny box takes over."""
    shares: tuple[float, float] | None = None
    """Least and greatest share of the picture's area that a reference box has, for weigh: inverse
    or log; those of the data set in the paper. Boxes beyond weigh as the ends do."""

    @model_validator(mode="after")
    def _bounds(self) -> GuiG1:
        if self.weigh in ("inverse", "log"):
            if self.shares is None:
                raise ValueError(
                    f"weigh: {self.weigh} needs shares, the least and the greatest share of their "
                    "pictures' areas that the boxes have"
                )
            low, high = self.shares
            if not 0.0 < low < high <= 1.0:
                raise ValueError(f"shares should be 0 < least < greatest <= 1, got {low}, {high}")
        if not (self.hit or self.iou or self.size):
            raise ValueError("hit, iou and size are all 0: there is nothing to learn from")
        return self

    def build(self, task: Task, **parts: Any) -> Method:
        return super().build(task, **{"token_weights": self._weights(), **parts})

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        """GUI-G1's three parts; parts of other names stay as they are."""
        given = {reward.name: reward for reward in super().rewards(task)}
        if not given.keys() & set(ONE_BOX):
            raise MethodError(
                f'gui_g1 rewards one box, which task "{task.name}" does not ask for (its rewards: '
                f"{', '.join(given)}); give it the tasks gui_fast, gui_box, digit_box or grounding"
            )
        weights = {HIT.name: self.hit, BOX_IOU.name: self.iou, BOX_SIZE.name: self.size}
        weights[FORMAT.name] = self.form
        own = {part.name: part for part in (HIT, BOX_IOU, BOX_SIZE)}
        return tuple(
            replace(reward, weight=weights.get(name, reward.weight))
            for name, reward in {**own, **given}.items()
            if weights.get(name, 1.0) > 0.0
        )

    def _weights(self) -> TokenWeights:
        if self.weigh == "rate":
            return RowWeight()
        if self.weigh == "off" or self.shares is None:
            return unit_weights
        low, high = self.shares
        return SizeWeight(smallest=low, largest=high, scale=self.weigh)
