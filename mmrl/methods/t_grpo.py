"""T-GRPO: rewards for answers that the order of the frames helps (Video-R1, arXiv 2503.21776).

Beside G rollouts on a clip, G/2 are sampled on its frames in a shuffled order; they are scored and
never trained on. Where the ordered ones do at least `factor` times as well, every right one of them
earns 0.3 more; right ones of 320 to 512 tokens 0.2 more. The rest is GRPO as in TRL, with accuracy
and format of weight 1 each. Samples without a clip have no contrast and earn no bonus for it.

Departures: decided a group, whatever stands beside it (published: a process, so right for one
prompt a device only); a sample whose clip asks for frames by another strategy than `fps` is
refused. Where rewards are 0 or 1 and the form is always kept, a standardised advantage divides the
bonus out again: it acts through `normalize: mean_only`, or where scores or forms differ.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field, model_validator

from mmrl.methods.base import Method, register_method
from mmrl.methods.grpo import Grpo
from mmrl.probes.contrast import ContrastScores
from mmrl.rewards.builtin import FORMAT, SPAN_FORMAT
from mmrl.rewards.contrast import ContrastBonus, LengthWindow
from mmrl.roles import Reward
from mmrl.rollout.contrast import WithContrast
from mmrl.tasks.base import Task


@register_method
class TGrpo(Grpo):
    """Temporal GRPO (Video-R1, arXiv 2503.21776)."""

    name: str = "t_grpo"
    beta: float = Field(default=0.04, ge=0.0)
    """Weight of the KL (code)."""
    contrast_size: int | None = Field(default=None, ge=1)
    """Rollouts on shuffled frames; None is half of group_size (code)."""
    contrast_factor: float = Field(default=1.0, ge=0.0)
    """Least share of the shuffled frames' mean score that the ordered must reach (paper, eq. 1; the
    code has 0.8; its authors say that 1.0 was meant and that both work)."""
    contrast_bonus: float = Field(default=0.3, ge=0.0)
    """What right rollouts of such a group earn more (paper, code); 0 samples no contrast."""
    shortest: int = Field(default=320, ge=0)
    """Fewest tokens of the length window (paper, code)."""
    longest: int = Field(default=512, ge=0)
    """Most tokens of the length window (paper, code)."""
    length_bonus: float = Field(default=0.2, ge=0.0)
    """What right rollouts inside the window earn more (paper, code); 0 leaves the window out."""
    format_weight: float = Field(default=1.0, ge=0.0)
    """Weight of the form beside an accuracy of 1 (code)."""

    @model_validator(mode="after")
    def _window(self) -> TGrpo:
        if self.longest < self.shortest:
            raise ValueError(f"longest {self.longest} should be at least shortest {self.shortest}")
        return self

    def build(self, task: Task, **parts: Any) -> Method:
        bonuses: list[Any] = []
        contrast: dict[str, Any] = {}
        if self.contrast_bonus > 0.0:
            contrast["plan"] = WithContrast(size=self.group_size, contrast_size=self.contrast_size)
            contrast["probes"] = (ContrastScores(),)
            bonuses.append(ContrastBonus(factor=self.contrast_factor, amount=self.contrast_bonus))
        if self.length_bonus > 0.0:
            bonuses.append(
                LengthWindow(shortest=self.shortest, longest=self.longest, amount=self.length_bonus)
            )
        return super().build(task, **{**contrast, "bonuses": tuple(bonuses), **parts})

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        forms = (FORMAT.name, SPAN_FORMAT.name)
        return tuple(
            replace(reward, weight=self.format_weight) if reward.name in forms else reward
            for reward in super().rewards(task)
        )
