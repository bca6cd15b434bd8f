"""The same work for both sides of a step benchmark: pictures, questions, a reward, a checkpoint.

Pictures are drawn at the asked-for side and shown at that size; the question is as short as those
of the quickstart, so that a picture of 448 pixels makes a prompt of 280 tokens. The reward is a
TRL reward function, which both sides call as it is.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmrl.config.load import load_recipe
from mmrl.config.yaml import dump_yaml
from mmrl.policy.tiny import save_tiny, tiny_model, tiny_processor
from mmrl.sources.pool import Pool
from mmrl.train.assemble import load_models
from mmrl.train.models import Doors
from mmrl.train.ranks import Ranks
from mmrl.train.recipe import check_recipe
from mmrl.train.stage import open_stage
from mmrl.types import Clock

QUESTION = "box of the square, quite exact"
TEXT_TOKENS = 24
"""Of a prompt with this question, beside the picture's, by the tiny tokenizer."""
LEARNING_RATE = 1e-6


def share_of_digits(completions: Sequence[Any], **_: Any) -> list[float]:
    """Share of the characters that are digits: costs nothing and differs between rollouts."""
    texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
    return [sum(ch.isdigit() for ch in text) / max(1, len(text)) for text in texts]


def draw_pictures(folder: Path, number: int, side: int, question: str = QUESTION) -> Path:
    """Writes `number` square pictures, their rows and a data set file, whose path is returned."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    ground = np.add.outer(np.arange(side), np.arange(side)) % 256
    rows = []
    for i in range(number):
        picture = np.repeat(ground[:, :, None], 3, axis=2).astype(np.uint8)
        edge = side // 4
        x, y = (37 * i) % (side - edge), (53 * i) % (side - edge)
        picture[y : y + edge, x : x + edge] = (255, 32 * i % 256, 64)
        Image.fromarray(picture).save(folder / f"{i:03}.png")
        box = [x, y, x + edge, y + edge]
        rows.append({"id": str(i), "question": question, "image": f"{i:03}.png", "box": box})
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    spec = {
        "name": "drawn_squares",
        "source": "rows.jsonl",
        "licence": "Apache-2.0",
        "task": "grounding",
        "template": "{question}",
        "fields": {"answer": "box"},
        "coord_space": "abs_original",
    }
    path = folder / "data.yaml"
    path.write_text(dump_yaml(spec), encoding="utf-8")
    return path


def drawn_order(number: int, draws: int, *, seed: int = 0) -> list[int]:
    """Which pictures a run of that seed draws, in order: the peer's rows are laid out so."""
    order = Pool(range(number), seed=seed)  # type: ignore[arg-type]
    return [int(i) for i in order.draw(draws)]  # type: ignore[call-overload]


def tiny_checkpoint(folder: Path, pixels: int, *, hidden: int = 128, layers: int = 4) -> Path:
    """The tiny Qwen2.5-VL, untrained, with a processor that keeps pictures of that side."""
    processor = tiny_processor()
    processor.image_processor.size = {"shortest_edge": 56 * 56, "longest_edge": pixels**2}
    return save_tiny(
        folder, tiny_model(processor.tokenizer, hidden=hidden, layers=layers), processor
    )


def recipe(
    model: Path | str,
    data: Path,
    *,
    group_size: int,
    new_tokens: int,
    prompts_per_step: int,
    policy: Mapping[str, Any] | None = None,
    steps: int = 100,
) -> dict[str, Any]:
    """What `mmrl train` would be given: GRPO without KL, one update a step."""
    reward = {"name": "digits", "function": "mmrl.bench.workload:share_of_digits", "kind": "trl"}
    return {
        "name": "bench_step",
        "policy": {"model": str(model), **(policy or {})},
        "method": {"name": "grpo", "group_size": group_size, "beta": 0.0},
        "rewards": [{**reward, "in_process": True}],
        "rollout": {"max_new_tokens": new_tokens, "temperature": 1.0},
        "data": [{"cfg": str(data)}],
        "optimizer": {"lr": LEARNING_RATE},
        "train": {"steps": steps, "prompts_per_step": prompts_per_step},
    }


@dataclass(frozen=True, kw_only=True)
class StepTime:
    """Seconds of one of our steps, whole and by phase, and what it trained on."""

    seconds: float
    phases: Mapping[str, float]
    prompt_tokens: tuple[int, ...]
    completion_tokens: int


class OurSteps:
    """A run assembled as `mmrl train` assembles it, stepped by hand; end-of-text never sampled."""

    def __init__(self, settings: Mapping[str, Any], models: Doors | None = None) -> None:
        """`models` replaces those that the recipe names (a model made without a checkpoint)."""
        loaded = load_recipe(settings)
        check_recipe(loaded)
        self.models = models or load_models(loaded)
        never_end(self.models.policy)
        self.stage = open_stage(loaded, 0, self.models, Ranks())
        self.done = 0

    @property
    def model(self) -> Any:
        return self.models.policy.core

    def step(self) -> StepTime:
        """One whole step: draw, encode, roll out, score, learn, update."""
        clock = Clock(
            step=self.done,
            stage=self.stage.config.name,
            stage_step=self.done,
            stage_steps=self.stage.config.steps,
        )
        gc.collect()
        settle()
        start = time.perf_counter()
        report = self.stage.loop.step(clock)
        settle()
        seconds = time.perf_counter() - start
        self.done += 1
        rollouts = [r for s in report.batch.groups for r in s.group.rollouts]
        return StepTime(
            seconds=seconds,
            phases=dict(report.seconds),
            prompt_tokens=tuple(sorted({len(r.prompt.token_ids) for r in rollouts})),
            completion_tokens=sum(len(r.token_ids) for r in rollouts),
        )

    def close(self) -> None:
        self.models.close()


def never_end(policy: Any) -> None:
    """Bans the end-of-text tokens, in sampling and in log-probs: every rollout has full length."""
    banned = {*policy.space.banned_ids, *policy.eos_ids}
    policy.space = replace(policy.space, banned_ids=tuple(sorted(banned)))


def settle() -> None:
    """Waits for the device, so that a clock read next counts all work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
