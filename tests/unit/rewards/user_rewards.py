"""Rewards as a user writes them in a file of their own, good and bad."""

import functools
import math
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass


def length_of_answer(rollout, sample):
    return len(rollout.parsed.answer or "") / 10


def width_seen(rollout, sample, evidence, clock):
    return rollout.prompt.media[0].processed_size[0] / 1000 + clock.step


def no_vision(rollout, sample):
    return float(rollout.prompt.vision is None and rollout.segments[0].vision is None)


def process_id(rollout, sample):
    return float(os.getpid())


def by_text(rollout, sample):
    """What the completion asks for."""
    what, _, argument = rollout.text.partition(" ")
    if what == "sleep":
        time.sleep(float(argument))
        return 1.0
    if what == "spin":  # one pattern match that holds the interpreter lock for hours
        return float(bool(re.match(r"(a+)+$", "a" * 60 + "b")))
    if what == "die":
        os._exit(3)
    if what == "child":
        subprocess.run(["sleep", argument])
    if what == "raise":
        raise ValueError(f"bad {argument}")
    if what == "exit":
        sys.exit(1)
    return {"none": None, "nan": math.nan, "inf": math.inf, "text": "1", "big": 1.5}.get(what, 0.5)


def _plain(function):
    @functools.wraps(function)
    def inner(*arguments):
        return function(*arguments)

    return inner


@_plain
def decorated(rollout, sample):
    return 0.25


def original(rollout, sample):
    return 0.75


replaced_by_decorator = original


@dataclass(frozen=True)
class Scaled:
    factor: float

    def __call__(self, rollout, sample):
        return self.factor


def times(factor, rollout, sample):
    return factor


def with_settings(rollout, sample, *, bonus=0.0):
    return bonus
