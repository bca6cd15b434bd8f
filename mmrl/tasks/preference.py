"""Preference: which of two is better? Three drawn worlds, and two tasks for rows of data sets.

`picture_pair` shows two pictures and a wish, `answer_pair` a picture and two statements; a letter
answers. `scored_pair` asks for the scores of UnifiedReward-Think (arXiv 2505.03318): each picture
judged in dimensions that add up to a total. `preference` and `preference_scores` take rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mmrl.parse.verdicts import PairVerdict, verdict_text
from mmrl.rewards.preference import (
    PAIR_AGREES,
    PAIR_SCORES,
    PREFERENCE,
    gold_verdict,
    preference_reward,
)
from mmrl.tasks.base import SMALL_FORMAT, Task, levels_of, register_task
from mmrl.tasks.drawing import generator, png_bytes
from mmrl.tasks.pair_world import (
    LEVELS,
    PLACES,
    Order,
    PairLevel,
    Scene,
    Thing,
    altered,
    draw_pair,
    draw_scene,
    draw_thing,
    fits,
    level_of,
    placed,
    places,
    scene_marks,
    turn,
)
from mmrl.types import MediaRef, Sample

DIMENSIONS = ("colour", "thing", "place")


def picture_pair_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    level: str = "tiny",
    order: Order = "drawn",
    marks: bool = False,
) -> Sample:
    """Two pictures and a wish of one or two attributes ("which fits: red circle").

    `order` "swapped" is the same pairs with the pictures exchanged, "both" asks for each pair
    twice in a row, once in each order: `mmrl.tasks.swap.contradiction_rate` compares verdicts.
    `marks` lists what can be seen: `meta["marks"]` of the first picture, `meta["marks_2"]` of the
    second.
    """
    number, swapped = turn(index, order)
    rng = generator("picture_pair", split, seed, number)
    settings = level_of(level)
    pair = draw_pair(rng, settings)
    better = int(rng.integers(2))
    scenes = [pair.fit, pair.miss] if better == 0 else [pair.miss, pair.fit]
    pictures = [draw_scene(rng, split, scene, settings) for scene in scenes]
    if swapped:
        scenes, pictures, better = scenes[::-1], pictures[::-1], 1 - better
    return Sample(
        id=_id("picture_pair", split, seed, number, swapped),
        task="picture_pair",
        question=f"which fits: {' '.join(pair.wish)}",
        media=tuple(MediaRef(kind="image", data=png_bytes(p)) for p in pictures),
        target="AB"[better],
        meta={
            "reason": f"A: {scenes[0]}. B: {scenes[1]}",
            "differs": pair.differs,
            "pair": number,
            "swapped": swapped,
            "split": split,
            **(_marks(scenes, settings) if marks else {}),
        },
    )


def answer_pair_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    level: str = "tiny",
    order: Order = "drawn",
    marks: bool = False,
) -> Sample:
    """A picture and two statements of which one is true ("which is true: A red 7. B red 4").

    Options are those of `picture_pair_world`.
    """
    number, swapped = turn(index, order)
    rng = generator("answer_pair", split, seed, number)
    settings = level_of(level)
    count = int(rng.integers(settings.things[0], settings.things[1] + 1))
    things = [draw_thing(rng) for _ in range(count)]
    scene = placed(rng, things, settings)
    false = _false_statement(rng, things, settings)
    better = int(rng.integers(2))
    picture = draw_scene(rng, split, scene, settings)
    better = 1 - better if swapped else better
    said = [str(things[0]), str(false)] if better == 0 else [str(false), str(things[0])]
    return Sample(
        id=_id("answer_pair", split, seed, number, swapped),
        task="answer_pair",
        question=f"which is true: A {said[0]}. B {said[1]}",
        media=(MediaRef(kind="image", data=png_bytes(picture)),),
        target="AB"[better],
        meta={
            "reason": str(scene),
            "answers": said,
            "pair": number,
            "swapped": swapped,
            "split": split,
            **(_marks([scene], settings) if marks else {}),
        },
    )


def _false_statement(rng: np.random.Generator, things: list[Thing], level: PairLevel) -> Thing:
    """A near miss of the first thing that none of the things is."""
    while True:
        one, first = rng.random() < level.near, bool(rng.integers(2))
        other = altered(rng, things[0], colour=not one or first, name=not one or not first)
        if not any(fits(thing, tuple(other)) for thing in things):
            return other


def scored_pair_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    order: Order = "drawn",
    marks: bool = False,
) -> Sample:
    """Two pictures with one thing each and a wish of three attributes, to be judged by scores.

    A picture scores 10 for each of colour, thing and place that it fulfils; one fulfils more.
    `order` and `marks` are those of `picture_pair_world`.
    """
    number, swapped = turn(index, order)
    rng = generator("scored_pair", split, seed, number)
    settings = LEVELS["tiny"]
    wanted, place = draw_thing(rng), PLACES[rng.integers(4)]
    counts = rng.permutation(4)[:2]
    scenes, scores = [], []
    for count in counts:
        has = np.isin(np.arange(3), rng.permutation(3)[:count])
        thing = altered(rng, wanted, colour=not has[0], name=not has[1])
        blocks = [b for b in range(4) if (place in places(b, settings)) == bool(has[2])]
        scenes.append(Scene(((blocks[rng.integers(len(blocks))], thing),)))
        scores.append([10 * int(h) for h in has])
    pictures = [draw_scene(rng, split, scene, settings) for scene in scenes]
    if swapped:
        scenes, scores, pictures = scenes[::-1], scores[::-1], pictures[::-1]
    better = 0 if sum(scores[0]) > sum(scores[1]) else 1
    return Sample(
        id=_id("scored_pair", split, seed, number, swapped),
        task="scored_pair",
        question=f"which is better: {wanted} {place}",
        media=tuple(MediaRef(kind="image", data=png_bytes(p)) for p in pictures),
        target=verdict_text(PairVerdict("image", better)),
        meta={
            "reason": scores_text(
                "Image", dict(zip(DIMENSIONS, zip(*scores, strict=True), strict=True))
            ),
            "pair": number,
            "swapped": swapped,
            "split": split,
            **(_marks(scenes, settings) if marks else {}),
        },
    )


def scores_text(noun: str, scores: Mapping[str, tuple[int, int]]) -> str:
    """Scores by dimension in the form of UnifiedReward-Think, with both totals as sums."""
    lines = [
        f"{i}. {name}: {noun} 1 ({a}/10); {noun} 2 ({b}/10)"
        for i, (name, (a, b)) in enumerate(scores.items(), 1)
    ]
    totals = []
    for side in range(2):
        own = [given[side] for given in scores.values()]
        totals.append(f"{noun} {side + 1}: {'+'.join(map(str, own))}={sum(own)}")
    return "\n".join([*lines, "Total score:", *totals])


def gold_preference(sample: Sample) -> str:
    """The reference verdict, behind the reasoning that the sample brings."""
    verdict = verdict_text(gold_verdict(sample))
    reason = sample.meta.get("reason") or f"It is {verdict}."
    return f"<think>{reason}</think><answer>{verdict}</answer>"


def gold_scored_preference(sample: Sample) -> str:
    """The same with scores: the sample's own, else one dimension that says the verdict."""
    verdict = gold_verdict(sample)
    if sample.meta.get("reason"):
        return gold_preference(sample)
    noun = (verdict.noun or "answer").capitalize()
    given = (9, 5) if verdict.better == 0 else (5, 9)
    reason = scores_text(noun, {"Overall": given})
    return f"<think>{reason}</think><answer>{verdict_text(verdict)}</answer>"


def _id(world: str, split: str, seed: int, number: int, swapped: bool) -> str:
    return f"{world}-{split}-{seed}-{number}{'-swapped' if swapped else ''}"


def _marks(scenes: list[Scene], level: PairLevel) -> dict[str, Any]:
    first, *more = [scene_marks(scene, level) for scene in scenes]
    return {"marks": first, **({"marks_2": more[0]} if more else {})}


TINY_ALONE: Mapping[str, Mapping[str, Any]] = {"tiny": {}}

_LETTER = Task(
    name="picture_pair",
    template="{question}",
    rewards=(PREFERENCE, SMALL_FORMAT),
    score=preference_reward,
    score_name="right",
    gold=gold_preference,
    world=picture_pair_world,
    levels=levels_of("level", LEVELS),
)
PICTURE_PAIR = register_task(_LETTER)
ANSWER_PAIR = register_task(replace(_LETTER, name="answer_pair", world=answer_pair_world))
SCORED_PAIR = register_task(
    replace(
        _LETTER,
        name="scored_pair",
        rewards=(PREFERENCE, SMALL_FORMAT, PAIR_SCORES, PAIR_AGREES),
        gold=gold_scored_preference,
        world=scored_pair_world,
        levels=TINY_ALONE,
    )
)
PREFERENCE_TASK = register_task(
    Task(
        name="preference",
        template=(
            "{question}\nCompare the two first inside <think> </think>, then give the letter of "
            "the better one, A or B, inside <answer> </answer>."
        ),
        rewards=(PREFERENCE, SMALL_FORMAT),
        score=preference_reward,
        score_name="right",
        gold=gold_preference,
    )
)
PREFERENCE_SCORES = register_task(
    replace(
        PREFERENCE_TASK,
        name="preference_scores",
        template=(
            "{question}\nInside <think> </think> judge both in numbered dimensions, one a line, "
            'each as "1. dimension: Image 1 (x/10) - reason; Image 2 (y/10) - reason", then a '
            'line "Total score:" and for each the sum of its scores, as "Image 1: 9+8=17". Then '
            'say inside <answer> </answer> only "Image 1 is better" or "Image 2 is better" (with '
            "Video or Answer in place of Image where the two are those)."
        ),
        rewards=(PREFERENCE, SMALL_FORMAT, PAIR_SCORES, PAIR_AGREES),
        gold=gold_scored_preference,
    )
)
