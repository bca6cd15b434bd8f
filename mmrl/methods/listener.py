"""Listener-rewarded thinking (arXiv 2506.22832): GRPO whose reasoning must convince a frozen model.

    r = 1.0 · format + 0.5 · right + 0.5 · p(label | pictures, question, reasoning without verdict)

p is a frozen listener's, read off the two verdicts that may follow the reasoning, as the mean over
both orders of the pair; 0 where the completion is malformed, its reasoning empty or its answer no
verdict. Everything else is GRPO. The measure `contradicts` (weight 0) is the share of rollouts
whose listener believes in the other candidate: the paper's contradiction rate.

Departures: no code is published and the paper's text was not at hand: the reward is as its public
reviews tell it. G, lr, β and steps are not known, so that GRPO's usual values stand here. The size
of the format part, the mean over both orders (what the paper does is not known to us), the masking
of sentences that say the verdict and the zeros above are ours (set `both_orders`, `mask` to undo).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from mmrl.methods.base import Method, register_method
from mmrl.methods.grpo import Grpo
from mmrl.policy.frozen import Frozen
from mmrl.probes.listener import ListenerProbe, LocalListener, Mask
from mmrl.rewards.listener import listener_rewards
from mmrl.rewards.preference import PREFERENCE
from mmrl.roles import Reward
from mmrl.tasks.base import Task


@register_method
class ListenerRewarded(Grpo):
    """Listener-rewarded thinking (arXiv 2506.22832)."""

    model_folders: ClassVar[tuple[str, ...]] = ("listener",)

    name: str = "listener"
    beta: float = Field(default=0.04, ge=0.0)
    """Weight of the KL: GRPO's own (the paper's is not known)."""
    format_weight: float = Field(default=1.0, ge=0.0)
    """Of the format part (a summary of the paper has r_fmt without a factor)."""
    right_weight: float = Field(default=0.5, ge=0.0)
    """Of the verdict being the label (paper, eq. 3, per its reviews)."""
    listener_weight: float = Field(default=0.5, ge=0.0)
    """Of the listener's probability (paper, eq. 3, per its reviews); 0 only measures."""
    target: Literal["label", "verdict"] = "label"
    """Whose probability: of the label (paper, per a summary), or of the rollout's own verdict."""
    listener: str | None = None
    """Checkpoint folder of the listener (the paper's, per its reviews: Qwen2.5-VL-7B-Instruct).
    None is the policy as it is when its first stage with this method begins: only what trains is
    kept a second time.
    """
    listener_dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Of the listener's own checkpoint; None is float32."""
    style: Literal["continue", "ask"] | None = None
    """"continue" writes the reasoning into the listener's own turn, "ask" quotes it in the user's;
    None continues the policy's own copy and asks a checkpoint."""
    mask: Mask = "verdict"
    """"verdict" takes the sentences out that say which is better; "nothing" leaves them."""
    both_orders: bool = True
    """Asks a second time with the pair exchanged: evens out a liking for the first."""
    temperature: float = Field(default=1.0, gt=0.0)
    """Divides the listener's scores (`mmrl.probes.listener.fit_temperature` finds it)."""

    @model_validator(mode="after")
    def _own_checkpoint(self) -> ListenerRewarded:
        if self.listener is None and self.listener_dtype is not None:
            raise ValueError(
                "listener_dtype belongs to a listener with its own checkpoint; set listener"
            )
        return self

    def build(self, task: Task, **parts: Any) -> Method:
        settings = {"dtype": self.listener_dtype} if self.listener_dtype else {}
        frozen = Frozen(self.listener, **settings)
        probe = ListenerProbe(
            LocalListener(frozen, style=self.style or ("ask" if self.listener else "continue")),
            both_orders=self.both_orders,
            mask=self.mask,
            temperature=self.temperature,
        )
        return super().build(task, **{"probes": (probe,), "companions": (frozen,), **parts})

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        """The three parts in the place of the task's, with the contradiction rate beside them.

        A task of a mixture that is not about pairs keeps its own.
        """
        whole = super().rewards(task)
        own = {reward.name for reward in task.rewards}
        if PREFERENCE.name not in own:
            return whole
        weights = {
            "format": self.format_weight,
            "preference": self.right_weight,
            "listener": self.listener_weight,
        }
        parts = (replace(r, weight=weights.get(r.name, 0.0)) for r in listener_rewards(self.target))
        return (*parts, *(r for r in whole if r.name not in own))
