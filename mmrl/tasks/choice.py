"""Choices: a letter answers. Worlds `picture_choice`, `which_picture`, and `choice` for data sets.

`picture_choice` asks what is on one picture; `which_picture` on which of several pictures it is.
"""

from __future__ import annotations

import numpy as np

from mmrl.rewards.builtin import CHOICE
from mmrl.rewards.choice import choice_reward
from mmrl.rewards.gold import gold_choice
from mmrl.tasks.base import SMALL_FORMAT, Task, World, register_task
from mmrl.tasks.collage import EASY, Difficulty, draw_collage
from mmrl.tasks.drawing import COLOURS, LETTERS, SHAPES, Picture, generator, png_bytes
from mmrl.types import MediaRef, Sample

OPTION_LETTERS = "ABCD"
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
    rng = generator("choice", split, seed, index)
    about = list(NAMES)[rng.choice(4, p=[0.5, 0.2, 0.15, 0.15])]
    kind = "shape" if about == "colour" else about
    shown = str(rng.choice(NAMES[kind]))
    picture, wanted, _ = draw_collage(rng, split, kind, shown, difficulty)
    right = wanted.colour if about == "colour" else shown
    wrong = [n for n in NAMES[about] if n != right]
    options = [right, *(str(n) for n in rng.choice(wrong, 3, replace=False))]
    order = rng.permutation(4)
    letter = OPTION_LETTERS[int(np.flatnonzero(order == 0)[0])]
    listed = " ".join(f"{OPTION_LETTERS[i]} {options[o]}" for i, o in enumerate(order))
    return picture, f"which {about}: {listed}", letter, right


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


def picture_choice_world(index: int, /, *, split: str, seed: int) -> Sample:
    """One thing on a picture, four options; about digits, letters, shapes or colours."""
    picture, question, letter, name = draw_choice(index, split, seed)
    return Sample(
        id=f"picture_choice-{split}-{seed}-{index}",
        task="picture_choice",
        question=question,
        media=(MediaRef(kind="image", data=png_bytes(picture)),),
        target=letter,
        meta={"name": name, "split": split},
    )


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


def _choice_task(name: str, template: str, world: World | None = None) -> Task:
    return Task(
        name=name,
        template=template,
        rewards=(CHOICE, SMALL_FORMAT),
        score=choice_reward,
        score_name="right",
        gold=gold_choice_answer,
        world=world,
    )


PICTURE_CHOICE = register_task(_choice_task("picture_choice", "{question}", picture_choice_world))
WHICH_PICTURE = register_task(_choice_task("which_picture", "{question}", which_picture_world))
CHOICE_TASK = register_task(
    _choice_task(
        "choice",
        "{question}\nThink first inside <think> </think>, then give the letter of the right "
        "option inside <answer> </answer>.",
    )
)
