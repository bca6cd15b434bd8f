"""Text alone, without any picture: the drawn world `plain_text`, and `number`, `text` for rows."""

from __future__ import annotations

from dataclasses import replace

from mmrl.rewards.builtin import NUMBER, TEXT
from mmrl.rewards.exact import number_reward, text_reward
from mmrl.rewards.gold import gold_number, gold_texts
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.drawing import generator, number_text
from mmrl.types import Sample


def text_answer(reason: str, answer: str) -> str:
    """The completion with that reasoning and answer."""
    return f"<think>{reason}</think><answer>{answer}</answer>"


def draw_text(index: int, split: str, seed: int) -> tuple[str, str, str]:
    """A question, its one-line reasoning and its answer: a sum up to 18, or letters to copy."""
    rng = generator("text", split, seed, index)
    if rng.random() < 0.5:
        a, b = (int(v) for v in rng.integers(0, 10, 2))
        return f"add {a} {b}", f"{a}+{b}", str(a + b)
    word = "".join(rng.choice(list("abcdefghij"), int(rng.integers(3, 7))))
    return f"copy {word}", word[0], word


def plain_text_world(index: int, /, *, split: str, seed: int) -> Sample:
    """A small sum, or letters to copy."""
    question, reason, answer = draw_text(index, split, seed)
    return Sample(
        id=f"plain_text-{split}-{seed}-{index}",
        task="plain_text",
        question=question,
        target=answer,
        meta={"reason": reason, "split": split},
    )


def gold_text_answer(sample: Sample) -> str:
    """The reference answer of any sample with accepted texts: the first of them."""
    answer = gold_texts(sample)[0]
    return text_answer(str(sample.meta.get("reason", f"It is {answer}.")), answer)


def gold_number_answer(sample: Sample) -> str:
    """The reference answer of any sample with a number."""
    answer = number_text(gold_number(sample))
    return text_answer(f"It is {answer}.", answer)


PLAIN_TEXT = register_task(
    Task(
        name="plain_text",
        template="{question}",
        rewards=(TEXT, SMALL_FORMAT),
        score=text_reward,
        score_name="right",
        gold=gold_text_answer,
        world=plain_text_world,
    )
)
_THINK = "{question}\nThink first inside <think> </think>, then give "
TEXT_TASK = register_task(
    replace(
        PLAIN_TEXT,
        name="text",
        template=_THINK + "a short answer inside <answer> </answer>.",
        world=None,
    )
)
NUMBER_TASK = register_task(
    Task(
        name="number",
        template=_THINK + "one number inside <answer> </answer>.",
        rewards=(NUMBER, SMALL_FORMAT),
        score=number_reward,
        score_name="right",
        gold=gold_number_answer,
    )
)
