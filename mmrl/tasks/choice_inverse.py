"""Question-answer inversion (TW-GRPO, arXiv 2505.24718): "what did he do" to "what didn't he do".

One right option becomes the one wrong option, and a random number of the wrong ones, now right, is
kept: single-answer rows turn into multi-answer ones. Departure: a question that the rule does not
negate is refused, where the published script inverts its answers all the same (22 of 1,668 rows).
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Literal

from mmrl.parse.options import LETTERS, relisted, stem_of
from mmrl.rewards.gold import gold_choice
from mmrl.tasks.choice_options import options_of
from mmrl.types import Sample

Rule = Literal["nextgqa", "star"]

_SECOND_WORDS = ("did", "does", "do", "is", "are", "was", "were")
_STAR_WORDS = ("did", "was", "would")
_STAR_STARTS = {"what will": "what won't", "what happened": "what didn't happen"}


def negated_question(question: str, rule: Rule = "nextgqa") -> str | None:
    """The question in lower case and negated, or None where the rule finds nothing to negate.

    `nextgqa` negates the second word (did, does, do, is, are, was, were); `star` "what will", "what
    happened", or did, was, would as the first or second word.
    """
    text = question.lower()
    if rule == "star":
        for start, other in _STAR_STARTS.items():
            if text == start or text.startswith(f"{start} "):
                return other + text[len(start) :]
    words = text.split(" ")
    places, known = ((1,), _SECOND_WORDS) if rule == "nextgqa" else ((0, 1), _STAR_WORDS)
    for place in places:
        if place < len(words) and words[place] in known:
            return " ".join([*words[:place], f"{words[place]}n't", *words[place + 1 :]])
    return None


def inverted_options(
    num_options: int, right: int, rng: random.Random, keep: int | None = None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Old options in their new places, and the places that are now right.

    `keep` of the former wrong options stay, 1 to all of them by chance where it is not given.
    """
    wrong = [i for i in range(num_options) if i != right]
    number = rng.randint(1, len(wrong)) if keep is None else keep
    order = [right, *rng.sample(wrong, number)]
    rng.shuffle(order)
    return tuple(order), tuple(place for place, old in enumerate(order) if old != right)


def inverted(sample: Sample, seed: int, rule: Rule = "nextgqa") -> Sample | None:
    """The sample asked the other way round, its target the letters that are now right.

    None where the question is not negated by the rule, or does not list at least two options.
    """
    options = options_of(sample)
    stem = stem_of(sample.question, options)
    if stem is None or len(options) < 2:
        return None
    negated = negated_question(stem, rule)
    right = LETTERS.index(gold_choice(sample))
    if negated is None or right >= len(options):
        return None
    order, places = inverted_options(len(options), right, random.Random(seed))
    question = relisted(sample.question, options, order)
    assert question is not None, "a question with a stem lists its options"
    return replace(
        sample,
        id=f"{sample.id}~inverted",
        question=negated + question[len(stem) :],
        target=",".join(LETTERS[place] for place in places),
        meta={**sample.meta, "options": tuple(options[old] for old in order), "inverted": True},
    )
