"""A task: a question form with a prompt, a parser, rewards, a measure and a gold answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from mmrl.parse.completion import parse_completion
from mmrl.registry import Registry
from mmrl.rewards.builtin import FORMAT
from mmrl.roles import Reward
from mmrl.tasks.overlay import Draws
from mmrl.types import Parsed, Rollout, Sample

Measure = Callable[[Rollout, Sample], float | None]

SMALL_FORMAT: Reward = replace(FORMAT, weight=0.2)
"""The format part of built-in tasks: enough to restore lost tags, worth less than an answer."""


World = Callable[..., Sample]
"""`world(index, *, split, seed, **options)` draws sample number `index` of a split: the same
arguments, the same sample, byte for byte. Splits are disjoint in their sources; indices are
unbounded; the options are the keyword-only parameters that the world declares."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is asked, how it is answered and how an answer is judged.

    `template` holds `{question}` once. `score` is the task's own measure in [0, 1], the same for
    every method; `outcome = score >= threshold`. `gold(sample)` is the reference answer in the
    demanded form: it earns every reward's maximum, and an empty completion the minimum
    (`mmrl check` asserts both for every row it reads).
    """

    name: str
    template: str
    rewards: tuple[Reward, ...]
    score: Measure
    gold: Callable[[Sample], str]
    threshold: float = 0.5
    parse: Callable[[str], Parsed] = parse_completion
    measures: Mapping[str, Measure] = field(default_factory=lambda: MappingProxyType({}))
    """Further measures that evaluation reports, beside `score`."""
    weight: Callable[[Sample], float] | None = None
    """Weight of a sample where a benchmark weighs its questions: evaluation adds
    `weighted_<score_name>`, Σ weight · score / Σ weight over the samples of the task."""
    score_name: str = "score"
    """What evaluation calls `score` ("iou", "accuracy", …)."""
    world: World | None = None
    world_options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    levels: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: MappingProxyType({"default": MappingProxyType({})})
    )
    """Named settings of the world, easy first: the options of each. Tests, `mmrl show TASK --to`
    and `mmrl bench worlds` go through all of them."""
    overlay: Draws | None = None
    """What answers and references draw on the media (boxes, points, spans, routes), for whoever
    looks at rollouts; None draws nothing."""

    def messages(self, sample: Sample) -> tuple[Mapping[str, Any], ...]:
        """The chat messages of a sample: its media in order, then the filled template."""
        content: list[Mapping[str, Any]] = [{"type": m.kind, "media": m} for m in sample.media]
        text = self.template.replace("{question}", sample.question)
        content.append({"type": "text", "text": text})
        return ({"role": "user", "content": tuple(content)},)


def levels_of(
    option: str, names: Iterable[str], *, listed: bool = False
) -> Mapping[str, Mapping[str, Any]]:
    """`Task.levels` of a world that has an option for its level (`listed`: it takes several)."""
    return MappingProxyType(
        {name: MappingProxyType({option: (name,) if listed else name}) for name in names}
    )


TASKS: Registry[Task] = Registry(
    "task",
    builtin=(
        "mmrl.tasks.grounding",
        "mmrl.tasks.grounding_many",
        "mmrl.tasks.grounding_rows",
        "mmrl.tasks.gui",
        "mmrl.tasks.gui_rows",
        "mmrl.tasks.gui_screen",
        "mmrl.tasks.temporal",
        "mmrl.tasks.choice",
        "mmrl.tasks.answer_kinds",
        "mmrl.tasks.preference",
        "mmrl.tasks.text",
        "mmrl.tasks.transit.task",
        "mmrl.tasks.chart",
    ),
)


def register_task(task: Task) -> Task:
    """Adds a task to the registry under its name."""
    return TASKS.add(task.name, task)
