"""A second answer under the same reasoning, with the options in another order (ACRE, 2510.10104).

The question is asked again with its options deranged (none keeps its letter), the rollout's own
reasoning stands before the open answer tag, and the policy writes the answer anew. Letters that
the reasoning names are relabelled by the new order, masked, or left as they are.

Departures: the paper lets an order be the identity; ours never is. Its policy may be right by luck
where the reasoning says "so B": `letters` relabels by default. All rollouts of a group are asked
under the same orders. The answer is read greedily unless a temperature is given (not printed).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmrl.errors import ConfigError
from mmrl.parse.options import Order, derangement, masked, relabelled
from mmrl.rewards.choice_consistency import SecondAnswer, SecondLook, content_of
from mmrl.rollout.hf import Sampling
from mmrl.seeds import seed_of
from mmrl.tasks.base import TASKS
from mmrl.tasks.choice_options import options_of, reordered
from mmrl.types import Clock, Group, Prompt, Rollout

Letters = Literal["relabel", "mask", "keep"]
NUM_DERANGEMENTS = (1, 0, 1, 2, 9, 44, 265)
"""Of 0, 1, 2, … options; more than any wish for passes beyond that."""
CLOSE = "</answer>"
_TRIES = 200
"""Orders drawn in the search for distinct ones: more than enough for nine of nine."""


@dataclass(frozen=True)
class _Asked:
    """One answer to be written: of rollout g of group i, in look k."""

    group: int
    rollout: int
    look: int
    prompt: Prompt
    seed: int


@dataclass(frozen=True, kw_only=True)
class SecondPass:
    """The probe; provides `SecondAnswer` for every rollout.

    `passes` orders a group, all different (fewer where the options have fewer derangements).
    `max_new_tokens` bounds the answer that is written.
    """

    passes: int = 1
    letters: Letters = "relabel"
    temperature: float = 0.0
    max_new_tokens: int = 16
    provides: type = SecondAnswer

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise ConfigError(f"second pass: passes = {self.passes}, wanted at least 1")

    def __call__(
        self, groups: Sequence[Group], models: Any, clock: Clock, /
    ) -> list[list[SecondAnswer]]:
        orders = [self._orders(group, models.seed) for group in groups]
        texts: dict[tuple[int, int, int], str] = {}
        for k in range(self.passes):  # one after the other: pixels of one pass are held at a time
            asked = [
                one
                for i, group in enumerate(groups)
                if k < len(orders[i])
                for one in self._ask(i, group, k, orders[i][k], models)
            ]
            texts |= self._answers(asked, models, clock)
        return [
            [self._evidence(group, i, g, orders[i], texts) for g in range(len(group))]
            for i, group in enumerate(groups)
        ]

    def _orders(self, group: Group, seed: int) -> list[Order]:
        """Distinct derangements for the group's options; [] where they cannot be reordered."""
        size = len(options_of(group.sample))
        if size < 2 or reordered(group.sample, tuple(range(size))) is None:
            return []
        known = NUM_DERANGEMENTS[size] if size < len(NUM_DERANGEMENTS) else self.passes
        wanted, found = min(self.passes, known), dict[Order, None]()
        for k in range(_TRIES):
            if len(found) == wanted:
                break
            found[derangement(size, seed_of(seed, "second_pass", group.draw_id, k))] = None
        return list(found)

    def _ask(self, i: int, group: Group, k: int, order: Order, models: Any) -> list[_Asked]:
        changed = reordered(group.sample, order)
        assert changed is not None, "orders are only made for samples that can be reordered"
        messages = TASKS.get(changed.task).messages(changed)
        prompt = models.policy.encode(messages, name=changed.id)
        options = options_of(group.sample)
        out = []
        for g, rollout in enumerate(group.rollouts):
            before = self._before_answer(rollout, options, order)
            if before is not None:
                ids = models.policy.encode_text(before)
                seed = seed_of(models.seed, "second_pass", group.draw_id, k, g)
                out.append(_Asked(i, g, k, models.policy.extend(prompt, ids), seed))
        return out

    def _before_answer(self, rollout: Rollout, options: Sequence[str], order: Order) -> str | None:
        """What the answer is written behind: the reasoning, its tags and the open answer tag.

        White space between the tags is the rollout's own. None without a reasoning.
        """
        parsed = rollout.parsed
        if parsed.reasoning_span is None:
            return None
        start, end = parsed.reasoning_span
        reasoning = rollout.text[start:end]
        if self.letters == "relabel":
            reasoning = relabelled(reasoning, options, order)
        elif self.letters == "mask":
            reasoning = masked(reasoning, options)
        between = "</think><answer>"
        if parsed.answer_span is not None:
            own = rollout.text[end : parsed.answer_span[0]]
            between = own if "".join(own.split()) == between else between
        return f"<think>{reasoning}{between}"

    def _answers(
        self, asked: Sequence[_Asked], models: Any, clock: Clock
    ) -> dict[tuple[int, int, int], str]:
        """What is written for each; greedily, equal contexts are asked once."""
        unique: dict[object, _Asked] = {}
        of: list[object] = []
        for one in asked:
            same = (one.group, one.look, one.prompt.token_ids, self.temperature and one.seed)
            unique.setdefault(same, one)
            of.append(same)
        if not unique:
            return {}
        rollouts = models.sampler.sample(
            [one.prompt for one in unique.values()],
            group_size=1,
            seeds=[[one.seed] for one in unique.values()],
            sampling=Sampling(
                max_new_tokens=self.max_new_tokens, temperature=self.temperature, stop=(CLOSE,)
            ),
            policy_step=clock.step,
        )
        texts = {
            key: rollout.text.partition(CLOSE)[0]
            for key, (rollout,) in zip(unique, rollouts, strict=True)
        }
        return {
            (one.group, one.rollout, one.look): texts[key]
            for one, key in zip(asked, of, strict=True)
        }

    def _evidence(
        self,
        group: Group,
        i: int,
        g: int,
        orders: Sequence[Order],
        texts: Mapping[tuple[int, int, int], str],
    ) -> SecondAnswer:
        options = options_of(group.sample)
        looks = []
        for k, order in enumerate(orders):
            text = texts.get((i, g, k), "")
            shown = tuple(options[old] for old in order)
            looks.append(SecondLook(order=order, text=text, content=content_of(text, shown)))
        own = content_of(group.rollouts[g].parsed.answer or "", options)
        return SecondAnswer(content=own, looks=tuple(looks))
