"""One collected step with contrasts and second answers, on this rank's share of the draws.

Writes what it found of each of its own draws to FOLDER/rank<n>.json, and the parts of all ranks'.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mmrl.config.schema import RolloutConfig
from mmrl.credit.gates import keep_all
from mmrl.policy.load import load_policy
from mmrl.probes.contrast import ContrastScores
from mmrl.probes.second_pass import SecondPass
from mmrl.rewards.choice_consistency import Consistency, watched
from mmrl.rewards.combine import weighted_sum
from mmrl.rewards.contrast import ContrastBonus
from mmrl.rewards.worker_main import allow_read_only_mappings
from mmrl.rollout.contrast import WithContrast
from mmrl.rollout.hf import HFSampler
from mmrl.sources.pool import Pool
from mmrl.tasks.base import TASKS
from mmrl.train.collector import Collector
from mmrl.train.models import Doors
from mmrl.train.ranks import Ranks
from mmrl.train.score import Scorer
from mmrl.types import Clock


def main(folder: Path) -> None:
    allow_read_only_mappings()  # as a run's pool of rewards does
    ranks = Ranks()
    policy = load_policy("assets/tiny-vlm")
    models = Doors(policy, HFSampler(policy), RolloutConfig(max_new_tokens=24), seed=4)
    names = ("clip_order", "picture_choice")
    samples = [TASKS.get(names[i % 2]).world(i, split="train", seed=1) for i in range(4)]
    parts = (TASKS.get("clip_order").rewards[0], Consistency().reward(), *watched())
    collector = Collector(
        source=Pool(samples, seed=0),
        plan=WithContrast(size=4),
        probes=(SecondPass(passes=2), ContrastScores()),
        scorer=Scorer(
            rewards=dict.fromkeys(names, parts),
            bonuses=(ContrastBonus(factor=0.8),),
            combine=weighted_sum,
        ),
        gate=keep_all,
        models=models,
        ranks=ranks,
        size=4,
        max_draws=4,
        skip_bad_media=False,
    )
    batch = collector.next(Clock(step=0, stage="s", stage_step=0, stage_steps=1))
    own = {
        scored.group.draw_id: {
            "evidence": [
                [value.record() for value in values] for values in scored.group.evidence.values()
            ],
            "texts": [r.text for r in scored.group.rollouts],
            "contrasts": [len(other) for other in scored.group.contrast],
        }
        for scored in batch.groups
    }
    everyone = {s.group.draw_id: {k: list(v) for k, v in s.parts.items()} for s in batch.everyone}
    folder.mkdir(parents=True, exist_ok=True)
    told = json.dumps({"own": own, "everyone": everyone})
    (folder / f"rank{ranks.index}.json").write_text(told)
    ranks.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
