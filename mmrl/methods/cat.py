r"""Code-as-Thought: write the chart down as code where that is enough, look where it is not.

arXiv 2509.09286, eq. 3 (Visual Programmability):

    R = 0.8 · answer + 0.3 · decision + 0.15 · data + 0.05 · format

A completion begins with `<CODE>` or `<DIRECT>` and ends in `\boxed{answer}`; `decision` compares
the way with the sample's label, `data` the table that the code spells with the chart's. Plain GRPO
without KL, in one stage.

Departures: the data part applies only where the label is "high" (`data_everywhere: true` is the
paper's form, in which a wrong `<CODE>` earns up to 0.985 of 1.15); `partial`, the decision's worth
where the answer is wrong, is not printed. See `mmrl.rewards.charts` for smaller ones.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field

from mmrl.errors import MethodError
from mmrl.methods.base import register_method
from mmrl.methods.grpo import Grpo, ReductionName
from mmrl.rewards.charts import ChartData, ChartDecision
from mmrl.roles import Reward
from mmrl.tasks.base import Task


@register_method
class Cat(Grpo):
    """GRPO with a reward for the right way, code or direct (arXiv 2509.09286)."""

    name: str = "cat"
    group_size: int = Field(default=5, ge=1)
    """Rollouts a prompt (paper, table 9)."""
    reduction: ReductionName = "token_mean"
    """EasyR1's, on which the paper's code is built."""
    answer: float = Field(default=0.8, ge=0.0)
    """Weight of a right answer (paper, section 5.1)."""
    decision: float = Field(default=0.3, ge=0.0)
    """Weight of the right way (the same); 0 leaves the part out."""
    data: float = Field(default=0.15, ge=0.0)
    """Weight of the table's accuracy (the same); 0 leaves the part out."""
    format: float = Field(default=0.05, ge=0.0)
    """Weight of a boxed answer (the same)."""
    partial: float = Field(default=0.5, ge=0.0, le=1.0)
    """Decision of the right way with a wrong answer (a guess: the paper does not print it)."""
    data_everywhere: bool = False
    """Whether the data part counts also where the label is "low" or there is none (paper)."""

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        """The task's parts in the paper's weights; parts of other names stay as they are."""
        weights = {
            "chart_answer": self.answer,
            "chart_decision": self.decision,
            "chart_data": self.data,
            "chart_format": self.format,
        }
        own = super().rewards(task)
        names = [reward.name for reward in own]
        missing = [name for name, weight in weights.items() if weight and name not in names]
        if missing:
            raise MethodError(
                f'cat weighs the reward "{missing[0]}", which task "{task.name}" does not have '
                f"(it has {', '.join(names)}); give it the tasks chart or chart_brief"
            )
        return tuple(
            replace(
                reward,
                fn=self._with_settings(reward.fn),
                weight=weights.get(reward.name, reward.weight),
            )
            for reward in own
            if weights.get(reward.name, 1.0) > 0.0
        )

    def _with_settings(self, fn: Any) -> Any:
        match fn:
            case ChartDecision():
                return replace(fn, partial=self.partial)
            case ChartData():
                return replace(fn, everywhere=self.data_everywhere)
        return fn
