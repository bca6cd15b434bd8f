"""Options of a choice sample in another order: what a second look at the same question shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmrl.parse.choices import parse_choice
from mmrl.parse.options import LETTERS, Order, new_letter, relisted
from mmrl.types import Sample


def options_of(sample: Sample) -> tuple[str, ...]:
    """The option texts in `meta["options"]`, or () where there are none."""
    options = sample.meta.get("options")
    if not isinstance(options, Sequence) or isinstance(options, str):
        return ()
    return tuple(str(option) for option in options)


def reordered(sample: Sample, order: Order) -> Sample | None:
    """The sample with its options in another order: question, `meta["options"]` and target.

    Media, meta and id are those of the sample. None where the options are fewer than two or the
    question does not list them with their letters.
    """
    options = options_of(sample)
    if len(options) < 2:
        return None
    question = relisted(sample.question, options, order)
    if question is None:
        return None
    return replace(
        sample,
        question=question,
        target=_target(sample.target, order),
        meta={**sample.meta, "options": tuple(options[old] for old in order)},
    )


def _target(target: object, order: Order) -> object:
    """The letter or comma-separated letters under the new order; anything else as it is."""
    if not isinstance(target, str):
        return target
    letters = [parse_choice(part, len(order)) for part in target.split(",")]
    known = [letter for letter in letters if letter is not None]
    if len(known) < len(letters):
        return target
    return ",".join(sorted((new_letter(letter, order) for letter in known), key=LETTERS.index))
