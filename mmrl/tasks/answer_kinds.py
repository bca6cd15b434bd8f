"""The task `answer_kinds`, for rows that each name their kind of answer (Video-R1's form)."""

from __future__ import annotations

from mmrl.rewards.answer_kinds import answer_kind_reward, gold_of_kind
from mmrl.rewards.builtin import ANSWER_KIND
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.types import Sample


def gold_kind_answer(sample: Sample) -> str:
    """The reference answer of a row of any kind."""
    answer = gold_of_kind(sample)
    return f"<think>It is {answer}.</think><answer>{answer}</answer>"


ANSWER_KINDS = register_task(
    Task(
        name="answer_kinds",
        template="{question}\nThink first inside <think> </think>, then give the answer (the "
        "letter of the right option, one number, or a short text) inside <answer> </answer>.",
        rewards=(ANSWER_KIND, SMALL_FORMAT),
        score=answer_kind_reward,
        score_name="right",
        gold=gold_kind_answer,
    )
)
