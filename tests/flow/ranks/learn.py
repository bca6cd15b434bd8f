"""One update on a recorded list of groups, on this rank's share; writes loss and gradients."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from mmrl.config.schema import OptimizerConfig
from mmrl.methods.base import method_spec
from mmrl.policy.load import load_policy
from mmrl.tasks.base import TASKS
from mmrl.train.learner import Learner, LearnerSettings
from mmrl.train.loop import assign
from mmrl.train.optimizer import Optimizer
from mmrl.train.ranks import Ranks
from mmrl.train.rows import count, rows_of_groups
from mmrl.types import Clock, Group, Rollout, ScoredGroup, Segment, StopReason

CLOCK = Clock(step=0, stage="s", stage_step=0, stage_steps=1)
REWARDS = [[1.0, 0.0, 0.25], [0.0, 0.5], [1.0, 1.0, 0.0, 0.5], [0.2, 0.9], [0.0, 1.0, 0.0]]
"""Ragged groups; with two ranks one gets three of them and the other two."""


def recorded(policy) -> list[ScoredGroup]:
    """Groups with pictures and one with text alone; completions are the gold, cut differently."""
    tasks = ["digit_box", "digit_box", "plain_text", "digit_box", "digit_box"]
    groups = []
    for i, (rewards, name) in enumerate(zip(REWARDS, tasks, strict=True)):
        task = TASKS.get(name)
        sample = task.world(i, split="train", seed=3, **task.world_options)
        prompt = policy.encode(task.messages(sample))
        rollouts = []
        for g in range(len(rewards)):
            text = task.gold(sample)[: 12 + 5 * g]
            ids = tuple(policy.encode_text(text))
            segment = Segment(
                token_ids=ids, sampled=True, logps=(-1.0,) * len(ids), trainable=(True,) * len(ids)
            )
            rollouts.append(
                Rollout(
                    prompt=prompt,
                    sampled_under=prompt,
                    segments=(segment,),
                    text=text,
                    offsets=tuple(range(len(ids))),
                    parsed=task.parse(text),
                    stop=StopReason.EOS,
                    policy_step=0,
                )
            )
        groups.append(
            ScoredGroup(
                group=Group(draw_id=f"0.{i}", sample=sample, rollouts=tuple(rollouts)),
                parts={},
                score=tuple(rewards),
                outcome=tuple(r > 0.5 for r in rewards),
                rewards=tuple(rewards),
            )
        )
    return groups


def main(out: Path, name: str) -> None:
    torch.set_num_threads(1)
    ranks = Ranks()
    policy = load_policy("assets/tiny-vlm", always_run_vision=True)
    method = method_spec({"name": name}, max_length=40).build(TASKS.get("digit_box"))
    mine = recorded(policy)[ranks.index :: ranks.size]
    rows = rows_of_groups(assign(mine, method, ranks.reduce, CLOCK))
    learner = Learner(
        policy=policy,
        optimizer=Optimizer(policy, OptimizerConfig()),
        terms=method.terms,
        balance=method.balance,
        ranks=ranks,
        settings=LearnerSettings(tokens_per_pack=200),
    )
    metrics = learner.accumulate(rows, count(rows, ranks.reduce), CLOCK)
    if ranks.is_first:
        out.with_suffix(".json").write_text(json.dumps(metrics))
        found = {n: p.grad for n, p in policy.trainable().items() if p.grad is not None}
        save_file(found, out.with_suffix(".safetensors"))
    ranks.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
