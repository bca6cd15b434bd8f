"""What holds for every level of every world: bytes by seed, splits apart, gold that is gold."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Hashable
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

from mmrl.data.check import check_data
from mmrl.data.registry import open_data
from mmrl.tasks.base import TASKS
from mmrl.types import Sample

LEVELS = [
    (name, level)
    for name in TASKS
    if TASKS.get(name).world is not None
    for level in TASKS.get(name).levels
]


def first_level(name: str) -> str:
    return next(iter(TASKS.get(name).levels))


SPLITS = ("train", "val", "test")


def draw(name: str, level: str, index: int, split: str = "train", seed: int = 0) -> Sample:
    task = TASKS.get(name)
    assert task.world is not None
    options = {**task.world_options, **task.levels[level]}
    return task.world(index, split=split, seed=seed, **options)


def content(sample: Sample) -> Hashable:
    """What a model sees of a sample."""
    media = tuple(hashlib.sha256(ref.data or b"").digest() for ref in sample.media)
    return media or sample.question


def test_two_processes_draw_the_same_bytes_whatever_their_hash_seed_and_order() -> None:
    script = Path(__file__).with_name("world_bytes.py")
    answers = []
    for order, hash_seed in (("1", "1"), ("-1", "4242")):
        made = subprocess.run(
            [sys.executable, str(script), order],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr[-2000:]
        answers.append(json.loads(made.stdout))
    first, second = answers
    assert set(first) == {f"{name} {level} {i}" for name, level in LEVELS for i in range(2)}
    assert [key for key in first if first[key] != second[key]] == []


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_a_sample_is_its_seeds_splits_and_numbers_own(name: str, level: str) -> None:
    first = [draw(name, level, i) for i in range(4)]
    assert [draw(name, level, i) for i in (3, 2, 1, 0)] == first[::-1]
    assert len({s.id for s in first}) == 4
    assert [s.task for s in first] == [name] * 4
    others = {draw(name, level, i, *at).id for i in range(2) for at in (("train", 1), ("val", 0))}
    assert len(others) == 4 and not others & {s.id for s in first}


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_no_two_splits_or_seeds_share_a_picture(name: str, level: str) -> None:
    seen = {
        (split, seed): {content(draw(name, level, i, split, seed)) for i in range(5)}
        for split in SPLITS
        for seed in (0, 1)
    }
    keys = list(seen)
    if name == "plain_text":
        return  # a sum has no picture: a hundred of them are all there are
    for i, one in enumerate(keys):
        for other in keys[i + 1 :]:
            assert not seen[one] & seen[other], (one, other)


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_check_finds_nothing_wrong(name: str, level: str) -> None:
    entry = {"task": name, "split": "test", "options": dict(TASKS.get(name).levels[level])}
    assert check_data(open_data(entry, None, 5), limit=4) == []


BLIND = 200
"""Samples of a world: half to learn from, half to guess."""


@pytest.mark.parametrize(("name", "level"), [p for p in LEVELS if p[1] == first_level(p[0])])
def test_the_question_alone_does_not_tell_the_answer(name: str, level: str) -> None:
    """Words of the question, and pairs of them, guess no better than the commonest answer."""
    task = TASKS.get(name)
    groups: dict[str, list[tuple[str, str]]] = {}
    for i in range(BLIND):
        sample = draw(name, level, i, seed=9)
        answer = task.parse(task.gold(sample)).answer or ""
        kind = str(sample.meta.get("type", sample.meta.get("about", "")))
        groups.setdefault(kind, []).append((sample.question, answer))
    wrong_of, expected = [], []
    for rows in groups.values():
        answers = Counter(answer for _, answer in rows)
        if len(rows) < 30 or len(answers) > 26 or not any(q for q, _ in rows):
            continue  # boxes, spans, routes: nothing to guess
        assert answers.most_common(1)[0][1] <= 0.7 * len(rows), answers
        half = len(rows) // 2
        words = CountVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), lowercase=False)
        seen = words.fit_transform([question for question, _ in rows[:half]])
        guesser = MultinomialNB().fit(seen, [answer for _, answer in rows[:half]])
        guessed = guesser.predict(words.transform([question for question, _ in rows[half:]]))
        wrong_of += [g != answer for g, (_, answer) in zip(guessed, rows[half:], strict=True)]
        expected += [answers.most_common(1)[0][1] / len(rows)] * (len(rows) - half)
    if wrong_of and name != "plain_text":
        right, chance = 1.0 - sum(wrong_of) / len(wrong_of), sum(expected) / len(expected)
        assert right <= chance + 3.0 * (chance * (1.0 - chance) / len(wrong_of)) ** 0.5
