"""One rollout as a line of JSON, and its tokens as rows of a table.

Beside what was said and earned, a line has what it takes to show it: the offsets of reasoning and
answer, the weights of the reward parts, and what answer and reference draw on the media (the JSON
of `mmrl.tasks.overlay.Overlay`; null where the task draws nothing).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmrl.tasks.base import TASKS
from mmrl.tasks.overlay import Overlay, answer_overlay, answer_space, gold_overlay
from mmrl.train.rows import broadcast
from mmrl.types import Clock, CreditedGroup, Group, TokenStats


def group_records(
    clock: Clock, credited: CreditedGroup, media: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The records of a group's rollouts, in order; `media` says what was seen and where it lies."""
    group = credited.group
    task = TASKS.get(group.sample.task)
    infos = group.rollouts[0].prompt.media
    gold = _drawn(gold_overlay(task, group.sample, infos))
    return [
        {
            **_record(clock, credited, g, media),
            "score_name": task.score_name,
            "overlay": _drawn(answer_overlay(task, rollout, group.sample)),
            "gold_overlay": gold,
        }
        for g, rollout in enumerate(group.rollouts)
    ]


def _record(
    clock: Clock, credited: CreditedGroup, g: int, media: list[dict[str, Any]]
) -> dict[str, Any]:
    scored, group = credited.scored, credited.group
    rollout, sample = group.rollouts[g], group.sample
    advantage = {
        name: values[g] if isinstance(values[g], float) else None
        for name, values in credited.advantages.items()
    }
    return {
        "step": clock.step,
        "stage": clock.stage,
        "draw": group.draw_id,
        "rollout": g,
        "sample": sample.id,
        "task": sample.task,
        "question": sample.question,
        "target": sample.target,
        "media": media,
        "text": rollout.text,
        "reasoning": rollout.parsed.reasoning,
        "answer": rollout.parsed.answer,
        "reasoning_span": rollout.parsed.reasoning_span,
        "answer_span": rollout.parsed.answer_span,
        "verdict": rollout.parsed.verdict,
        "stop": rollout.stop,
        "num_tokens": len(rollout.token_ids),
        "parts": {name: values[g] for name, values in scored.parts.items()},
        "weights": dict(scored.weights),
        "failures": {n: v[g] for n, v in scored.failures.items() if v[g]},
        "score": scored.score[g],
        "correct": scored.outcome[g],
        "reward": scored.rewards[g],
        "advantage": advantage,
        "evidence": _evidence_of(group, g),
        "policy_step": rollout.policy_step,
        "coord_space": answer_space(sample, rollout.prompt.coord_space),
    }


def token_rows(credited: CreditedGroup, g: int, line: int) -> Iterator[dict[str, Any]]:
    """A row a token of rollout g, which is line `line`; entropy is None where no probe told it."""
    rollout = credited.group.rollouts[g]
    advantages = broadcast(credited.advantages["main"][g], len(rollout.token_ids))
    told = credited.group.evidence.get(TokenStats)
    for t, token in enumerate(rollout.token_ids):
        yield {
            "line": line,
            "position": t,
            "token": token,
            "offset": rollout.offsets[t],
            "logp": rollout.logps[t],
            "advantage": advantages[t],
            "weight": credited.weights[g][t],
            "entropy": told[g].entropy[t] if told is not None else None,
        }


def _drawn(overlay: Overlay | None) -> dict[str, Any] | None:
    return None if overlay is None else overlay.to_json()


def _evidence_of(group: Group, g: int) -> dict[str, Any]:
    """What probes found of one rollout, of the kinds that say how to log them (`record()`)."""
    return {
        kind.__name__: values[g].record()
        for kind, values in group.evidence.items()
        if hasattr(values[g], "record")
    }
