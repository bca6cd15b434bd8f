"""`mmrl check RECIPE --dry-run`: one real step of every stage, on random weights and small sizes.

The recipe's own method, stages, rewards, probes and companions run on a small random model of its
policy's family. Rows that are not on this machine are drawn by a world that fits their task. One
rollout of four says its sample's reference answer and one that of another sample: random weights
write nothing that a reward, a probe or a gate could tell apart.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from mmrl.config.load import LoadedRun
from mmrl.config.schema import Run
from mmrl.credit.group import PerGroup
from mmrl.data.registry import DATASETS, DatasetFn
from mmrl.data.spec import load_spec
from mmrl.data.stand_in import rows_are_here, stand_in
from mmrl.errors import MethodError, PolicyError
from mmrl.methods.base import Method
from mmrl.policy.pack import bare_pack
from mmrl.policy.small import family_named, save_small
from mmrl.probes.likelihood import Row
from mmrl.rewards.spaces import as_answered
from mmrl.tasks.base import TASKS
from mmrl.train.assemble import load_models
from mmrl.train.folder import RunFolder
from mmrl.train.loop import StepReport
from mmrl.train.models import Doors
from mmrl.train.observers.base import Observer
from mmrl.train.ranks import Ranks
from mmrl.train.recipe import check_recipe, stage_spec, stages_of
from mmrl.train.run import eval_samples, import_plugins, quiet_libraries
from mmrl.train.scaled import Change, scaled
from mmrl.train.session import Session, set_threads
from mmrl.train.stage import TaskMethods
from mmrl.types import Prompt, Rollout, Sample, Segment, StopReason


@dataclass(frozen=True, kw_only=True)
class StageTried:
    """One stage's step: the parts that ran and the numbers of its last step."""

    name: str
    kind: str
    parts: Mapping[str, tuple[str, ...]]
    """Role -> names of what fills it; empty for supervised stages."""
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a dry run did."""

    family: str
    num_parameters: int
    replaced: Mapping[str, str]
    """Dotted key of a data entry -> what stood in for its rows."""
    changes: Sequence[Change]
    stages: Sequence[StageTried]
    num_evaluated: int
    seconds: float


def dry_run(loaded: LoadedRun) -> DryRun:
    """One step of each stage and both evaluations, in a folder that is deleted at the end.

    Whatever `check_recipe` refuses is refused first, with the same words. PolicyError where neither
    the model's folder nor its name tells a family; MethodError where a step had nothing to learn.
    """
    start = time.perf_counter()
    import_plugins(loaded)
    with stood_in(loaded) as (whole, replaced), TemporaryDirectory(prefix="mmrl-dry-") as folder:
        check_recipe(whole)
        quiet_libraries()
        model = Path(folder) / "model"
        try:
            family = family_named(loaded.run.policy.model)
        except PolicyError as error:
            raise loaded.located("policy.model", str(error)) from error
        save_small(model, family.name)
        small, changes = scaled(whole, model=str(model), folder=str(Path(folder) / "run"))
        with _threads(small.run.train.threads):
            reports, models, items = _train(small)
        weights = sum(p.numel() for p in models.policy.core.parameters())
        tried = [
            StageTried(
                name=stage.name,
                kind=stage.kind,
                parts=_parts(small, i, reports[stage.name]),
                metrics=reports[stage.name].metrics,
            )
            for i, stage in enumerate(stages_of(small.run))
        ]
    return DryRun(
        family=family.name,
        num_parameters=weights,
        replaced=replaced,
        changes=[replace(c, dry="random weights") if c.dry == str(model) else c for c in changes],
        stages=tried,
        num_evaluated=items,
        seconds=time.perf_counter() - start,
    )


@contextmanager
def stood_in(loaded: LoadedRun) -> Iterator[tuple[LoadedRun, dict[str, str]]]:
    """The recipe with drawn samples for rows that are not here, and what stands in for which entry.

    The samples are a data set that is registered inside the block. Entries that name a wrong file
    or split stay, so that the checks of the recipe name them.
    """
    replaced: dict[str, str] = {}
    registered: list[str] = []

    def entry_for(key: str, entry: dict[str, Any], split: str) -> dict[str, Any]:
        path = entry.get("cfg")
        if path is None or not Path(path).is_file():
            return entry
        spec = load_spec(path)
        wanted = entry.get("split") or split
        if spec.hub_id is None:
            spec.split_entries(wanted)
        if rows_are_here(spec, wanted):
            return entry
        world, samples = stand_in(spec, loaded.run.seed)
        name = f"{path} ({world})"
        if name not in DATASETS:
            registered.append(name)
            DATASETS.add(name, _always(samples))
        replaced[key] = f"{path}, split {wanted}: not here; {len(samples)} samples of {world}"
        return entry | {"cfg": None, "dataset": name, "split": None, "limit": None}

    data = loaded.run.model_dump(mode="json")
    _each_entry(data, entry_for)
    run = Run.model_validate_json(json.dumps(data), strict=True)
    try:
        yield LoadedRun(run=run, path=loaded.path, places=loaded.places), replaced
    finally:
        for name in registered:
            DATASETS.remove(name)


def _always(samples: Sequence[Sample]) -> DatasetFn:
    return lambda split: samples


def _each_entry(data: dict[str, Any], change: Any) -> None:
    """Puts `change(key, entry, split)` in the place of every data entry of a recipe."""
    lists = [("data", data, "train"), ("eval.data", data["eval"], "test")]
    for i, stage in enumerate(data["stages"]):
        lists.append((f"stages.{i}.data", stage, "train"))
        if stage.get("promote"):
            lists.append((f"stages.{i}.promote.data", stage["promote"], "test"))
    for key, holder, split in lists:
        holder["data"] = [change(f"{key}.{k}", e, split) for k, e in enumerate(holder["data"])]


def _train(loaded: LoadedRun) -> tuple[dict[str, StepReport], Doors, int]:
    """Runs the stages; the last report of each by name, the models, and how many were evaluated."""
    ranks = Ranks()
    folder = RunFolder(Path(loaded.run.run_dir or ""))
    folder.claim(loaded.run, fresh=False)
    whole = load_models(loaded)
    models = Answering(
        whole.policy,
        whole.sampler,
        loaded.run.rollout,
        seed=loaded.run.seed,
        media=whole.media,
        isolated=whole.isolated,
    )
    seen = _Keep()
    try:
        Session(
            loaded,
            models=models,
            folder=folder,
            ranks=ranks,
            observers=[seen],
            eval_samples=eval_samples(loaded.run.eval, loaded.run.seed),
        ).train()
    finally:
        models.close()
        ranks.close()
    for name, report in seen.reports.items():
        if report.is_empty:
            left = {**report.batch.dropped, **report.batch.skipped, **models.bad_samples}
            raise MethodError(f'stage "{name}": its step had nothing to train on; left out: {left}')
    return seen.reports, models, seen.num_evaluated


@contextmanager
def _threads(num: int | None) -> Iterator[None]:
    """Inside, torch has that many threads; after, as many as before."""
    before = torch.get_num_threads()
    set_threads(num)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Keep(Observer):
    def __init__(self) -> None:
        self.reports: dict[str, StepReport] = {}
        self.num_evaluated = 0

    def on_step(self, report: StepReport) -> None:
        self.reports[report.clock.stage] = report

    def on_eval(self, evaluation: Any, seconds: float) -> None:
        self.num_evaluated += len(evaluation.items)


class Answering(Doors):
    """Doors whose groups hold reference answers: of their own sample, and of the next one.

    Of rollouts 0, 4, 8, … the text is the sample's gold answer, of 2, 6, 10, … that of the next
    sample of its task in the batch; the others are what the policy sampled.
    """

    def sample(
        self,
        samples: Sequence[Sample],
        prompts: Sequence[Prompt],
        *,
        finished: Any = None,
        **settings: Any,
    ) -> list[list[Rollout]]:
        """As `Doors.sample`; groups are told when all of them are complete."""
        sampled = super().sample(samples, prompts, **settings)
        for i, (sample, prompt) in enumerate(zip(samples, prompts, strict=True)):
            others = [s for s in (*samples[i + 1 :], *samples[:i]) if s.task == sample.task]
            said = {0: sample, 2: others[0] if others else sample}
            for g, rollout in enumerate(sampled[i]):
                if g % 4 in said:
                    sampled[i][g] = self._saying(said[g % 4], prompt, rollout)
            if finished is not None:
                finished(i, sampled[i])
        return sampled

    @torch.no_grad()
    def _saying(self, gold: Sample, prompt: Prompt, rollout: Rollout) -> Rollout:
        """The rollout as if the policy had written the gold answer of a sample."""
        task = TASKS.get(gold.task)
        text = task.gold(as_answered(gold, prompt))
        ids = (*self.policy.encode_text(text), self.policy.eos_ids[0])
        row = Row(prompt=prompt, token_ids=ids)
        pack = bare_pack([row], groups=[0], names=[gold.id], device=self.policy.device)
        logps = tuple(self.policy(pack).logp.float().cpu().tolist())
        segment = Segment(token_ids=ids, sampled=True, logps=logps, trainable=(True,) * len(ids))
        return replace(
            rollout,
            segments=(segment,),
            text=text,
            offsets=self.policy.offsets(ids),
            parsed=task.parse(text),
            stop=StopReason.EOS,
        )


def _parts(loaded: LoadedRun, index: int, report: StepReport) -> dict[str, tuple[str, ...]]:
    """Role -> names of the parts of a stage's method, for the task of its first group."""
    groups = report.batch.observed or report.batch.everyone
    if not groups:
        return {}
    stage = stages_of(loaded.run)[index]
    tasks = TaskMethods(loaded, stage, index, stage_spec(loaded, stage))
    method: Method = tasks.method(groups[0].group.sample.task)
    weighted = tuple(f"{r.name} x {r.weight:g}" for r in method.rewards)
    found = {
        "plan": (type(method.plan).__name__,) if method.plan else (),
        "probes": tuple(type(p).__name__ for p in method.probes),
        "rewards": weighted,
        "bonuses": tuple(b.name for b in method.bonuses),
        "combine": (_name(method.combine),),
        "credit": (_name(method.credit), *method.more_credit),
        "terms": tuple(t.name for t in method.terms),
        "companions": tuple(type(c).__name__ for c in method.companions),
    }
    return {role: names for role, names in found.items() if names}


def _name(part: Any) -> str:
    """Of a function its name, of a lifted one that of what it lifts, else the class."""
    if isinstance(part, PerGroup):
        return _name(part.fn)
    return str(getattr(part, "__name__", type(part).__name__))
