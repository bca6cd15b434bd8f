"""`mmrl check`: what is wrong with a recipe or a data set, before anything is trained."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmrl.cli.dry_run import print_dry_run
from mmrl.cli.names import data_entry, is_dataset_file, is_file_name
from mmrl.errors import ConfigError

if TYPE_CHECKING:
    from mmrl.config.load import LoadedRun
    from mmrl.config.schema import DataEntry
    from mmrl.data.check import Finding
    from mmrl.rewards.workers import RewardPool
    from mmrl.roles import Reward


def check(args: argparse.Namespace) -> int:
    """Checks and prints; 1 when rows are wrong, an error (2) when settings are.

    Rows that are not on this machine are an error too: one line that says how to get them.
    """
    if is_file_name(args.target) and not is_dataset_file(Path(args.target)):
        return _recipe(args)
    if args.dry_run:
        raise ConfigError(f"--dry-run takes a step of a recipe; {args.target} is a data set")
    return _data(args)


def _recipe(args: argparse.Namespace) -> int:
    from mmrl.config.load import load_recipe

    loaded = load_recipe(args.target, args.overrides)

    from mmrl.train.recipe import check_recipe
    from mmrl.train.rewards import reward_pool
    from mmrl.train.run import import_plugins

    if args.dry_run:
        return print_dry_run(loaded, args.target)
    import_plugins(loaded)
    check_recipe(loaded)
    print(f"{args.target}: settings fit together")
    planner = prompt_planner(loaded)
    failed = 0
    later: set[str] = set()
    with reward_pool(loaded.run) as pool:
        for key, entry in _entries(loaded):
            print(f"{key} ({entry.task or entry.cfg or entry.dataset}, split {entry.split})")
            rewards = _rewards(loaded, key, later)
            failed += _check_rows(
                entry.given(), args, planner, loaded.run.seed, rewards=rewards, pool=pool
            )
    if later:
        print(f"not judged here, since they ask a model: {', '.join(sorted(later))}")
    return _verdict(failed)


def _rewards(
    loaded: LoadedRun, key: str, later: set[str]
) -> Callable[[str], Sequence[Reward]] | None:
    """What judges an entry's rollouts, by task: the rewards of the method and of the recipe.

    Evaluation judges by all stages' rewards; data of supervised stages by their tasks' own. Names
    of rewards that need evidence are added to `later`.
    """
    from mmrl.train.recipe import stage_spec, stages_of
    from mmrl.train.stage import TaskMethods

    by_stage = [
        TaskMethods(loaded, stage, i, stage_spec(loaded, stage))
        for i, stage in enumerate(stages_of(loaded.run))
        if stage.kind != "sft"
        and (
            key.startswith((f"stages.{i}.", "eval."))
            or (key.startswith("data.") and not stage.data)
        )
    ]
    if not by_stage:
        return None

    def of(task: str) -> Sequence[Reward]:
        found = {r.name: r for stage in by_stage for r in stage[task]}
        later.update(name for name, reward in found.items() if reward.needs)
        return list(found.values())

    return of


def _data(args: argparse.Namespace) -> int:
    if args.overrides:
        raise ConfigError(f"key=value changes a recipe; {args.target} is a data set")
    entry = data_entry(args.target, args.split)
    if "cfg" in entry and args.split is None:
        from mmrl.data.spec import load_spec

        entry["split"] = load_spec(entry["cfg"]).split_names()[0]
    return _verdict(_check_rows(entry, args, None, 0))


def prompt_planner(loaded: LoadedRun) -> Any:
    """The recipe's policy without weights: it plans prompts (sizes, tokens) and computes nothing.

    A checkpoint of any size is described in a second, since only its configuration, tokenizer and
    processor are read.
    """
    policy = loaded.run.policy
    folder = Path(policy.model)
    if not (folder / "config.json").is_file():
        what = "no config.json in this folder" if folder.is_dir() else "no such folder"
        raise loaded.located("policy.model", f'"{policy.model}": {what}; download it first')

    from mmrl.torchvision_shim import ensure_torchvision

    ensure_torchvision()
    import torch
    import transformers

    from mmrl.policy.families import family_of
    from mmrl.policy.load import wrap_policy

    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    family = family_of(config)
    processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    with torch.device("meta"):
        model = getattr(transformers, family.model_class)(config)
    return wrap_policy(
        model,
        processor,
        max_prompt_tokens=policy.max_prompt_tokens,
        over_budget=policy.over_budget,
        image_budget=loaded.run.media.image.given(),
        video_budget=loaded.run.media.video.given(),
    )


def _entries(loaded: LoadedRun) -> list[tuple[str, DataEntry]]:
    """(dotted key, entry with its split) of all data of a recipe, each distinct one once."""
    run = loaded.run
    named = [(f"data.{i}", entry, "train") for i, entry in enumerate(run.data)]
    for s, stage in enumerate(run.stages):
        named += [(f"stages.{s}.data.{i}", entry, "train") for i, entry in enumerate(stage.data)]
        rows = stage.promote.data if stage.promote is not None else ()
        named += [(f"stages.{s}.promote.data.{i}", entry, "test") for i, entry in enumerate(rows)]
    named += [(f"eval.data.{i}", entry, "test") for i, entry in enumerate(run.eval.data)]
    distinct: dict[str, tuple[str, DataEntry]] = {}
    for key, entry, split in named:
        if entry.stage is not None:
            continue  # the rows that it collects from are looked at where they are named
        whole = entry.model_copy(update={"split": entry.split or split})
        distinct.setdefault(whole.model_dump_json(exclude={"weight", "limit"}), (key, whole))
    return list(distinct.values())


def _check_rows(
    entry: Mapping[str, Any],
    args: argparse.Namespace,
    planner: Any,
    seed: int,
    *,
    rewards: Callable[[str], Sequence[Reward]] | None = None,
    pool: RewardPool | None = None,
) -> int:
    """Prints the findings of the entry's first rows; the number of errors among them."""
    from mmrl.data.check import check_data
    from mmrl.data.registry import open_data

    view = open_data(entry, None, seed)
    looked = args.rows if view.size is None else min(args.rows, view.size)
    findings = check_data(view, policy=planner, limit=looked, rewards=rewards, pool=pool)
    _print(findings)
    of = "drawn samples" if view.size is None else f"of {view.size} rows"
    errors = sum(finding.level == "error" for finding in findings)
    print(f"  {looked} {of} looked at, {errors} errors")
    return errors


def _print(findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"  {finding.level:7} {finding}")


def _verdict(failed: int) -> int:
    print(f"{failed} errors" if failed else "all is well")
    return 1 if failed else 0
