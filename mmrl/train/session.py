"""A run from its first step to its summary: stages, evaluation, checkpoints, resume, the end.

What makes resuming exact: every random number is seeded by name (`mmrl.seeds`), every stateful part
is in the checkpoint, and logs are cut back to their length at the checkpoint. An evaluation that is
due at a checkpoint is marked pending in it and is done (or read from its file) after resuming.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from mmrl.config.load import LoadedRun
from mmrl.config.schema import EvalConfig, StageConfig
from mmrl.errors import MethodError
from mmrl.eval.run import Evaluation, eval_samples, evaluate_samples
from mmrl.roles import Action
from mmrl.train.checkpoint import Checkpoints, Snapshot
from mmrl.train.folder import RunFolder
from mmrl.train.loop import StepReport
from mmrl.train.observers.base import Observer, RunInfo, StageEnd
from mmrl.train.progress import Progress
from mmrl.train.promotion import judge
from mmrl.train.ranks import Ranks
from mmrl.train.recipe import stages_of
from mmrl.train.signals import BrokenOff, Signals
from mmrl.train.stage import Stage, open_stage
from mmrl.train.staged import FAILED, KEPT, promotion_eval
from mmrl.types import Clock, Sample


class Session:
    """Runs a recipe in a folder, or goes on where it was left."""

    def __init__(
        self,
        loaded: LoadedRun,
        *,
        models: Any,
        folder: RunFolder,
        ranks: Ranks,
        observers: list[Observer],
        eval_samples: list[Sample],
    ) -> None:
        self.loaded, self.run = loaded, loaded.run
        self.models, self.folder, self.ranks = models, folder, ranks
        self.observers, self.eval_samples = observers, eval_samples
        self.stages: tuple[StageConfig, ...] = stages_of(self.run)
        self.checkpoints = Checkpoints(folder.path / "checkpoints", keep=self.run.checkpoint.keep)
        self.progress = Progress()
        self.interrupted = False
        """Whether all ranks have agreed to leave, because of Ctrl-C."""
        self._signals = Signals()
        self._carried: Mapping[str, Any] = {}
        self._initial: Mapping[str, torch.Tensor] = {}
        self._promotion_samples: dict[int, list[Sample]] = {}
        self._began = time.perf_counter()

    def train(self) -> Progress:
        """All stages to the end, the time limit, an early stop or Ctrl-C."""
        self._began = time.perf_counter()
        snapshot = self._latest()
        if any(s.start == "initial" for s in self.stages):
            self._initial = self.models.policy.trainable_state()
        self._restore(snapshot)
        info = RunInfo(
            run=self.run,
            folder=self.folder.path,
            total_steps=self.total_steps,
            start_step=self.progress.step,
            resumed=snapshot is not None,
        )
        self._tell(lambda o: o.on_start(info))
        with self._signals:
            if snapshot is None:
                self._evaluate()
            while self.progress.stage < len(self.stages) and not self._is_over:
                self._run_stage(snapshot)
                snapshot = None
            self._finish_pending()
        self._count_time()
        return self.progress

    @property
    def total_steps(self) -> int:
        """Steps of the whole run as they are known by now: fewer when a stage ends early."""
        progress = self.progress
        before = progress.step - progress.stage_step
        ahead = [s.steps for s in self.stages[progress.stage :]]
        if progress.stage_ended:
            ahead[0] = progress.stage_step
        return before + sum(ahead)

    @property
    def _is_over(self) -> bool:
        return self.interrupted or bool(self.progress.stopped)

    def _run_stage(self, snapshot: Snapshot | None) -> None:
        progress = self.progress
        config = self.stages[progress.stage]
        if snapshot is None and config.start == "initial":
            self.models.policy.load_trainable_state(dict(self._initial))
        self.ranks.barrier()  # what the first process collected is there for all
        stage = open_stage(self.loaded, progress.stage, self.models, self.ranks, self.folder)
        if snapshot is not None:
            stage.optimizer.load_tensors(dict(snapshot.optimizer))
            stage.load_parts(snapshot.parts)
        else:
            stage.carry_over(self._carried)
        if progress.promote_pending:
            self._settle(stage, config)
        self._finish_pending()
        while not self._is_done(config) and not self._is_over:
            self._step(stage, config)
        self._carried = stage.carried()
        if self._is_done(config):
            progress.stage, progress.stage_step, progress.stage_ended = progress.stage + 1, 0, ""
            progress.promote_in_a_row, progress.promote_value = 0, None

    def _is_done(self, config: StageConfig) -> bool:
        """Whether the present stage has come to its end, and nothing of it is left to judge."""
        progress = self.progress
        at_end = progress.stage_step >= config.steps or bool(progress.stage_ended)
        return at_end and not progress.promote_pending

    def _step(self, stage: Stage, config: StageConfig) -> None:
        progress = self.progress
        own = config.reset_clock
        clock = Clock(
            step=progress.step,
            stage=config.name,
            stage_step=progress.stage_step if own else progress.step,
            stage_steps=config.steps if own else self.total_steps,
            epoch=getattr(stage.source, "progress", 0.0),
        )
        start = time.perf_counter()
        report = stage.loop.step(clock)
        progress.seconds_train += time.perf_counter() - start
        self._tell(lambda o: o.on_step(report))
        self._obey(report, stage)
        progress.step += 1
        progress.stage_step += 1
        self._check_empty(report)
        self._check_time()
        self._agree()
        rule = config.promote
        due = rule is not None and progress.stage_step % rule.every == 0
        progress.promote_pending = due and not progress.stopped
        if getattr(stage.source, "is_used_up", False) and progress.stage_step < config.steps:
            progress.stage_ended = "every sample was drawn"
        self._settle(stage, config)

    def _settle(self, stage: Stage, config: StageConfig) -> None:
        """Promotion, checkpoint and evaluation behind a step, as they are due.

        Ctrl-C leaves a promotion or an evaluation pending in the checkpoint; resuming comes here
        again.
        """
        progress = self.progress
        if progress.promote_pending and not self.interrupted:
            self._promote(config)
        if self._is_done(config):
            self._end_stage(config)
        is_last = self._is_done(config) and progress.step == self.total_steps
        is_last = is_last or bool(progress.stopped)
        every = self.run.eval.every
        at_eval = bool(every and progress.step % every == 0)
        progress.eval_pending = is_last or (at_eval and not progress.promote_pending)
        save_every = self.run.checkpoint.every
        at_save = bool(save_every and progress.step % save_every == 0)
        is_saved = is_last or at_save or self.interrupted
        if is_saved:
            self._save(stage)
        if progress.eval_pending and not self.interrupted:
            self._finish_pending()
            self._agree()
            if self.interrupted and not is_saved:
                self._save(stage)

    def _end_stage(self, config: StageConfig) -> None:
        """Notes what became of the stage, and tells it in recipes that name their stages."""
        progress = self.progress
        counts = {}
        if config.kind == "collect":
            paths = {half: self.folder.collected(config.name, half) for half in (KEPT, FAILED)}
            counts = {half: path.read_bytes().count(b"\n") for half, path in paths.items()}
        end = StageEnd(
            config=config,
            step=progress.step,
            steps=progress.stage_step,
            ended=progress.stage_ended,
            value=progress.promote_value,
            counts=counts,
            total_steps=self.total_steps,
        )
        progress.stages[progress.stage :] = [end.facts()]
        if self.run.stages:
            self._tell(lambda o: o.on_stage(end))

    def _obey(self, report: StepReport, stage: Stage) -> None:
        for action in report.actions:
            if action is Action.STOP:
                self.progress.stopped = "stopped by a companion"
            elif action is Action.RESET_OPTIMIZER:
                stage.optimizer.inner.state.clear()
            else:
                self.models.policy.keep_reference()

    def _check_empty(self, report: StepReport) -> None:
        progress = self.progress
        progress.empty_steps = progress.empty_steps + 1 if report.is_empty else 0
        if progress.empty_steps >= self.run.train.max_empty_steps:
            reasons = {**report.batch.dropped, **report.batch.skipped}
            raise MethodError(
                f"{progress.empty_steps} steps in a row had no group to train on "
                f"(step {report.clock.step}: {report.batch.num_draws} samples drawn; "
                f"left out: {reasons or 'none'}). Are the rewards of a group all equal? "
                "Raise train.max_draws, rollout.temperature or method.group_size, "
                "or train a cold start first"
            )

    def _check_time(self) -> None:
        limit = self.run.train.time_limit_s
        if limit is not None and self._seconds_so_far() >= limit:
            self.progress.stopped = f"time limit of {limit:g} s"

    def _agree(self) -> None:
        """Lets all ranks break off, or none: signals and clocks are each rank's own.

        A rank that left by itself would stand at a barrier while the others gather, for ever.
        """
        told = self.ranks.gather([(self._signals.arrived, self.progress.stopped)])
        self.interrupted = any(arrived for arrived, _ in told)
        self.progress.stopped = next((why for _, why in told if why), "")

    # evaluation

    def _promote(self, config: StageConfig) -> None:
        """Evaluates the stage's promotion rule; broken off by Ctrl-C, it stays pending."""
        progress, rule = self.progress, config.promote
        assert rule is not None
        index, settings = progress.stage, promotion_eval(self.run, rule)
        if index not in self._promotion_samples:
            self._promotion_samples[index] = eval_samples(settings, self.run.seed)
        start = time.perf_counter()
        evaluation = self._evaluated(self._promotion_samples[index], settings, progress.step)
        if evaluation is None:
            return
        found = judge(self.loaded, index, rule, evaluation, progress.promote_in_a_row)
        progress.promote_pending, progress.promote_value = False, found.value
        progress.promote_in_a_row = found.in_a_row
        if found.is_promoted:
            progress.stage_ended = "promoted"
        seconds = time.perf_counter() - start
        self._tell(lambda o: o.on_promotion(found, seconds))

    def _finish_pending(self) -> None:
        """The evaluation that is due, if one is; broken off by Ctrl-C, it stays pending."""
        if self.progress.eval_pending and not self.interrupted and self._evaluate():
            self.progress.eval_pending = False

    def _evaluate(self) -> bool:
        """Evaluates at the current step and lets the best be kept; False when broken off."""
        step = self.progress.step
        if not self.eval_samples:
            return True
        path = self.folder.evaluation(step)
        start = time.perf_counter()
        if path.exists() and self.progress.step > 0:
            evaluation = Evaluation.load(path, step)
        else:
            done = self._run_evaluation(step)
            if done is None:
                return False
            evaluation = done
            if self.ranks.is_first:
                evaluation.save(path)
        seconds = time.perf_counter() - start
        self.progress.eval_steps.append(step)
        self._tell(lambda o: o.on_eval(evaluation, seconds))
        self._keep_best(evaluation)
        return True

    def _run_evaluation(self, step: int) -> Evaluation | None:
        config = self.run.eval
        is_border = step in (0, self.total_steps) or bool(self.progress.stopped)
        samples = self.eval_samples
        if not is_border and config.interim_limit is not None:
            samples = samples[: config.interim_limit]
        return self._evaluated(samples, config, step)

    def _evaluated(self, samples: list[Sample], config: EvalConfig, step: int) -> Evaluation | None:
        """The evaluation, or None when Ctrl-C broke it off."""
        try:
            return evaluate_samples(
                samples,
                self.models,
                config,
                seed=self.run.seed,
                step=step,
                ranks=self.ranks,
                progress=self._eval_progress,
            )
        except BrokenOff:
            return None
        finally:
            self.models.forget()

    def _eval_progress(self, done: int, total: int) -> None:
        """Comes as often on every rank, so that it may ask them all."""
        self._agree()
        if self.interrupted:
            raise BrokenOff
        self._tell(lambda o: o.on_progress("evaluating", done, total))

    def _keep_best(self, evaluation: Evaluation) -> None:
        progress, early = self.progress, self.run.eval.early_stop
        measure = self.run.checkpoint.best or (early.measure if early else None)
        if measure is None:
            return
        if measure not in evaluation.estimates:
            raise self.loaded.located(
                "checkpoint.best" if self.run.checkpoint.best else "eval.early_stop.measure",
                f'no measure "{measure}"; there are {", ".join(sorted(evaluation.estimates))}',
            )
        value = evaluation.estimates[measure].mean
        if progress.best is None or value > progress.best:
            progress.best, progress.best_step = value, evaluation.step
            progress.evals_without_best = 0
            if self.run.checkpoint.best and self.ranks.is_first:
                self.folder.replace("best", self.models.policy.save)
            return
        progress.evals_without_best += 1
        if early and progress.evals_without_best >= early.patience:
            progress.stopped = f"{measure} has not improved for {early.patience} evaluations"

    # state

    def _save(self, stage: Stage) -> None:
        self._count_time()
        if self.ranks.is_first:
            policy = self.models.policy
            self.checkpoints.save(
                Snapshot(
                    step=self.progress.step,
                    policy=policy.trainable_state(),
                    optimizer=stage.optimizer.tensors(),
                    parts=stage.parts_state(),
                    state={"progress": dict(vars(self.progress)), "logs": self.folder.sizes()},
                )
            )
        self.ranks.barrier()

    def _latest(self) -> Snapshot | None:
        """The newest checkpoint, once the first rank has removed what came after it."""
        if self.ranks.is_first:
            self.checkpoints.clean()
        self.ranks.barrier()
        snapshot = self.checkpoints.latest()
        if self.ranks.is_first:
            self.folder.cut_back(
                snapshot.state["logs"] if snapshot else {},
                next_step=snapshot.step if snapshot else 0,
            )
        self.ranks.barrier()
        return snapshot

    def _restore(self, snapshot: Snapshot | None) -> None:
        if snapshot is None:
            return
        self.progress = Progress(**snapshot.state["progress"])
        self.models.policy.load_trainable_state(dict(snapshot.policy))

    def _seconds_so_far(self) -> float:
        return self.progress.seconds_total + time.perf_counter() - self._began

    def _count_time(self) -> None:
        self.progress.seconds_total = self._seconds_so_far()
        self._began = time.perf_counter()

    # outside world

    def _tell(self, say: Callable[[Observer], None]) -> None:
        for observer in self.observers:
            say(observer)


def set_threads(threads: int | None) -> None:
    """Fixes torch's CPU threads: sums, and so results, depend on their number."""
    if threads is not None:
        torch.set_num_threads(threads)


def run_folder(loaded: LoadedRun) -> Path:
    return Path(loaded.run.run_dir or Path("runs") / loaded.run.name)
