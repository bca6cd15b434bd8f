"""How samples of every registered reward are made: by the tasks that use it.

A new reward needs nothing here where a task with a world uses it. Otherwise a test fails that
names the table to add to: `ALSO` (tasks that it judges without being among their rewards), `MORE`
(options of a world that make it apply), `ROWS` (samples of a task without a world), `FORMS` (the
marks around an answer), `MADE` (samples with gold by hand), `EVIDENCE` (what probes give).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from builders import CLOCK
from hypothesis import strategies as st
from PIL import Image

from mmrl.parse.actions import parse_action_completion
from mmrl.parse.boxed import parse_boxed
from mmrl.parse.completion import parse_completion
from mmrl.parse.fenced import parse_fenced
from mmrl.parse.routes import parse_map_answer
from mmrl.rewards.builtin import REWARDS
from mmrl.rewards.choice_consistency import SecondAnswer, SecondLook
from mmrl.rewards.listener import ListenerConfidence
from mmrl.rewards.registry import check_value
from mmrl.roles import Reward
from mmrl.tasks.base import TASKS, Task
from mmrl.types import MediaInfo, Prompt, Rollout, Sample, Segment, StopReason

PER_LEVEL = 4
SIZE = (640, 480)

MORE: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "transit": (
        {"template": "long_list", "questions": ("planning",)},
        {"template": "long_count", "questions": ("planning",)},
    ),
}
"""Options of a world, beside its levels, that are looked at as well."""

ALSO: Mapping[str, tuple[str, ...]] = {
    "box_giou": ("digit_box", "shape_box", "grounding"),
    "boxes_iou": ("digit_box", "letter_box", "grounding"),
    "choices_exact": ("clip_choices", "choices"),
    "choices_f1": ("clip_choices", "choices"),
    "consistency": ("picture_choice", "tinted_choice", "clip_order", "choice"),
    "near_number": ("number",),
    "rounded_number": ("number",),
    "rouge": ("plain_text",),
    "transcript": ("plain_text",),
    "listener": ("picture_pair", "answer_pair", "scored_pair"),
    "box_iou_50": ("digit_box", "gui_box", "grounding"),
    "box_size": ("digit_box", "gui_box", "grounding"),
    "box_l1": ("digit_box", "gui_box", "grounding"),
    "box_format": ("digit_box", "many_box", "grounding"),
    "near": ("gui_point", "shape_point"),
    "span_format": ("digit_span", "temporal"),
    "fresh": ("digit_box", "plain_text"),
    "bleu": ("plain_text", "text"),
    "grounded_format": ("grounded_count",),
    "count_agreement": ("grounded_count",),
    "things": ("detection",),
    "box_confidence": ("detection",),
}
"""Rewards for recipes to choose -> the tasks, not using them themselves, that they can judge."""

_MAP = {"red": ["A", "B", "C", "D"], "blue": ["C", "E", "F"]}
_LEG = {"route_name": "red", "departure_stop": "A", "arrival_stop": "D", "via_stops": ["B", "C"]}

ROWS: Mapping[str, tuple[tuple[Any, Mapping[str, Any]], ...]] = {
    "grounding": (
        ((12.5, 3, 200.25, 90), {"coord_space": "abs_original"}),
        ([0.1, 0.2, 0.3, 0.45], {"coord_space": "norm_1"}),
        ([100, 20, 300, 450], {"coord_space": "norm_1000"}),
    ),
    "boxes": (
        ([[12.5, 3, 200.25, 90], [300, 5, 310, 25]], {"coord_space": "abs_original"}),
        ("[[1, 2, 3, 4]]", {"coord_space": "norm_1000"}),
    ),
    "pointing": (
        ([120.5, 30], {"coord_space": "abs_original"}),
        ([100, 20, 300, 450], {"coord_space": "norm_1000"}),
    ),
    "detection": (
        (
            [{"bbox_2d": [1, 2, 30, 40], "label": "cat"}, {"bbox_2d": [50, 60, 80.5, 99]}],
            {"coord_space": "abs_original"},
        ),
        ([{"bbox_2d": [1, 2, 30, 40], "point_2d": [9, 9]}], {"coord_space": "norm_1000"}),
        ("none", {"coord_space": "abs_original"}),
    ),
    "boxed_count": ((3, {}), (1, {"boxes": [[1, 2, 30, 40]]}), ("0", {})),
    "gui": (
        ([1207.5, 1024.25, 1351.5, 1080], {"coord_space": "abs_original"}),
        ([0.1, 0.2, 0.3, 0.45], {"coord_space": "norm_1"}),
    ),
    "gui_fast": (
        ([107.5, 24.25, 151.5, 80], {"coord_space": "abs_original"}),
        ([100, 20, 300, 450], {"coord_space": "norm_1000"}),
    ),
    "gui_action": (
        ({"action": "CLICK", "value": None, "position": [0.5, 0.25]}, {}),
        ({"action": "TYPE", "value": "abc", "position": None}, {}),
    ),
    "temporal": (([0.123456789, 61.5], {}), ([3, 4], {})),
    "choice": (("C", {}), ("A", {"name": "cat"})),
    "choices": (("A,C", {}), ("B", {}), ("B,C,D", {"name": "cats"})),
    "answer_kinds": (
        ("B", {"problem_type": "multiple choice"}),
        (42.5, {"problem_type": "numerical"}),
        ("Hello wide world", {"problem_type": "OCR"}),
        ("a red car", {"problem_type": "free-form"}),
        ("0", {"problem_type": "regression"}),
    ),
    "preference": (("A", {}), ("B", {"answers": ["a cat", "a dog"]})),
    "preference_scores": (("Image 1 is better", {}), ("Answer 2 is better", {}), ("B", {})),
    "number": ((-1234.5678901, {}), (0, {}), ("12", {})),
    "text": ((["Blue Whale", "whale"], {}), ("dog", {})),
    "reasonmap": (
        ([_LEG], {"lines": _MAP, "template": "short"}),
        ([_LEG], {"lines": _MAP, "template": "long_list"}),
        ("yes", {"lines": _MAP}),
        (3, {"lines": _MAP}),
    ),
}
"""Task without a world -> (target, meta) of its samples."""


_THINGS = [
    {"bbox_2d": [10, 20, 50, 60], "point_2d": [30, 40], "label": "cat"},
    {"bbox_2d": [100, 20, 180, 90], "point_2d": [140, 60], "label": "dog"},
]
_SURE = json.dumps([{**thing, "confidence": 1.0} for thing in _THINGS])
_CLICK = {"action": "CLICK", "position": [0.25, 0.5]}

MADE: Mapping[str, tuple[tuple[Any, Mapping[str, Any], str], ...]] = {
    **dict.fromkeys(
        ("things", "detection", "box_confidence"),
        (
            (_THINGS, {"coord_space": "abs_original"}, _SURE),
            (_SURE[: _SURE.index("}, {")] + "}]", {"coord_space": "abs_original"}, ""),
            ("none", {"coord_space": "abs_original"}, "none"),
        ),
    ),
    **dict.fromkeys(
        ("action_kind", "action_place"),
        ((_CLICK, {}, json.dumps(_CLICK)), ({"action": "ENTER"}, {}, '{"action": "ENTER"}')),
    ),
}
"""Rewards for data sets whose task is not built in -> (target, meta, gold answer or "" for the
target itself), asked and answered as `text` is."""


class Form(NamedTuple):
    """What stands around an answer, and whether other text may stand before the whole."""

    open: str
    close: str
    prefix: bool
    one_of_each: str
    """A well-formed completion around `{}`."""


_TAGS = Form("<answer>", "</answer>", True, "<think>so</think><answer>{}</answer>")
FORMS: Mapping[Callable[..., Any], Form] = {
    parse_completion: _TAGS,
    parse_map_answer: _TAGS,
    parse_action_completion: Form(
        "<action>", "</action>", True, "<think>so</think><action>{}</action>"
    ),
    parse_fenced: Form("\n```json\n", "\n```", False, "```json\n{}\n```"),
    parse_boxed: Form("\\boxed{", "}", False, "<DIRECT> \\boxed{{{}}}"),
}
"""Parser of a task -> the marks around an answer."""


def _second_answers(sample: Sample) -> st.SearchStrategy[SecondAnswer]:
    """Any further answers to a question with options; none to one without."""
    options = tuple(sample.meta.get("options", ()))
    order = st.permutations(range(len(options))).map(tuple)
    content = st.sampled_from([None, *options])
    look = st.builds(SecondLook, order=order, text=st.text(max_size=4), content=content)
    looks = st.lists(look, max_size=3 if options else 0).map(tuple)
    return st.builds(SecondAnswer, content=content, looks=looks)


def _listened(sample: Sample) -> st.SearchStrategy[ListenerConfidence]:
    """Any probability of the first candidate, or a failure."""
    failed = ListenerConfidence(probabilities=None, failure="timeout: none")
    made = st.floats(0, 1).map(lambda p: ListenerConfidence(probabilities=(p, 1.0 - p)))
    return st.one_of(made, st.just(failed), st.just(replace(failed, heard=False)))


EVIDENCE: Mapping[type, Callable[[Sample], st.SearchStrategy[Any]]] = {
    SecondAnswer: _second_answers,
    ListenerConfidence: _listened,
}
"""Evidence that a reward needs -> any of it, for a sample."""

WHOLE_TEXT: Mapping[str, str] = {
    "format": "judges the marks, not what is inside",
    "chart_decision": "the way is named by the first word; half for the way alone (eq. 3)",
    "chart_data": "reads the program, which stands before the answer",
    "chart_format": "judges the marks, not what is inside",
    "pair_scores": "reads the scores, which stand in the reasoning",
    "pair_agrees": "compares the answer with the scores in the reasoning",
    "listener": "the listener's belief, 0 where the marks are not well-formed",
    "box_format": "judges the marks as well",
    "span_format": "judges the marks as well",
    "grounded_format": "wants boxes in the reasoning",
    "count_agreement": "counts the boxes of the reasoning",
    "fresh": "counts what is repeated anywhere",
}
"""Rewards that read more of a completion than its answer, and why."""

WITHOUT_GOLD: Mapping[str, str] = {
    "format": "judges the marks, not what is inside",
    "chart_format": "judges the marks, not what is inside",
    "pair_scores": "judges whether the scores add up",
    "pair_agrees": "judges whether the verdict is that of the scores",
    "box_format": "judges whether there are boxes and nothing else",
    "span_format": "judges whether there is a span and nothing else",
    "grounded_format": "judges whether the reasoning holds a box",
    "fresh": "counts what is repeated",
}
"""Rewards that read no reference answer, and why."""

ANY_ANSWER: Mapping[str, str] = {
    **WITHOUT_GOLD,
    "count_agreement": "wants as many boxes as there are, whatever is answered",
}
"""Rewards that a well-formed wrong answer may earn in full, and why."""


class Case(NamedTuple):
    """One sample with what judges it."""

    task: Task
    reward: Reward
    sample: Sample
    gold: str

    def value(self, text: str, evidence: Mapping[type, Any] | None = None) -> float | None:
        rollout = said(text, self.task, self.sample)
        got = self.reward(rollout, self.sample, evidence or {}, CLOCK)
        return check_value(self.reward, self.sample, got)


def names() -> list[str]:
    """The rewards that come with mmrl."""
    return [n for n in REWARDS.names() if REWARDS.get(n).fn.__module__.startswith("mmrl.")]


@cache
def samples_of(name: str) -> tuple[Sample, ...]:
    """Samples of a task: of each level of its world, or its rows."""
    task = TASKS.get(name)
    if task.world is None:
        return tuple(
            Sample(id=f"row{i}", task=name, question="?", target=target, meta=meta)
            for i, (target, meta) in enumerate(ROWS.get(name, ()))
        )
    drawn = []
    for options in (*task.levels.values(), *MORE.get(name, ())):
        given = {**task.world_options, **options}
        drawn += [task.world(i, split="val", seed=7, **given) for i in range(PER_LEVEL)]
    return tuple(drawn)


@cache
def cases_of(reward: str) -> tuple[Case, ...]:
    """Every sample of every task that uses the reward, tasks in turn, so that all are met early."""
    rows: list[list[Case]] = []
    for name in TASKS:
        task = TASKS.get(name)
        parts = [part for part in task.rewards if part.name == reward]
        if not parts and name in ALSO.get(reward, ()):
            parts = [REWARDS.get(reward)]
        rows += [[Case(task, part, s, task.gold(s)) for s in samples_of(name)] for part in parts]
    plain, part = TASKS.get("text"), REWARDS.get(reward)
    for i, (target, meta, answer) in enumerate(MADE.get(reward, ())):
        sample = Sample(id=f"made{i}", task="text", question="?", target=target, meta=meta)
        gold = _TAGS.one_of_each.format(answer or target)
        rows.append([Case(plain, part, sample, gold)])
    longest = max(map(len, rows), default=0)
    return tuple(row[i] for i in range(longest) for row in rows if i < len(row))


def said(text: str, task: Task, sample: Sample) -> Rollout:
    """A rollout of that text under the sample's pictures."""
    prompt = Prompt(messages=(), token_ids=(), media=_media(sample))
    return Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(Segment(token_ids=(), sampled=True, logps=(), trainable=()),),
        text=text,
        offsets=(),
        parsed=task.parse(text),
        stop=StopReason.EOS,
        policy_step=0,
    )


def evidence_of(case: Case) -> st.SearchStrategy[dict[type, Any]]:
    """Any evidence that the reward asks for."""
    return st.fixed_dictionaries({need: EVIDENCE[need](case.sample) for need in case.reward.needs})


@cache
def _sizes(data: bytes) -> tuple[int, int]:
    size: tuple[int, int] = Image.open(io.BytesIO(data)).size
    return size


def _media(sample: Sample) -> tuple[MediaInfo, ...]:
    sizes = [_sizes(m.data) if m.kind == "image" and m.data else SIZE for m in sample.media]
    kinds = [m.kind for m in sample.media] or ["image"]
    return tuple(
        MediaInfo(kind=kind, digest="0", original_size=s, processed_size=s, num_tokens=1)
        for kind, s in zip(kinds, sizes or [SIZE], strict=True)
    )
