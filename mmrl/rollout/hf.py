"""Rollouts with transformers: each prompt is prefilled once, its group decodes on a shared start.

Own decoding loop: explicit positions at every step, one random stream a rollout (what a rollout
becomes does not depend on who shares its batch, beyond float noise), finished rows leave the
batch. Log-probs are float32 and of the distribution that was sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from mmrl.errors import PolicyError
from mmrl.parse.completion import parse_completion
from mmrl.policy.batch import assemble, length_groups, next_position
from mmrl.policy.space import NOWHERE, SamplingSpace, draw
from mmrl.policy.vlm import VLMPolicy
from mmrl.rollout.cache import roomy_cache
from mmrl.types import Parsed, Prompt, Rollout, Segment, StopReason

Finished = Callable[[int, "list[Rollout]"], None]
"""Called with a prompt's place and its rollouts when they have all ended."""

LEAVE_SHARE = 0.125
"""Ended rows leave once they are this share of the batch; leaving costs a copy of the cache."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How completions are sampled. Temperature 0 is greedy; `stop` are texts that end one."""

    max_new_tokens: int = 512
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise PolicyError(f"max_new_tokens must be at least 1, got {self.max_new_tokens}")


class HFSampler:
    """Samples completions from a policy with transformers.

    `max_cache_tokens` bounds rows x (prompt + new tokens) decoded at once; `prefill_tokens` bounds
    the tokens of one prefill.
    """

    def __init__(
        self,
        policy: VLMPolicy,
        *,
        parser: Callable[[str], Parsed] = parse_completion,
        max_cache_tokens: int = 262_144,
        prefill_tokens: int = 16_384,
    ) -> None:
        self.policy = policy
        self.parser = parser
        self.max_cache_tokens = max_cache_tokens
        self.prefill_tokens = prefill_tokens

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        group_size: int,
        seeds: Sequence[Sequence[int]],
        sampling: Sampling,
        policy_step: int,
        finished: Finished | None = None,
    ) -> list[list[Rollout]]:
        """`group_size` rollouts of every prompt, in order; `seeds[p][g]` is a rollout's own.

        `finished(p, rollouts)` is told of a prompt's rollouts as soon as the last of them has
        ended, while others are still being written.
        """
        if len(seeds) != len(prompts) or any(len(s) != group_size for s in seeds):
            raise PolicyError(
                f"seeds must hold {group_size} numbers for each of {len(prompts)} prompts"
            )
        space = self.policy.sampling_space(
            temperature=sampling.temperature, top_k=sampling.top_k, top_p=sampling.top_p
        )
        cost = [(len(p.token_ids) + sampling.max_new_tokens) * group_size for p in prompts]
        groups: list[list[Rollout]] = [[] for _ in prompts]
        self.policy.model.eval()
        with torch.inference_mode():
            for batch in length_groups(cost, self.max_cache_tokens):
                rows = [(prompts[p], seed) for p in batch for seed in seeds[p]]
                decoding = _Decoding(self.policy, rows, sampling, space)
                decoding.prefill([prompts[p] for p in batch], group_size, self.prefill_tokens)
                left = dict.fromkeys(range(len(batch)), group_size)
                for ended in decoding.run():
                    for row in ended:
                        left[row // group_size] -= 1
                    for k in [k for k, number in left.items() if not number]:
                        del left[k]
                        rows_of = range(k * group_size, (k + 1) * group_size)
                        groups[batch[k]] = self._rollouts(decoding, rows_of, policy_step)
                        if finished is not None:
                            finished(batch[k], groups[batch[k]])
        return groups

    def _rollouts(
        self, decoding: _Decoding, rows: Iterable[int], policy_step: int
    ) -> list[Rollout]:
        rows = tuple(rows)
        texts = self.policy.decode_all([decoding.ids[r] for r in rows])
        rollouts = []
        for r, text in zip(rows, texts, strict=True):
            prompt, seed = decoding.rows[r]
            ids = tuple(decoding.ids[r])
            segment = Segment(
                token_ids=ids,
                sampled=True,
                logps=tuple(decoding.logps[r]),
                trainable=(True,) * len(ids),
                kept_ids=tuple(decoding.kept[r]),
            )
            rollouts.append(
                Rollout(
                    prompt=prompt,
                    sampled_under=prompt,
                    segments=(segment,),
                    text=text,
                    offsets=self.policy.offsets(ids, text),
                    parsed=self.parser(text),
                    stop=decoding.stops[r],
                    policy_step=policy_step,
                    seed=seed,
                )
            )
        return rollouts


class _Decoding:
    """One batch of rows from prefill to the last token."""

    def __init__(
        self,
        policy: VLMPolicy,
        rows: list[tuple[Prompt, int]],
        sampling: Sampling,
        space: SamplingSpace,
    ) -> None:
        self.policy, self.rows, self.sampling, self.space = policy, rows, sampling, space
        self.device = policy.device
        self.ids: list[list[int]] = [[] for _ in rows]
        self.logps: list[list[float]] = [[] for _ in rows]
        self.kept: list[list[tuple[int, ...]]] = [[] for _ in rows]
        self.stops = [StopReason.LENGTH] * len(rows)
        self.head = policy.core.get_output_embeddings()
        self.eos = frozenset(policy.eos_ids)
        self.uniforms = self._streams()

    def _streams(self) -> torch.Tensor | None:
        """Float64 numbers in [0, 1), [rows, max_new_tokens], each row from its own seed."""
        if self.space.greedy:
            return None
        numbers = torch.empty(len(self.rows), self.sampling.max_new_tokens, dtype=torch.float64)
        generator = torch.Generator()
        for row, (_, seed) in zip(numbers, self.rows, strict=True):
            generator.manual_seed(seed)
            row.uniform_(generator=generator)
        return numbers if self.device.type == "mps" else numbers.to(self.device)

    def prefill(self, prompts: Sequence[Prompt], group_size: int, max_tokens: int) -> None:
        """Runs each prompt once and hands its cache to its whole group.

        Prompts are padded on the left to one common length, so that all rows decode together.
        """
        mrope = self.policy.family.mrope
        batch = assemble(
            [(p, ()) for p in prompts],
            mrope=mrope,
            pad_id=self.policy.pad_id,
            side="left",
            device=self.device,
        )
        width = batch.ids.shape[1]
        per_run = max(1, max_tokens // width)
        caches, hidden = [], []
        for start in range(0, len(prompts), per_run):
            part = slice(start, start + per_run)
            cache = DynamicCache(config=self.policy.core.config.get_text_config())
            out = self.policy.core.model(
                input_ids=batch.ids[part],
                attention_mask=None if batch.mask is None else batch.mask[part],
                position_ids=batch.positions[..., part, :],
                mm_encoder_outputs=self.policy.vision_outputs(prompts[part]),
                past_key_values=cache,
                use_cache=True,
            )
            hidden.append(out.last_hidden_state[:, -1])
            caches.append(cache)
        self.cache = roomy_cache(caches, group_size, self.sampling.max_new_tokens)
        self.logits = self.head(torch.cat(hidden)).repeat_interleave(group_size, 0)
        self.mask = None if batch.mask is None else batch.mask.repeat_interleave(group_size, 0)
        first = torch.tensor([next_position(p, mrope) for p in prompts], device=self.device)
        self.position = first.repeat_interleave(group_size)
        self.alive = list(range(len(self.rows)))

    def run(self) -> Iterator[list[int]]:
        """Decodes until every row has ended or is `max_new_tokens` long; yields rows that ended."""
        done: set[int] = set()
        for step in range(self.sampling.max_new_tokens):
            before = set(done)
            tokens = self._choose(step, done)
            if step + 1 == self.sampling.max_new_tokens:
                yield [row for b, row in enumerate(self.alive) if b not in before]
                return
            if done != before:
                yield [self.alive[b] for b in sorted(done - before)]
            if len(done) == len(self.alive):
                return
            if len(done) >= LEAVE_SHARE * len(self.alive):
                tokens = self._leave(done, tokens)
                done = set()
            self._forward(tokens)

    def _choose(self, step: int, done: set[int]) -> torch.Tensor:
        """Samples the next token of every living row, records it, adds ended rows to `done`."""
        scores = self.space.truncate(self.space.scores(self.logits))
        if self.uniforms is None:
            tokens = scores.argmax(-1)
        else:
            tokens = draw(scores, self.uniforms[:, step])
        logps = (scores.gather(1, tokens[:, None])[:, 0] - scores.logsumexp(-1)).tolist()
        ids = tokens.tolist()
        cut = (scores > NOWHERE).cpu() if self.space.truncates else None
        for b, (row, token, logp) in enumerate(zip(self.alive, ids, logps, strict=True)):
            if b in done:
                continue
            self.ids[row].append(token)
            self.logps[row].append(logp)
            if cut is not None:
                self.kept[row].append(tuple(cut[b].nonzero()[:, 0].tolist()))
            if token in self.eos:
                self.stops[row] = StopReason.EOS
                done.add(b)
            elif self.sampling.stop and self._stopped(row):
                self.stops[row] = StopReason.STOP_TEXT
                done.add(b)
        return tokens

    def _stopped(self, row: int) -> bool:
        """Whether a stop text was just completed; a window covers four bytes a character."""
        window = 4 * max(map(len, self.sampling.stop)) + 4
        text = self.policy.decode(self.ids[row][-window:])
        return any(stop in text for stop in self.sampling.stop)

    def _leave(self, done: set[int], tokens: torch.Tensor) -> torch.Tensor:
        """Drops ended rows from cache, mask, positions and random numbers."""
        stay = [b for b in range(len(self.alive)) if b not in done]
        self.alive = [self.alive[b] for b in stay]
        index = torch.tensor(stay, device=self.device)
        self.cache.batch_select_indices(index)
        self.position = self.position[index]
        if self.mask is not None:
            self.mask = self.mask[index]
        if self.uniforms is not None:
            self.uniforms = self.uniforms[index.to(self.uniforms.device)]
        return tokens[index]

    def _forward(self, tokens: torch.Tensor) -> None:
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)
        position = self.position[:, None]
        out = self.policy.core.model(
            input_ids=tokens[:, None],
            attention_mask=self.mask,
            position_ids=position.expand(3, -1, -1) if self.policy.family.mrope else position,
            past_key_values=self.cache,
            use_cache=True,
        )
        self.position = self.position + 1
        self.logits = self.head(out.last_hidden_state[:, -1])
