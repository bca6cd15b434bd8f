"""Choices: a letter answers. Worlds on pictures and clips; `choice` and `choices` for data sets.

`picture_choice` asks what is on one picture, `which_picture` on which of several pictures it is,
`tinted_choice` the same with a short cut beside it, `clip_order` what came first in a clip;
`clip_choices` has several right letters. Options that stand in `meta["options"]` may be put into
another order (`mmrl.tasks.choice_options`); those of `which_picture` are the pictures themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mmrl.parse.choices import parse_choice
from mmrl.parse.options import LETTERS as ALPHABET
from mmrl.parse.options import implied_option
from mmrl.rewards.builtin import CHOICE, CHOICES
from mmrl.rewards.choice import choice_reward, choices_exact_reward, choices_reward, gold_choices
from mmrl.rewards.gold import gold_choice
from mmrl.tasks.base import SMALL_FORMAT, Task, World, register_task
from mmrl.tasks.choice_clips import clip_choices_world, clip_order_world
from mmrl.tasks.choice_options import options_of
from mmrl.tasks.choice_tinted import tinted_choice_world
from mmrl.tasks.collage import EASY, Difficulty, draw_collage
from mmrl.tasks.drawing import COLOURS, LETTERS, SHAPES, Drawn, Picture, generator, png_bytes
from mmrl.types import MediaRef, Rollout, Sample

OPTION_LETTERS = "ABCD"
HARD = Difficulty(others=(0, 0), shapes=(0, 0), side=(14, 24), contrast=(50, 120), noise=12.0)
NAMES = {
    "digit": tuple("0123456789"),
    "letter": tuple(LETTERS),
    "shape": SHAPES,
    "colour": tuple(COLOURS),
}


def choice_answer(name: str, letter: str) -> str:
    """The completion that says what was seen, then the option's letter."""
    return f"<think>{name}</think><answer>{letter}</answer>"


def draw_choice(
    index: int, split: str, seed: int, *, difficulty: Difficulty = EASY
) -> tuple[Picture, str, str, str]:
    """A picture of one thing, a question with four options, the right letter and name."""
    picture, _, about, options, letter = _drawn(index, split, seed, difficulty)
    return picture, _asked(about, options), letter, options[OPTION_LETTERS.index(letter)]


def _drawn(
    index: int, split: str, seed: int, difficulty: Difficulty
) -> tuple[Picture, Drawn, str, tuple[str, ...], str]:
    """A picture, the thing on it, what is asked about it, the options, the right letter."""
    rng = generator("choice", split, seed, index)
    about = list(NAMES)[rng.choice(4, p=[0.5, 0.2, 0.15, 0.15])]
    kind = "shape" if about == "colour" else about
    shown = str(rng.choice(NAMES[kind]))
    picture, thing, _ = draw_collage(rng, split, kind, shown, difficulty)
    right = thing.colour if about == "colour" else shown
    wrong = [n for n in NAMES[about] if n != right]
    options = [right, *(str(n) for n in rng.choice(wrong, 3, replace=False))]
    order = rng.permutation(4)
    letter = OPTION_LETTERS[int(np.flatnonzero(order == 0)[0])]
    return picture, thing, about, tuple(options[o] for o in order), letter


def _asked(about: str, options: tuple[str, ...]) -> str:
    listed = " ".join(f"{OPTION_LETTERS[i]} {text}" for i, text in enumerate(options))
    return f"which {about}: {listed}"


def draw_which(
    index: int, split: str, seed: int, *, count: int = 2
) -> tuple[tuple[Picture, ...], str, str, str]:
    """`count` pictures with one digit each, the question which one shows a digit, letter, digit."""
    rng = generator("choice_multi", split, seed, index)
    digits = [str(d) for d in rng.choice(10, count, replace=False)]
    right = int(rng.integers(count))
    pictures = tuple(draw_collage(rng, split, "digit", d, EASY)[0] for d in digits)
    listed = " ".join(OPTION_LETTERS[:count])
    question = f"which picture shows the {digits[right]}: {listed}"
    return pictures, question, OPTION_LETTERS[right], digits[right]


def gold_choice_answer(sample: Sample) -> str:
    """The reference answer of any sample with an option letter."""
    letter = gold_choice(sample)
    return choice_answer(str(sample.meta.get("name", f"It is {letter}.")), letter)


def gold_choices_answer(sample: Sample) -> str:
    """The reference answer of any sample with one or several option letters."""
    letters = ",".join(sorted(gold_choices(sample)))
    return choice_answer(str(sample.meta.get("name", f"It is {letters}.")), letters)


def picture_choice_world(
    index: int, /, *, split: str, seed: int, hard: bool = False, marks: bool = False
) -> Sample:
    """One thing on a picture, four options; about digits, letters, shapes or colours.

    `hard` draws it small, faint and noisy. With `marks` it stands in `meta["marks"]` as
    [kind, word, x, y].
    """
    picture, thing, about, options, letter = _drawn(index, split, seed, HARD if hard else EASY)
    seen = {"marks": _marks(thing)} if marks else {}
    return Sample(
        id=f"picture_choice-{split}-{seed}-{index}",
        task="picture_choice",
        question=_asked(about, options),
        media=(MediaRef(kind="image", data=png_bytes(picture)),),
        target=letter,
        meta={
            "name": options[OPTION_LETTERS.index(letter)],
            "options": options,
            "split": split,
            **seen,
        },
    )


def _marks(thing: Drawn) -> list[list[object]]:
    x1, y1, x2, y2 = thing.box
    place = [(x1 + x2) / 2, (y1 + y2) / 2]
    kind = "shape" if thing.kind == "shape" else "text"
    marks: list[list[object]] = [[kind, thing.name, *place]]
    return [*marks, ["colour", thing.colour, *place]] if thing.colour else marks


def which_picture_world(index: int, /, *, split: str, seed: int, count: int = 2) -> Sample:
    """`count` pictures (2 to 4) with one digit each; which one shows the digit asked for?"""
    pictures, question, letter, name = draw_which(index, split, seed, count=count)
    return Sample(
        id=f"which_picture-{split}-{seed}-{index}",
        task="which_picture",
        question=question,
        media=tuple(MediaRef(kind="image", data=png_bytes(p)) for p in pictures),
        target=letter,
        meta={"name": name, "split": split},
    )


def consistent(rollout: Rollout, sample: Sample) -> float | None:
    """1 where the reasoning comes to the option that is answered, else 0; None without options.

    The mean over responses is CACR (ACRE, arXiv 2510.10104), judged by a rule: the option that
    the reasoning names last (`mmrl.parse.options.implied_option`). Where no letter is answered or
    no option is named, 0.
    """
    options = options_of(sample)
    if not options:
        return None
    implied = implied_option(rollout.parsed.reasoning or "", options)
    letter = parse_choice(rollout.parsed.answer or "", len(options))
    return float(implied is not None and letter == ALPHABET[implied])


_TAGGED = "{question}\nThink first inside <think> </think>, then give "
ONE_LETTER = _TAGGED + "the letter of the right option inside <answer> </answer>."
SOME_LETTERS = (
    _TAGGED + "the letters of all right options, separated by commas, inside <answer> </answer>."
)


def _choice_task(
    name: str,
    template: str,
    world: World | None = None,
    *,
    hard: Mapping[str, Any] | None = None,
    several: bool = False,
) -> Task:
    levels: dict[str, Mapping[str, Any]] = {"tiny": {}, "hard": hard} if hard else {"tiny": {}}
    return Task(
        name=name,
        template=template,
        rewards=(CHOICES if several else CHOICE, SMALL_FORMAT),
        score=choices_exact_reward if several else choice_reward,
        score_name="right",
        gold=gold_choices_answer if several else gold_choice_answer,
        measures={"share": choices_reward} if several else {"consistent": consistent},
        world=world,
        levels=levels,
    )


PICTURE_CHOICE = register_task(
    _choice_task("picture_choice", "{question}", picture_choice_world, hard={"hard": True})
)
WHICH_PICTURE = register_task(
    _choice_task("which_picture", "{question}", which_picture_world, hard={"count": 4})
)
TINTED_CHOICE = register_task(
    _choice_task(
        "tinted_choice", "{question}", tinted_choice_world, hard={"side": (14, 26), "noise": 24.0}
    )
)
CLIP_ORDER = register_task(
    _choice_task(
        "clip_order",
        "{question}",
        clip_order_world,
        hard={
            "about": ("colour", "shape", "digit"),
            "places": ("first", "second", "third", "last"),
            "side": (16, 30),
            "noise": 8.0,
        },
    )
)
CLIP_CHOICES = register_task(
    _choice_task(
        "clip_choices",
        "{question}",
        clip_choices_world,
        hard={"side": (14, 26), "noise": 12.0},
        several=True,
    )
)
CHOICE_TASK = register_task(_choice_task("choice", ONE_LETTER))
CHOICES_TASK = register_task(_choice_task("choices", SOME_LETTERS, several=True))
