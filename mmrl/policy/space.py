"""The distribution that is sampled: one definition, applied by the sampler and by the learner.

    logits -> float32 -> banned ids out -> / temperature -> (top-k, then top-p) -> log-softmax

A ratio of learner to sampler is only right when both speak of this same distribution. With
truncation the sampler stores the ids that survived at every token and the learner renormalises on
them (top-p 0.9 would otherwise scale every ratio by the kept mass; trl#6789).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from mmrl.errors import PolicyError

NOWHERE = float("-inf")


@dataclass(frozen=True, kw_only=True)
class SamplingSpace:
    """What may be sampled and how sharply.

    `temperature` 0 means greedy choice; log-probs are then those of temperature 1, because a
    point mass has none worth comparing. `top_k` 0 and `top_p` 1 truncate nothing.
    """

    banned_ids: tuple[int, ...] = ()
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    _banned_on: dict[torch.device, torch.Tensor] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise PolicyError(f"temperature must be >= 0, got {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise PolicyError(f"top_p must lie in (0, 1], got {self.top_p}")
        if self.top_k < 0:
            raise PolicyError(f"top_k must be >= 0 (0 keeps all), got {self.top_k}")

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    @property
    def truncates(self) -> bool:
        """Whether ids are cut away token by token, so that kept ids must be stored."""
        return not self.greedy and (self.top_k > 0 or self.top_p < 1)

    def scores(self, logits_NV: torch.Tensor) -> torch.Tensor:
        """Float32 logits over the temperature, banned ids at minus infinity [N, V]."""
        scores = logits_NV.float()
        if self.temperature not in (0.0, 1.0):
            scores = scores / self.temperature
        if not self.banned_ids:
            return scores
        return scores.index_fill(-1, self._banned(scores.device), NOWHERE)

    def truncate(self, scores_NV: torch.Tensor) -> torch.Tensor:
        """The scores with what top-k and top-p cut away at minus infinity.

        Top-k keeps the k highest; top-p then keeps the smallest set of the rest whose mass
        reaches `top_p`, always at least one id. Equal scores at the border are all kept by top-k.
        """
        if not self.truncates:
            return scores_NV
        size = scores_NV.shape[-1]
        if 0 < self.top_k < size:
            border = scores_NV.topk(self.top_k, dim=-1).values[..., -1:]
            scores_NV = scores_NV.masked_fill(scores_NV < border, NOWHERE)
        if self.top_p < 1:
            ordered, order = scores_NV.sort(dim=-1, descending=True, stable=True)
            mass = ordered.softmax(-1)
            cut = mass.cumsum(-1) - mass >= self.top_p
            cut[..., 0] = False
            scores_NV = scores_NV.masked_fill(
                torch.zeros_like(cut).scatter(-1, order, cut), NOWHERE
            )
        return scores_NV

    def log_probs(
        self, logits_NV: torch.Tensor, kept_ids: Sequence[Sequence[int]] = ()
    ) -> torch.Tensor:
        """Float32 log-probabilities of every id [N, V].

        `kept_ids` (one tuple a row, empty for "all") restricts each row to what the sampler
        kept; without it nothing is truncated, since the learner must not cut by its own order.
        """
        return restrict(self.scores(logits_NV), kept_ids).log_softmax(-1)

    def chosen(
        self,
        logits_NV: torch.Tensor,
        ids_N: torch.Tensor,
        kept_ids: Sequence[Sequence[int]] = (),
        *,
        entropy: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Log-prob of the given id of each row [N], and the entropy in nats [N] if asked for.

        An id outside of the space (an observed special token) is taken into its own row, so that
        its log-prob is finite; a sampled id never is outside.
        """
        own_N1 = ids_N.unsqueeze(-1)
        plain_N1 = logits_NV.gather(-1, own_N1).float()
        if self.temperature not in (0.0, 1.0):
            plain_N1 = plain_N1 / self.temperature
        scores = restrict(self.scores(logits_NV), kept_ids)
        if self.banned_ids or len(kept_ids):
            scores = scores.scatter(-1, own_N1, plain_N1)
        total_N1 = scores.logsumexp(-1, keepdim=True)
        logp_N = (plain_N1 - total_N1).squeeze(-1)
        if not entropy:
            return logp_N, None
        logp_NV = scores - total_N1
        terms = logp_NV.exp() * logp_NV.masked_fill(logp_NV == NOWHERE, 0.0)
        return logp_N, -terms.sum(-1)

    def _banned(self, device: torch.device) -> torch.Tensor:
        if device not in self._banned_on:
            with torch.inference_mode(False):
                self._banned_on[device] = torch.tensor(self.banned_ids, device=device)
        return self._banned_on[device]


def restrict(scores_NV: torch.Tensor, kept_ids: Sequence[Sequence[int]]) -> torch.Tensor:
    """Scores with every id that a row does not name at minus infinity; an empty row keeps all."""
    if not any(kept_ids):
        return scores_NV
    if len(kept_ids) != len(scores_NV):
        raise PolicyError(f"kept ids of {len(kept_ids)} tokens for {len(scores_NV)} rows of scores")
    rows = [r for r, kept in enumerate(kept_ids) for _ in kept]
    ids = [i for kept in kept_ids for i in kept]
    keep = torch.tensor([not kept for kept in kept_ids], device=scores_NV.device)
    mask = keep.unsqueeze(-1).expand(scores_NV.shape).clone()
    mask[rows, ids] = True
    return scores_NV.masked_fill(~mask, NOWHERE)


def draw(scores_NV: torch.Tensor, uniform_N: torch.Tensor) -> torch.Tensor:
    """The id at quantile `uniform_N` (float64, in [0, 1)) of softmax(scores) in each row [N].

    Inverse of the cumulative distribution in id order, in float64: a row's draw depends on its
    own scores and number alone, and an id of zero mass is never drawn. The arithmetic runs where
    `uniform_N` lies (MPS has no float64).
    """
    scores = scores_NV.to(uniform_N.device, torch.float64)
    cumulative = scores.softmax(-1).cumsum(-1)
    total = cumulative[:, -1:]
    below = torch.nextafter(total, torch.zeros_like(total))
    at = torch.minimum(uniform_N.unsqueeze(-1) * total, below)
    return torch.searchsorted(cumulative, at, right=True).squeeze(-1).to(scores_NV.device)
