"""The recipe as data: every setting once, with its unit, its default and its reason.

What a method's own settings are is not known here: `method` keeps them as they stand and the
method's spec validates them (`mmrl.methods.base`), as do data entries and rewards by their rooms.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ORIGINS = ("task", "cfg", "dataset", "stage")
"""Where the samples of a data entry may come from."""


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused, docstrings are the reference."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def given(self) -> dict[str, Any]:
        """The settings that are not None."""
        return {name: value for name, value in self.model_dump().items() if value is not None}


class LoraConfig(Section):
    """Low-rank adapters on the language model (PEFT)."""

    r: int = Field(default=16, ge=1)
    """Rank."""
    alpha: float = 32.0
    """Scale numerator: the update is multiplied by alpha / r."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Off: dropout makes the old and the new log-probs of equal weights differ."""
    targets: tuple[str, ...] = ()
    """Module name suffixes; empty means every linear layer of the language model."""


class PolicyConfig(Section):
    """The model that is trained."""

    model: str
    """Checkpoint folder (safetensors), relative to the working directory."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of weights and arithmetic; float32 where there is no GPU."""
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    """"auto" takes cuda, then mps, then cpu."""
    attention: Literal["sdpa", "eager", "flash_attention_2"] = "sdpa"
    lora: LoraConfig | None = None
    quantize: Literal["none", "4bit"] = "none"
    """4-bit base weights under LoRA (needs bitsandbytes and a CUDA device)."""
    freeze: tuple[Literal["vision", "projector", "language"], ...] = ()
    """Parts that keep their weights."""
    gradient_checkpointing: bool = False
    """Recomputes activations in the backward pass: slower, less memory."""
    max_prompt_tokens: int = Field(default=16384, ge=1)
    """Prompts longer than this are refused or their frames reduced; never cut."""
    over_budget: Literal["refuse", "reduce_frames"] = "refuse"
    always_run_vision: bool = False
    """Text-only batches run the tower on a zero-weight dummy (needed with several ranks)."""
    form: Literal["auto", "shared", "repeated"] = "auto"
    """How completions of a prompt are scored: behind one copy of it or behind their own copies;
    "auto" shares where that is predicted to be at least 1.05 times cheaper."""
    reuse_vision: Literal["auto", "on", "off"] = "auto"
    """Keeps a frozen tower's features for the step; "auto" times the first media."""


class MediaBudgetConfig(Section):
    """Pixels and frames of one medium; None takes the family's own default."""

    min_pixels: int | None = Field(default=None, ge=1)
    """Per picture or frame."""
    max_pixels: int | None = Field(default=None, ge=1)
    """Per picture or frame."""
    total_pixels: int | None = Field(default=None, ge=1)
    """Over all frames of a clip."""
    fps: float | None = Field(default=None, gt=0)
    """Frames sampled a second of video."""
    num_frames: int | None = Field(default=None, ge=1)
    """Exact number of frames; excludes fps."""
    min_frames: int | None = Field(default=None, ge=1)
    max_frames: int | None = Field(default=None, ge=1)
    strategy: Literal["uniform", "fps", "span-aware", "shuffled", "scenes"] | None = None


class MediaConfig(Section):
    """How pictures and clips are read."""

    image: MediaBudgetConfig = MediaBudgetConfig()
    video: MediaBudgetConfig = MediaBudgetConfig()
    on_error: Literal["skip", "raise"] = "skip"
    """A sample whose media cannot be read is counted and left out, or ends the run."""
    cache_dir: str | None = None
    """Decoded clips on disk; None keeps them in memory only."""
    cache_gb: float = Field(default=4.0, gt=0)
    """Bound of the disk cache, in 2**30 bytes."""
    memory_gb: float = Field(default=1.0, gt=0)
    """Bound of decoded media held in memory, in 2**30 bytes."""
    workers: int = Field(default=1, ge=0)
    """Decoding processes for clips; 0 decodes in the training process (no time limit then)."""
    timeout_s: float = Field(default=30.0, gt=0)
    """A clip that takes longer is killed and quarantined."""


class RolloutConfig(Section):
    """How completions are sampled."""

    engine: Literal["transformers"] = "transformers"
    max_new_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    """1: log-probs of the learner need no correction."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    """0 keeps all. With truncation the kept ids are stored and ratios renormalised on them."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion."""
    environment: str | None = None
    """`path/to/file.py:name` of a callable that makes an environment of a sample, for episodes of
    several turns (see `mmrl.rollout.environment`); None is one turn."""
    max_turns: int = Field(default=8, ge=1)
    """Turns of an episode at most; `max_new_tokens` holds for each."""


class RewardConfig(Section):
    """One reward: of the task (`name`), registered, or a function in a file."""

    name: str
    """A reward of the task, a registered one, or a label for `function`."""
    function: str | None = None
    """`path/to/file.py:name` or `package.module:name`."""
    kind: Literal["mmrl", "trl", "verl", "easyr1"] = "mmrl"
    """Calling convention of `function`."""
    weight: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)
    timeout_s: float = Field(default=10.0, gt=0)
    """Per sample; a slower call is killed and the part marked failed."""
    in_process: bool = False
    """Runs in the training process, untimed (for functions that cannot travel)."""
    kwargs: dict[str, Any] = {}
    """Arguments of `function`; without one, settings of the reward, such as `run: {}` of chart_data
    (runs programs in the sandbox: `mmrl.rewards.programs.RunPrograms`)."""


class DataEntry(Section):
    """One constituent of a mixture: exactly one of `task`, `cfg`, `dataset`, `stage`."""

    task: str | None = None
    """A procedural world by its task name."""
    cfg: str | None = None
    """A `datasets_cfg/*.yaml` file."""
    dataset: str | None = None
    """A data set registered by `register_dataset`."""
    stage: str | None = None
    """`NAME.kept` or `NAME.failed`: what an earlier stage of kind `collect` kept or did not."""
    split: str | None = None
    """None means "train" for training and "test" for evaluation."""
    weight: float = Field(default=1.0, ge=0)
    """Share of draws, relative to the other entries."""
    limit: int | None = Field(default=None, ge=1)
    """Only the first rows, or the size of a world's epoch."""
    blank: bool = False
    """Shows grey pictures and clips in place of the entry's own: a control that shows whether the
    task is answered by looking."""
    options: dict[str, Any] = {}
    """Options of the world."""

    @model_validator(mode="after")
    def _one_origin(self) -> DataEntry:
        given = [k for k in ORIGINS if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(ORIGINS)}; got {given or 'none'}")
        if self.stage is not None and (self.split is not None or self.options):
            raise ValueError("what a stage collected has no split and no options of its own")
        return self


class OptimizerConfig(Section):
    """AdamW and its schedule."""

    lr: float = Field(default=1e-6, ge=0)
    """Peak learning rate (1e-6: the usual for 3-7 B models)."""
    rates: dict[str, float] = {}
    """Learning rates by module prefix: "vision", "projector", "language", or a parameter prefix."""
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    min_lr_ratio: float = Field(default=0.0, ge=0, le=1)
    """Where linear and cosine end, as a share of the peak."""
    max_grad_norm: float = Field(default=1.0, gt=0)


class KeepConfig(Section):
    """Which samples a collect stage keeps: `low < pass rate < high`, spread of the score at least
    `min_std`. All others have failed."""

    low: float | None = Field(default=0.0, ge=0, le=1)
    """The share of right completions lies above this; null asks for none."""
    high: float | None = Field(default=1.0, ge=0, le=1)
    """The share of right completions lies below this; null keeps what is always right too (as
    rejection sampling wants it)."""
    min_std: float | None = Field(default=None, ge=0)
    """Least standard deviation (population) of the score over a sample's completions."""


class CollectConfig(Section):
    """What a stage of kind `collect` does with each sample that it draws."""

    samples: int = Field(default=8, ge=1)
    """Completions of each sample; their scores decide."""
    temperature: float = Field(default=1.0, gt=0)
    keep: KeepConfig = KeepConfig()
    form: Literal["samples", "demonstrations"] = "samples"
    """What a later sft stage reads of the kept: their gold answers ("samples") or their right
    completions, token by token as they were sampled ("demonstrations"). An rl stage reads samples
    in both."""
    per_sample: int = Field(default=1, ge=1)
    """Right completions of a sample that become demonstrations at most."""


class PromoteConfig(Section):
    """Ends a stage early once a measure was above a bound in several evaluations in a row."""

    measure: str
    """A measure of evaluation: the task's score, "accuracy", "iou_greedy", …"""
    above: float
    times: int = Field(default=1, ge=1)
    """Evaluations in a row that must lie above."""
    every: int = Field(default=10, ge=1)
    """Steps of the stage between these evaluations, which are apart from those of `eval`."""
    data: tuple[DataEntry, ...] = ()
    """Empty takes the data of `eval`."""
    limit: int = Field(default=64, ge=1)
    """Samples an entry."""


class StageConfig(Section):
    """A part of the run with its own data and settings; what is not said is the recipe's.

    `rl` and `sft` train; `collect` samples, scores and sorts, and writes a data set that later
    stages name as `stage: NAME.kept` or `NAME.failed`.
    """

    name: str
    """Of a collect stage also a folder's name: letters, digits, `_` and `-`."""
    kind: Literal["rl", "sft", "collect"] = "rl"
    steps: int = Field(ge=1)
    """At most: `promote` ends a stage early, and a collect stage ends when every row was drawn."""
    data: tuple[DataEntry, ...] = ()
    method: dict[str, Any] = {}
    """Settings that differ from the recipe's method in this stage."""
    rewards: tuple[RewardConfig, ...] | None = None
    optimizer: dict[str, Any] = {}
    """Settings that differ from the recipe's optimizer."""
    collect: CollectConfig | None = None
    """Of kind `collect` only; None takes the defaults."""
    promote: PromoteConfig | None = None
    start: Literal["carry", "initial"] = "carry"
    """Weights at the stage's start: those of the stage before, or the model's as it was loaded
    (moving averages of weights begin anew with it)."""
    reset_optimizer: bool = False
    """Forgets the moments at the stage's start; else they are carried over."""
    reset_clock: bool = True
    """Schedule and whatever else goes by the share of the stage that is done run over the stage;
    false lets them run over the whole run (its steps as they are known by then)."""
    reference: Literal["renew", "carry"] = "renew"
    """The reference model of a KL term: the weights at this stage's start, or the one that an
    earlier stage kept."""
    prompts_per_step: int | None = Field(default=None, ge=1)
    """None takes the recipe's."""
    draw: Literal["shuffle", "weighted"] | None = None
    """None takes the recipe's."""


class EarlyStop(Section):
    """Ends the run when a measure has not improved."""

    measure: str
    patience: int = Field(default=3, ge=1)
    """Evaluations without a new best."""


class EvalConfig(Section):
    """Evaluation on held-out samples."""

    data: tuple[DataEntry, ...] = ()
    every: int = Field(default=0, ge=0)
    """Steps between evaluations; 0 evaluates before the first and after the last step only."""
    samples: int = Field(default=4, ge=1)
    """Completions whose measures are averaged, at `temperature`."""
    best_of: int = Field(default=8, ge=1)
    """Completions of which the best counts, for the room that is left."""
    greedy: bool = True
    temperature: float = Field(default=1.0, gt=0)
    limit: int = Field(default=256, ge=1)
    """Samples an entry of `data`."""
    interim_limit: int | None = Field(default=None, ge=1)
    """Samples an entry at evaluations in the middle of the run; None takes `limit`."""
    batch_prompts: int = Field(default=32, ge=1)
    """Prompts sampled together."""
    early_stop: EarlyStop | None = None


class TrainConfig(Section):
    """The loop."""

    steps: int = Field(default=100, ge=1)
    """Of the only stage, when `stages` is not given."""
    prompts_per_step: int = Field(default=16, ge=1)
    """Groups that a step trains on, over all ranks."""
    tokens_per_pack: int = Field(default=16384, ge=1)
    """Tokens that go through the model together: each prompt of a pack once, all completions."""
    self_check: bool = True
    """Compares the first pack's log-probs with those of plain rows that repeat their prompt."""
    draw: Literal["shuffle", "weighted"] = "shuffle"
    """Every row once an epoch, or rows by their observed pass rate (one finite data entry)."""
    max_draws: int = Field(default=0, ge=0)
    """Samples a step may draw to fill up after gates; 0 means 4 x prompts_per_step."""
    max_empty_steps: int = Field(default=10, ge=1)
    """Steps in a row without a usable group before the run ends with the reason."""
    time_limit_s: float | None = Field(default=None, gt=0)
    """Training stops with a checkpoint when this is used up (evaluation included)."""
    prefetch: bool = True
    """Reads the next step's media while this one trains."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of torch; fixed for bit-equal results. None keeps torch's choice."""


class CheckpointConfig(Section):
    """What is kept to resume and to use."""

    every: int = Field(default=50, ge=0)
    """Steps between checkpoints; 0 keeps the last only."""
    keep: int = Field(default=2, ge=1)
    """Newest checkpoints kept."""
    best: str | None = None
    """Evaluation measure whose best checkpoint is kept beside them, e.g. "iou"."""


class LogConfig(Section):
    """Observers: where figures and rollouts go."""

    console: Literal["auto", "live", "lines", "quiet"] = "auto"
    """"auto": a live line on a terminal, plain lines elsewhere."""
    rollouts_every: int = Field(default=1, ge=0)
    """Steps between written rollout files; 0 writes none."""
    tokens: bool = True
    """Writes the token table (ids, log-probs, advantages, weights) beside the rollouts."""
    report: bool = True
    """Writes report.html at the end; `mmrl report RUN` makes it at any time."""
    tensorboard: bool = False
    wandb: bool = False
    trackio: bool = False
    project: str = "mmrl"
    """Project name for wandb and trackio."""


class Run(Section):
    """A whole recipe, resolved."""

    name: str = "run"
    run_dir: str | None = None
    """Run folder; None means runs/<name>."""
    seed: int = Field(default=0, ge=0)
    policy: PolicyConfig
    media: MediaConfig = MediaConfig()
    rollout: RolloutConfig = RolloutConfig()
    method: dict[str, Any] = {"name": "grpo"}
    """`name` and the method's own settings (see `mmrl show methods`)."""
    rewards: tuple[RewardConfig, ...] | None = None
    """None takes the task's own rewards."""
    plugins: tuple[str, ...] = ()
    """Python files or modules imported first: they register data sets, rewards, methods."""
    data: tuple[DataEntry, ...] = ()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()
    stages: tuple[StageConfig, ...] = ()
    eval: EvalConfig = EvalConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log: LogConfig = LogConfig()
