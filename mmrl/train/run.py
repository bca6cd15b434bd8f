"""`mmrl.train` and `mmrl.evaluate`: a recipe or a model in, a finished run or figures out."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrl.config.load import LoadedRun, Overrides, load_recipe
from mmrl.config.schema import Run
from mmrl.data.predictions import write_predictions
from mmrl.errors import ConfigError
from mmrl.eval.report import write_report
from mmrl.eval.run import Evaluation, eval_samples, evaluate_samples
from mmrl.eval.summary import summarise
from mmrl.media.store import MediaStore
from mmrl.rewards.functions import module_of_file
from mmrl.train.assemble import load_models
from mmrl.train.folder import RunFolder
from mmrl.train.observers.base import Observer
from mmrl.train.observers.console import Console
from mmrl.train.observers.files import MetricsFile, RolloutFiles
from mmrl.train.observers.panel import stage_line
from mmrl.train.observers.trackers import TensorBoard, Trackio, Wandb
from mmrl.train.ranks import Ranks
from mmrl.train.recipe import check_recipe, stages_of
from mmrl.train.session import Session, run_folder, set_threads


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """Where a run lies and what it ended with; `summary` is empty when it was interrupted."""

    folder: Path
    summary: Mapping[str, Any]
    interrupted: bool = False


def train(
    recipe: str | Path | Run | Mapping[str, Any] | LoadedRun,
    overrides: Overrides = (),
    *,
    fresh: bool = False,
) -> RunResult:
    """Trains a recipe to its end, or goes on where an earlier start of it was stopped.

    The run folder is `run_dir` or runs/<name>. A finished run is returned as it is; `fresh` deletes
    it first. Raises ConfigError before any model is loaded when the recipe does not fit together.
    """
    loaded = recipe if isinstance(recipe, LoadedRun) else load_recipe(recipe, overrides)
    run = loaded.run
    import_plugins(loaded)
    check_recipe(loaded)
    folder = RunFolder(run_folder(loaded))
    ranks = Ranks()
    if ranks.is_first:
        folder.claim(run, fresh=fresh)
    ranks.barrier()
    console = Console(run.log.console if ranks.is_first else "quiet")
    done = folder.summary
    if done is not None and _is_finished(run, done):
        if ranks.is_first and run.log.report and not (folder.path / "report.html").exists():
            write_report(folder.path)  # killed between the summary and the report
        console.on_end({**done, "lines": [f"{folder.path} is finished; --fresh starts it anew"]})
        return RunResult(folder=folder.path, summary=done)
    set_threads(run.train.threads)
    quiet_libraries()
    models = load_models(loaded, quarantine=folder.path / "quarantine.jsonl")
    observers = _observers(run, folder, ranks, console)
    session = Session(
        loaded,
        models=models,
        folder=folder,
        ranks=ranks,
        observers=observers,
        eval_samples=eval_samples(run.eval, run.seed),
    )
    try:
        session.train()
        if session.interrupted:
            return RunResult(folder=folder.path, summary={}, interrupted=True)
        summary: dict[str, Any] = {}
        if ranks.is_first:
            summary = _finish(session, models.media)
        for observer in observers:
            observer.on_end(summary)
        return RunResult(folder=folder.path, summary=summary)
    finally:
        console.close()
        models.close()
        ranks.close()


def _is_finished(run: Run, summary: Mapping[str, Any]) -> bool:
    """Whether a run that wrote this summary has nothing left to do by this recipe."""
    saved = sum(s["of"] - s["steps"] for s in summary.get("stages", ()) if s["ended"])
    total = sum(s.steps for s in stages_of(run))
    return bool(summary["steps"] + saved >= total or summary["stopped"])


def evaluate(
    model: str | Path,
    data: str | Sequence[Mapping[str, Any]],
    *,
    samples: int = 4,
    best_of: int = 8,
    limit: int = 256,
    seed: int = 0,
    out: Path | None = None,
    overrides: Overrides = (),
) -> Evaluation:
    """Evaluates a run folder or a checkpoint folder on a task, a data set file or entries.

    `data` is a task name, a `datasets_cfg/*.yaml` path, a registered data set, or a list of data
    entries as a recipe has them. A run folder brings its own settings; its trained model is used.
    With `out`, items and predictions are written there.
    """
    path = Path(model)
    settings: dict[str, Any] = {"policy": {"model": str(path)}, "seed": seed}
    if (path / "config.yaml").exists():
        own = load_recipe(path / "config.yaml").run
        trained = path / "model"
        if not trained.exists():
            raise ConfigError(f"{path}: this run has no model yet; finish it with `mmrl train`")
        keep = own.model_dump(mode="json")
        keep["policy"] |= {"model": str(trained), "lora": None}
        settings = keep | {"seed": seed}
    entries = [_entry(data)] if isinstance(data, str) else [dict(e) for e in data]
    settings["eval"] = {
        "data": entries,
        "samples": samples,
        "best_of": best_of,
        "limit": limit,
    }
    loaded = load_recipe(settings, overrides)
    import_plugins(loaded)
    run = loaded.run
    quiet_libraries()
    models = load_models(loaded)
    try:
        evaluation = evaluate_samples(
            eval_samples(run.eval, run.seed), models, run.eval, seed=run.seed, step=0
        )
    finally:
        models.close()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        evaluation.save(out / "items.jsonl")
        write_predictions([_prediction(i) for i in evaluation.items], out)
    return evaluation


def _entry(data: str) -> dict[str, Any]:
    from mmrl.tasks.base import TASKS

    if data.endswith((".yaml", ".yml")):
        return {"cfg": data}
    return {"task": data} if data in TASKS else {"dataset": data}


def import_plugins(loaded: LoadedRun) -> None:
    """Imports the recipe's plug-in modules and files, which register parts."""
    for index, name in enumerate(loaded.run.plugins):
        key = f"plugins.{index}"
        if not name.endswith(".py"):
            if importlib.util.find_spec(name) is None:
                raise loaded.located(key, f'no module "{name}" can be imported')
            importlib.import_module(name)
            continue
        path = Path(name)
        if not path.exists() and loaded.path is not None:
            path = loaded.path.parent / name
        if not path.exists():
            raise loaded.located(key, f'no file "{name}" here or beside the recipe')
        module_of_file(path)


def quiet_libraries() -> None:
    """Progress bars of others would tear our live line; their warnings stay."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _observers(run: Run, folder: RunFolder, ranks: Ranks, console: Console) -> list[Observer]:
    rollouts = RolloutFiles(
        folder.rollouts, every=run.log.rollouts_every, tokens=run.log.tokens, rank=ranks.index
    )
    if not ranks.is_first:
        return [rollouts]
    observers: list[Observer] = [MetricsFile(folder.metrics), rollouts]
    if run.log.tensorboard:
        observers.append(TensorBoard(folder.path))
    if run.log.wandb:
        observers.append(Wandb(folder.path, run))
    if run.log.trackio:
        observers.append(Trackio(run))
    return [*observers, console]


def _finish(session: Session, media: MediaStore | None) -> dict[str, Any]:
    """Model folder, predictions, summary and report of a run that came to its end."""
    folder, run = session.folder, session.run
    folder.replace("model", session.models.policy.save)
    steps = session.progress.eval_steps
    before = after = None
    if steps:
        before = Evaluation.load(folder.evaluation(steps[0]), steps[0])
        after = Evaluation.load(folder.evaluation(steps[-1]), steps[-1])
        write_predictions([_prediction(i) for i in after.items], folder.path / "predictions")
    summary = summarise(
        before=before,
        after=after,
        progress=vars(session.progress),
        extra={
            "name": run.name,
            "seed": run.seed,
            "media": media.counters() if media else {},
            "bad_samples": dict(session.models.bad_samples),
            **({"stages": session.progress.stages} if run.stages else {}),
        },
    )
    folder.write("summary.json", json.dumps(summary, indent=1))
    report = [f"report  {write_report(folder.path)}"] if run.log.report else []
    minutes = summary["seconds_train"] / 60
    summary["lines"] = [
        f"trained {summary['steps']} steps in {minutes:.1f} minutes"
        + (f" ({summary['stopped']})" if summary["stopped"] else ""),
        *(f"stage   {stage_line(facts)}" for facts in summary.get("stages", ())),
        f"run     {folder.path}",
        *report,
        f"model   {folder.path / 'model'}",
        f"next    mmrl eval {folder.path} --data {_first_data(run)}",
    ]
    return summary


def _first_data(run: Run) -> str:
    for entry in (*run.eval.data, *run.data, *(e for s in run.stages for e in s.data)):
        return str(entry.task or entry.cfg or entry.dataset)
    return "NAME"


def _prediction(item: Any) -> dict[str, Any]:
    return {
        "id": item.id,
        "task": item.task,
        "question": item.question,
        "target": item.target,
        "prediction": item.texts[-1] if item.texts else "",
        "values": dict(item.values),
    }
