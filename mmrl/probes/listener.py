"""A listener reads reasoning without its verdict and says how probable it finds each candidate.

`ListenerProbe` asks it about every well-formed rollout, with the pair in both orders, and gives the
evidence of Listener-Rewarded Thinking (arXiv 2506.22832). `LocalListener` asks a frozen companion;
`mmrl.probes.listener_server.ServerListener` any OpenAI-compatible server.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mmrl.errors import MethodError, PolicyError
from mmrl.parse.pairs import relabelled, without_verdict
from mmrl.parse.verdicts import PairVerdict, verdict_text
from mmrl.probes.likelihood import Lent, Row, row_logps
from mmrl.rewards.listener import ListenerConfidence, is_heard
from mmrl.rewards.preference import PREFERENCE, gold_verdict
from mmrl.roles import Models
from mmrl.tasks.base import TASKS
from mmrl.tasks.swap import swapped
from mmrl.types import Clock, Group, Prompt, Rollout, Sample

Mask = Literal["verdict", "nothing"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """What a listener is asked: a pair in one order, with reasoning about it."""

    sample: Sample
    reasoning: str
    options: tuple[str, str]
    """The two verdicts, as an answer says them."""
    prompt: Prompt | None = None
    """The policy's own prompt of the sample, where there is one."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Log-probabilities of the two options, up to a constant; or why there are none."""

    scores: tuple[float, float] | None
    failure: str = ""


class Listener(Protocol):
    """Answers questions; a failure is a reply, not an exception."""

    def __call__(self, questions: Sequence[Question], models: Models, /) -> Sequence[Reply]: ...


class ListenerProbe:
    """Evidence `ListenerConfidence` of every rollout.

    `mask` "verdict" takes the sentences out of the reasoning that say which is better ("nothing"
    leaves them: the answer itself is never shown). Both orders are asked and averaged unless
    `both_orders` is off; in the second one the labels in the reasoning are exchanged as well.
    `temperature` divides the listener's scores (`fit_temperature` finds it on labelled pairs).
    Malformed rollouts, and reasoning that is nothing but the verdict, are not asked about. (No
    dataclass: see `LikelihoodProbe`.)
    """

    provides = ListenerConfidence

    def __init__(
        self,
        listener: Listener,
        *,
        both_orders: bool = True,
        mask: Mask = "verdict",
        temperature: float = 1.0,
    ) -> None:
        if not 0.0 < temperature < math.inf:
            raise MethodError(f"the listener's temperature is above 0, got {temperature}")
        if mask not in ("verdict", "nothing"):
            raise MethodError(f'the listener masks "verdict" or "nothing", not "{mask}"')
        self.listener, self.both_orders, self.mask = listener, both_orders, mask
        self.temperature = temperature

    def __call__(
        self, groups: Sequence[Group], models: Models, clock: Clock, /
    ) -> list[list[ListenerConfidence]]:
        asked: list[Question] = []
        texts = {id(r): self._text(r) for group in groups for r in group.rollouts}
        pairs = [group for group in groups if _is_pair(group.sample)]
        for turned in (False, True) if self.both_orders else (False,):
            for group in pairs:
                sample = swapped(group.sample) if turned else group.sample
                asked += [
                    self._question(r, texts[id(r)], sample, turned)
                    for r in group.rollouts
                    if texts[id(r)]
                ]
        replies = list(self.listener(asked, models))
        num = len(replies) // (2 if self.both_orders else 1)
        made = iter([self._evidence(replies[i::num]) for i in range(num)])
        return [
            [next(made) if texts[id(rollout)] else NOT_HEARD for rollout in group.rollouts]
            if _is_pair(group.sample)
            else [NO_PAIR] * len(group)
            for group in groups
        ]

    def _text(self, rollout: Rollout) -> str:
        """What the listener reads; "" where there is nothing to be heard."""
        if not is_heard(rollout):
            return ""
        text = rollout.parsed.reasoning or ""
        return without_verdict(text) if self.mask == "verdict" else text

    def _question(self, rollout: Rollout, text: str, sample: Sample, turned: bool) -> Question:
        gold = gold_verdict(sample)
        options = (verdict_text(PairVerdict(gold.noun, 0)), verdict_text(PairVerdict(gold.noun, 1)))
        return Question(
            sample=sample,
            reasoning=relabelled(text) if turned else text,
            options=options,
            prompt=None if turned else rollout.prompt,
        )

    def _evidence(self, replies: Sequence[Reply]) -> ListenerConfidence:
        failed = [r.failure for r in replies if r.scores is None]
        if failed:
            return ListenerConfidence(probabilities=None, failure=failed[0])
        orders = [probabilities(r.scores, self.temperature) for r in replies if r.scores]
        orders = [p if i == 0 else (p[1], p[0]) for i, p in enumerate(orders)]
        first = sum(p[0] for p in orders) / len(orders)
        return ListenerConfidence(probabilities=(first, 1.0 - first), by_order=tuple(orders))


NOT_HEARD = ListenerConfidence(probabilities=None, heard=False)
NO_PAIR = ListenerConfidence(
    probabilities=None, failure='no pair: the reward "preference" is not among those of its task'
)
"""In a mixture of tasks: for these the listener's reward does not apply."""


def _is_pair(sample: Sample) -> bool:
    return any(reward.name == PREFERENCE.name for reward in TASKS.get(sample.task).rewards)


def probabilities(scores: tuple[float, float], temperature: float = 1.0) -> tuple[float, float]:
    """softmax(scores / temperature) of the two."""
    gap = max(-700.0, min(700.0, (scores[1] - scores[0]) / temperature))
    second = 1.0 / (1.0 + math.exp(-gap))
    return 1.0 / (1.0 + math.exp(gap)), second


def fit_temperature(
    scores: Sequence[tuple[float, float]], labels: Sequence[int], *, most: float = 100.0
) -> float:
    """The temperature in [1 / most, most] under which labelled pairs are most likely.

    Minimises the mean of -log p(label), which is convex in 1 / temperature, by halving an interval
    around the zero of its slope (Guo et al., arXiv 1706.04599).
    """
    if not scores or len(scores) != len(labels):
        raise MethodError(f"{len(scores)} scores and {len(labels)} labels: one label a pair")
    gaps = [(s[label] - s[1 - label]) for s, label in zip(scores, labels, strict=True)]

    def slope(beta: float) -> float:
        return -sum(g / (1.0 + math.exp(max(-700.0, min(700.0, beta * g)))) for g in gaps)

    low, high = 1.0 / most, most
    if slope(low) >= 0.0:
        return most
    if slope(high) <= 0.0:
        return 1.0 / most
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0.0 else (low, middle)
    return 1.0 / math.sqrt(low * high)


def ask_messages(question: Question) -> tuple[Mapping[str, Any], ...]:
    """The pictures, the question, the reasoning and the two possible answers, as one turn.

    For a listener that was not trained on the task's own form.
    """
    first, second = question.options
    text = (
        f"{question.sample.question}\nSomebody thought about this as follows:\n"
        f"{question.reasoning}\nWhich is it? Answer with {first} or {second} and nothing else."
    )
    media: list[Mapping[str, Any]] = [{"type": m.kind, "media": m} for m in question.sample.media]
    return ({"role": "user", "content": (*media, {"type": "text", "text": text})},)


class LocalListener:
    """Asks a lent model (`Frozen()`, `Frozen(path)`, an `Ema`) in one packed pass.

    "continue" puts the reasoning into its own turn, `<think>…</think><answer>`, and compares the
    two answers that may follow: for models trained on the task. "ask" quotes the reasoning in the
    user's turn: for any instruction-tuned model. A score is the sum of the log-probs of the tokens
    by which an option differs from the other.
    """

    def __init__(
        self,
        model: Lent,
        *,
        style: Literal["continue", "ask"] = "continue",
        tokens_per_pack: int = 16384,
    ) -> None:
        if style not in ("continue", "ask"):
            raise MethodError(f'a listener\'s style is "continue" or "ask", not "{style}"')
        self.model, self.style, self.tokens_per_pack = model, style, tokens_per_pack

    def __call__(self, questions: Sequence[Question], models: Models, /) -> list[Reply]:
        with self.model.applied(models) as policy:
            own = policy is models.policy
            prompts: dict[int, Prompt] = {}
            rows: list[Row] = []
            starts: list[int] = []
            for q in questions:
                prompt = self._prompt(q, policy, own, prompts)
                before, after = "", ""
                if self.style == "continue":
                    before, after = f"<think>{q.reasoning}</think><answer>", "</answer>"
                ids, start = option_ids(policy, before, q.options, after)
                rows += [Row(prompt=prompt, token_ids=x, name=q.sample.id) for x in ids]
                starts += [start, start]
            logps = row_logps(policy, rows, tokens_per_pack=self.tokens_per_pack)
        scores = [math.fsum(row[start:]) for row, start in zip(logps, starts, strict=True)]
        return [Reply(scores=pair) for pair in zip(scores[::2], scores[1::2], strict=True)]

    def _prompt(self, q: Question, policy: Any, own: bool, prompts: dict[int, Prompt]) -> Prompt:
        """The prompt of a question; one serves all rollouts of a sample in one order."""
        if self.style == "ask":
            return policy.encode(ask_messages(q), name=q.sample.id)
        if own and q.prompt is not None:
            return q.prompt
        key = id(q.sample)
        if key not in prompts:
            messages = TASKS.get(q.sample.task).messages(q.sample)
            prompts[key] = policy.encode(messages, name=q.sample.id)
        return prompts[key]


def option_ids(
    policy: Any, before: str, options: tuple[str, str], after: str
) -> tuple[list[tuple[int, ...]], int]:
    """Token ids of `before` + option for both options, and the first place where they differ.

    Each ends with its option; where one option then begins like the other ("1", "10"), the tokens
    of `after` are scored too.
    """
    ids, ends = [], []
    for option in options:
        text = before + option + after
        own = tuple(policy.encode_text(text))
        ids.append(own)
        ends.append(sum(at < len(before) + len(option) for at in policy.offsets(own)))
    cut = [own[:end] for own, end in zip(ids, ends, strict=True)]
    shorter = min(map(len, cut))
    if cut[0][:shorter] == cut[1][:shorter]:
        cut = ids
    start = next((t for t, (a, b) in enumerate(zip(*cut, strict=False)) if a != b), None)
    if start is None:
        raise PolicyError(
            f"the options {options[0]!r} and {options[1]!r} have the same tokens: the listener's "
            "tokenizer cannot tell them apart"
        )
    return cut, start
