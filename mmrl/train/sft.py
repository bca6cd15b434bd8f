"""Supervised stages on the same types: the task's gold answers (or a data set's) as demonstrations.

A cold start is a stage of kind `sft` before one of kind `rl`; both go through the same learner.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from mmrl.data.collected import COMPLETION, COMPLETION_IDS
from mmrl.errors import DataError, MediaError, PolicyError
from mmrl.objective.reduction import token_mean
from mmrl.rewards.spaces import as_answered
from mmrl.roles import Source, Term
from mmrl.tasks.base import TASKS
from mmrl.train.collector import Batch, prefetch_next
from mmrl.train.ranks import Ranks
from mmrl.types import (
    Clock,
    Demonstration,
    Pack,
    PolicyOutput,
    Prompt,
    Rollout,
    Sample,
)


def negative_log_likelihood(
    out: PolicyOutput, pack: Pack, advantages: torch.Tensor, clock: Clock, /
) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
    """-log p of every demonstrated token; metric `nll`."""
    loss = -out.logp
    return loss, {"nll": loss}


SFT_TERM = Term(name="nll", objective=negative_log_likelihood, reduction=token_mean)


class DemonstrationCollector:
    """Draws samples and turns them into demonstrations of their gold answers."""

    def __init__(
        self, *, source: Source, models: Any, ranks: Ranks, size: int, skip_bad_media: bool
    ) -> None:
        self.source, self.models, self.ranks = source, models, ranks
        self.size, self.skip_bad_media = size, skip_bad_media

    def next(self, clock: Clock) -> Batch:
        """`size` demonstrations over all ranks, fewer where media could not be read."""
        drawn = self.source.draw(self.size)
        skipped: Counter[str] = Counter()
        made = []
        for item in drawn[self.ranks.index :: self.ranks.size]:
            if isinstance(item, Demonstration):
                made.append(item)
                continue
            try:
                made.append(demonstrate(item, self.models))
            except (MediaError, PolicyError) as error:
                if not self.skip_bad_media:
                    raise
                skipped[getattr(error, "reason", "prompt")] += 1
                self.models.report_bad(item, error)
        return Batch(
            groups=(),
            everyone=(),
            demonstrations=tuple(made),
            skipped=dict(skipped),
            num_draws=len(drawn),
        )

    def look_ahead(self) -> None:
        """Lets media of the next step be read while this one trains."""
        prefetch_next(self.source, self.size, self.models, self.ranks)


def demonstrate(sample: Sample, models: Any) -> Demonstration:
    """The demonstration of a sample: `meta["completion"]` where a row has one, else the gold.

    Boxes and points of the gold are written in the space in which this model answers. A completion
    that a collect stage sampled keeps its very tokens (`meta["completion_ids"]`).
    """
    prompt = models.encode(sample)
    if COMPLETION in sample.meta:
        text = str(sample.meta[COMPLETION])
    else:
        said = as_answered(sample, prompt)
        text = TASKS.get(sample.task).gold(said)
        _check_gold(sample, prompt, text, rounded=said is not sample)
    ids: tuple[int, ...] = sample.meta.get(COMPLETION_IDS, ())
    ids = ids or (*models.policy.encode_text(text), models.policy.eos_ids[0])
    return Demonstration(
        id=sample.id,
        sample=sample,
        prompt=prompt,
        text=text,
        token_ids=ids,
        trainable=(True,) * len(ids),
    )


def _check_gold(sample: Sample, prompt: Prompt, text: str, *, rounded: bool) -> None:
    """A gold answer must be right as this model writes it; one that was rounded, right enough."""
    task = TASKS.get(sample.task)
    rollout = Rollout.written(text, task.parse(text), prompt)
    score = task.score(rollout, sample)
    least = task.threshold if rounded else 1.0 - 1e-6
    if score is None or score < least:
        spaces = ""
        if "coord_space" in sample.meta:
            spaces = (
                f" Its boxes are in {sample.meta['coord_space']} and this model writes "
                f"{prompt.coord_space}: convert them, or say meta.answer_space."
            )
        raise DataError(
            f'sample "{sample.id}": its gold answer would earn {score}, so it is no '
            f"demonstration.{spaces}"
        )
