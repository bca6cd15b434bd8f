"""One arm and seed from start to measures, in a folder that a kill leaves ready to go on."""

from __future__ import annotations

import json
import math
import os
import platform
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmrl.config.load import LoadedRun, dump_run
from mmrl.errors import ConfigError, MmrlError
from mmrl.eval.replicate.arms import arm_recipe, run_of
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.items import eval_config, is_pilot, items_of
from mmrl.eval.replicate.keys import (
    arm_key,
    claim_digest,
    evaluation_key,
    function_codes,
    line_key,
    project_code,
    start_key,
)
from mmrl.eval.replicate.rollouts import num_rollouts
from mmrl.eval.replicate.schema import Arm
from mmrl.eval.replicate.start import locked, renew_config, train_start
from mmrl.eval.replicate.trained import Trained, open_doors
from mmrl.eval.run import Evaluation, evaluate_samples
from mmrl.train.run import import_plugins, train
from mmrl.types import Sample

STATE = "replicate.json"
"""In a run folder: the key of what is in it, and the seconds of its parts."""


def run_folder(runs: Path, paper: Paper, arm: str, seed: int) -> Path:
    return runs / paper.name / f"{arm}_{seed}"


def run_arm(paper: Paper, arm: Arm, seed: int, runs: Path) -> dict[str, Any]:
    """Trains and evaluates what is not there yet; returns the line for the log.

    Ctrl-C raises KeyboardInterrupt with everything kept that the next call needs. The line's key is
    of the files as they were when this began: what changes on disk meanwhile is another run's.
    """
    key, found_versions = line_key(paper, arm), versions()
    weights, loaded = arm_key(paper, arm, start_key(paper)), arm_recipe(paper, arm)
    folder = run_folder(runs, paper, arm.name, seed)
    with locked(folder.with_name(f"{folder.name}.lock")):
        start, start_seconds = train_start(paper, runs)
        loaded = run_of(
            loaded, paper=paper.name, arm=arm.name, seed=seed, folder=folder, start=start
        )
        state = _claim(folder, weights)
        import_plugins(loaded)
        steps, seconds, model = _train(loaded, arm, folder)
        evaluations, samples = _evaluate(paper, loaded, folder, model, seed, state)
        trained = Trained(
            arm=arm.name,
            seed=seed,
            folder=folder,
            model=model,
            evaluations=evaluations,
            samples=samples,
        )
        codes = function_codes(paper, arm.name)
        measures = _measures(paper, trained, codes)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    parts = {"train": seconds, "evaluate": sum(state["seconds"].values())}
    if start is not None:
        parts["start"] = start_seconds
    return {
        "kind": "arm",
        "arm": arm.name,
        "seed": seed,
        "pilot": is_pilot(seed),
        "key": key,
        "measures": measures,
        "codes": codes,
        "estimates": {
            name: {measure: found.mean for measure, found in evaluation.estimates.items()}
            for name, evaluation in evaluations.items()
        },
        "counts": {
            name: {measure: found.num_items for measure, found in evaluation.estimates.items()}
            for name, evaluation in evaluations.items()
        },
        "claims": {claim.name: claim_digest(claim) for claim in paper.claims},
        "items": {name: len(evaluation.items) for name, evaluation in evaluations.items()},
        "skipped": {name: len(evaluation.skipped) for name, evaluation in evaluations.items()},
        "steps": steps,
        "rollouts": 0 if arm.untrained else num_rollouts(loaded, folder),
        "seconds": {name: round(value, 1) for name, value in parts.items()},
        "versions": found_versions,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions() -> dict[str, str]:
    """What a figure may depend on beside the key; "code" is all of mmrl, as it lies on disk."""
    named = {name: version(name) for name in ("mmrl", "torch", "transformers")}
    return {**named, "python": platform.python_version(), "code": project_code()}


def write_json(path: Path, data: Any) -> None:
    """Writes aside and renames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(data, indent=1))
    os.replace(aside, path)


def _claim(folder: Path, key: str) -> dict[str, Any]:
    """Makes the folder this key's: what another key left is deleted. Returns its state.

    A kill at any place leaves what the next call understands: a folder is renamed before it is
    deleted, and one that holds nothing but a state half written is as good as empty.
    """
    path, aside = folder / STATE, folder.with_name(f".{folder.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if path.exists():
        state: dict[str, Any] = json.loads(path.read_text())
        if state["key"] == key:
            return state
        os.replace(folder, aside)
        shutil.rmtree(aside)
    elif folder.exists() and any(p.name != f".{STATE}.part" for p in folder.iterdir()):
        raise ConfigError(f"{folder} was not made by mmrl replicate; move it or delete it")
    state = {"key": key, "seconds": {}}
    write_json(path, state)
    return state


def _train(loaded: LoadedRun, arm: Arm, folder: Path) -> tuple[int, float, Path]:
    """Steps, seconds and the model folder of a finished run; an untrained arm has no run."""
    if arm.untrained:
        (folder / "config.yaml").write_text(dump_run(loaded.run))
        return 0, 0.0, Path(loaded.run.policy.model)
    renew_config(folder, loaded)
    result = train(loaded)
    if result.interrupted:
        raise KeyboardInterrupt
    return int(result.summary["steps"]), result.summary["seconds_total"], folder / "model"


def _evaluate(
    paper: Paper, loaded: LoadedRun, folder: Path, model: Path, seed: int, state: dict[str, Any]
) -> tuple[dict[str, Evaluation], dict[str, list[Sample]]]:
    """All evaluations, each from its file where it is there; the model is loaded once."""
    paths = {
        n: folder / "replicate" / f"{n}-{evaluation_key(paper, n)}.jsonl" for n in paper.evaluations
    }
    samples = {name: items_of(config, seed) for name, config in paper.evaluations.items()}
    missing = [name for name, path in paths.items() if not path.exists()]
    if missing:
        with open_doors(folder, model) as doors:
            for name in missing:
                began = time.perf_counter()
                config = eval_config(paper.evaluations[name], loaded.run.eval.batch_prompts)
                evaluation = evaluate_samples(samples[name], doors, config, seed=seed, step=0)
                evaluation.save(paths[name])
                state["seconds"][paths[name].name] = time.perf_counter() - began
                write_json(folder / STATE, state)
    return {name: Evaluation.load(path, 0) for name, path in paths.items()}, samples


def _measures(paper: Paper, trained: Trained, codes: Mapping[str, str]) -> dict[str, float | None]:
    """Value of every claim's measure; None where it is not a number."""
    found: dict[str, float | None] = {}
    for claim in paper.trained_claims:
        if claim.key in codes:
            value = paper.function(claim)(trained)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise MmrlError(
                    f"{paper.folder / claim.key} of arm {trained.arm}: wanted a number; "
                    f"got {value!r:.60}"
                )
        elif claim.file is None:
            evaluation, _, name = claim.key.partition(".")
            estimates = trained.evaluations[evaluation].estimates
            value = estimates[name].mean if name in estimates else math.nan
        else:
            continue
        found[claim.key] = float(value) if math.isfinite(value) else None
    return found
