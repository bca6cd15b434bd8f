"""GRIT: reasoning that points at what it speaks of, by rewards alone (GRPO-GR, arXiv 2505.15879).

    R = right answer + 0.1 · BLEU-1 + 0.5 · well-formed + 0.5 · boxes in the reasoning
        + 0.5 · as many boxes as there are things (questions that count)

No reference boxes are used: that they come to lie on the right things is what the paper finds.
The rest is GRPO with a KL of 0.01. An answer is judged by rule (the task's own exact part), or by a
reward that the recipe names, `judge: NAME`: a language model, say, as in the paper.

Departures: one block of reasoning, where the published form asks for a second, `<rethink>`, so
that one pair of tags is paid for; an answer's tag is closed; the holes of the published parts are
mended (`mmrl.rewards.grounded`, `bleu`, `repetition`, `judged`).
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from mmrl.errors import MethodError, nearest
from mmrl.methods.base import register_method
from mmrl.methods.grpo import Grpo
from mmrl.rewards.builtin import (
    BLEU,
    COUNT_AGREEMENT,
    FORMAT,
    FRESH,
    GROUNDED_FORMAT,
    NUMBER,
    TEXT,
)
from mmrl.rewards.judged import Judged
from mmrl.roles import Reward
from mmrl.tasks.base import Task

EXACT = (NUMBER.name, TEXT.name)
"""Parts of tasks that judge a short answer by rule."""


@register_method
class Grit(Grpo):
    """GRPO with rewards for boxes in the reasoning (GRPO-GR, arXiv 2505.15879)."""

    name: str = "grit"
    group_size: int = Field(default=4, ge=1)
    """Rollouts a prompt (code)."""
    std_eps: float = Field(default=1e-8, ge=0.0)
    """Added to the std (paper; the code has 1e-4)."""
    beta: float = Field(default=0.01, ge=0.0)
    """Weight of the KL (paper, code)."""
    judge: str = "rule"
    """Who says whether an answer is right: "rule" (the task's own exact part) or the name of a
    reward of the recipe, whose scores from 0.5 count as right."""
    answer: float = Field(default=1.0, ge=0.0)
    """Weight of a right answer (paper, code)."""
    bleu: float = Field(default=0.1, ge=0.0)
    """Weight of BLEU-1 (paper, code); 0 leaves the part out, here and below."""
    form: float = Field(default=0.5, ge=0.0)
    """Weight of well-formed tags (paper: 0.5 a pair, of which there is one here)."""
    boxes: float = Field(default=0.5, ge=0.0)
    """Weight of a box in the reasoning (paper, code)."""
    count: float = Field(default=0.5, ge=0.0)
    """Weight of as many boxes as the reference counts (paper; the code has 1.0)."""
    fresh: float = Field(default=0.0, ge=0.0)
    """Weight of not repeating oneself (not in the paper; the code has 0.5)."""

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        """GRIT's parts; the count where the task's answer is a number; others stay as they are."""
        given = {reward.name: reward for reward in super().rewards(task)}
        own = [BLEU, FORMAT, GROUNDED_FORMAT, FRESH]
        if NUMBER.name in {reward.name for reward in task.rewards}:
            own.append(COUNT_AGREEMENT)
        else:  # the recipe's own parts hold for all of its tasks: here nothing is counted
            given.pop(COUNT_AGREEMENT.name, None)
        weights = {
            BLEU.name: self.bleu,
            FORMAT.name: self.form,
            GROUNDED_FORMAT.name: self.boxes,
            COUNT_AGREEMENT.name: self.count,
            FRESH.name: self.fresh,
        }
        judge = self._judge(task, given)
        known = {**{part.name: part for part in own}, **given}
        rest = tuple(
            replace(reward, weight=weights.get(name, reward.weight))
            for name, reward in known.items()
            if weights.get(name, 1.0) > 0.0 and name not in (*EXACT, self.judge)
        )
        return (judge, *rest) if self.answer > 0.0 else rest

    def _judge(self, task: Task, given: dict[str, Reward]) -> Reward:
        """The part that says whether the answer is right."""
        if self.judge == "rule":
            for name in EXACT:
                if name in given:
                    return replace(given[name], weight=self.answer)
            raise MethodError(
                f"grit judges a number or a short text, for which task "
                f'"{task.name}" has no part (its rewards: {", ".join(given)}); give it the tasks '
                f"grounded_count, boxed_count, number or text, or name a judge: "
                f"method.judge and a reward of that name"
            )
        if self.judge not in given:
            raise MethodError(
                f'method.judge: no reward "{self.judge}" among {", ".join(given)}; name it under '
                f"`rewards`.{nearest(self.judge, given)}"
            )
        part = given[self.judge]
        return replace(part, fn=Judged(part.fn), weight=self.answer, bounds=(0.0, 1.0))
