"""The doors to models that plans, probes and evaluation go through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from mmrl.config.schema import RolloutConfig
from mmrl.errors import MediaError, PolicyError
from mmrl.rewards.programs import close_sandboxes
from mmrl.rollout.hf import Sampling
from mmrl.tasks.base import TASKS
from mmrl.types import Group, Prompt, Rollout, Sample


class Doors:
    """The policy, its sampler, and the way from a sample to its prompt.

    `bad_samples` names samples that could not become prompts, with the reason.
    """

    def __init__(
        self,
        policy: Any,
        sampler: Any,
        rollout: RolloutConfig,
        *,
        seed: int,
        media: Any = None,
        isolated: Any = None,
    ) -> None:
        self.policy, self.sampler, self.seed = policy, sampler, seed
        self.media, self.isolated = media, isolated
        self.sampling = Sampling(
            max_new_tokens=rollout.max_new_tokens,
            temperature=rollout.temperature,
            top_k=rollout.top_k,
            top_p=rollout.top_p,
            stop=rollout.stop,
        )
        self.bad_samples: dict[str, str] = {}
        self.on_group: Callable[[Group], None] | None = None
        """Told of each group of a plain plan as soon as its last rollout has ended."""
        self._prompts: dict[int, tuple[Sample, Prompt]] = {}

    def encode(self, sample: Sample) -> Prompt:
        """The prompt of a sample; the same object while the sample is in use (`forget` ends it).

        Raises MediaError or PolicyError when the sample cannot be a prompt.
        """
        known = self._prompts.get(id(sample))
        if known is not None and known[0] is sample:
            return known[1]
        messages = TASKS.get(sample.task).messages(sample)
        prompt = self.policy.encode(messages, name=sample.id)
        self._prompts[id(sample)] = (sample, prompt)
        return prompt

    @contextmanager
    def at_temperature(self, temperature: float) -> Iterator[None]:
        """Inside, plans sample at this temperature in place of the recipe's."""
        held = self.sampling
        self.sampling = replace(held, temperature=temperature)
        try:
            yield
        finally:
            self.sampling = held

    def prefetch(self, samples: Sequence[Sample]) -> None:
        """Starts reading the media of samples to come; pictures in memory are read when needed.

        What cannot be planned is left alone: it is reported when its sample is drawn.
        """
        if self.media is None or not self.media.pool.workers:
            return
        for sample in samples:
            if not any(m.kind == "video" or m.path is not None for m in sample.media):
                continue
            messages = TASKS.get(sample.task).messages(sample)
            try:
                plan = self.policy.plan(messages, name=sample.id)
            except (MediaError, PolicyError):
                continue
            self.media.prefetch(zip(plan.refs, plan.sizes, strict=True))

    def forget(self) -> None:
        """Drops prompts (and their pixels) of the step that ended."""
        self._prompts.clear()
        memory = getattr(self.policy, "vision_memory", None)
        if memory is not None:
            memory.forget()

    def reward_figures(self) -> dict[str, float]:
        """Means of the further figures that users' rewards returned in this step."""
        figures = {} if self.isolated is None else self.isolated.figures()
        return {f"logged/{name}": value for name, value in figures.items()}

    def close(self) -> None:
        """Ends the worker processes of media, of rewards and of programs that rewards run."""
        close_sandboxes()
        for part in (self.media, self.isolated):
            if part is not None:
                part.close()

    def report_bad(self, sample: Sample, error: Exception) -> None:
        """Keeps the reason of a sample that was left out."""
        self.bad_samples.setdefault(sample.id, str(error))

    def sample(
        self,
        samples: Sequence[Sample],
        prompts: Sequence[Prompt],
        *,
        seeds: Sequence[Sequence[int]],
        temperature: float,
        policy_step: int,
        finished: Callable[[int, Sequence[Rollout]], None] | None = None,
    ) -> list[list[Rollout]]:
        """len(seeds[i]) rollouts of each prompt, parsed by the sample's own task.

        `finished(i, rollouts)` is told of a prompt's rollouts while others are being written.
        """
        own: dict[str, Any] = {}
        if finished is not None:
            own["finished"] = lambda i, found: finished(i, _parsed(samples[i], found))
        sampled = self.sampler.sample(
            prompts,
            group_size=len(seeds[0]) if seeds else 0,
            seeds=seeds,
            sampling=replace(self.sampling, temperature=temperature),
            policy_step=policy_step,
            **own,
        )
        return [_parsed(sample, found) for sample, found in zip(samples, sampled, strict=True)]


def _parsed(sample: Sample, rollouts: Sequence[Rollout]) -> list[Rollout]:
    parse = TASKS.get(sample.task).parse
    return [replace(r, parsed=parse(r.text)) for r in rollouts]
