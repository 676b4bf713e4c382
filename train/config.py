"""The configuration of a run: what may be set, its defaults, and what contradicts what."""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from data.addresses import without_secrets
from data.config import DataConfig, TokenizerConfig
from data.examples.config import ExamplesConfig
from data.files import value_digest
from data.retrieval.config import RetrievalConfig
from evaluation.config import EvaluationConfig
from model.config import ModelConfig, why_not_divided
from model.lora.config import LoraConfig
from train.deepspeed_settings import own_settings, value_of
from train.hardware import HardwareConfig
from train.rates.settings import MuonConfig, TunedAt

CHECKOUT = Path(__file__).resolve().parent.parent
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""What a run may be called, which is a folder's name too."""


class SpikesConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is a spike of the loss or the gradient, and what is done about it."""

    policy: Literal["log", "skip", "rewind"] = "log"
    """log: write it down; skip: do not apply the step; rewind: go back to a checkpoint and pass over the batches around
    it. A step that is not finite is never applied. Whatever is skipped is in journal.jsonl, and skipped again."""
    window: int = Field(default=128, ge=8)
    """Applied steps that a step is compared with; judging begins when half of them are there."""
    sigmas: PositiveFloat = 8.0
    """A spike is this many (robust) standard deviations above the window's median, in loss or gradient norm."""
    margin: NonNegativeInt = 100
    """With `rewind`, steps before and after the spike that are passed over with it."""
    limit: PositiveInt = 5
    """Spikes that may be skipped within a window; one more ends the run. With `log`, that are computed a second time
    within a window; more are written down and no more than that, for then the level has shifted."""


class TrainingConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True):
    """How the model is optimised; the defaults are the published recipe's where it has one (arXiv 2303.17564 §3.3)."""

    steps: PositiveInt
    """Optimizer steps of the whole run."""
    batch_size: PositiveInt | dict[NonNegativeInt, PositiveInt]
    """Sequences in a global batch; or a warm-up as {steps done: sequences}, such as {0: 1024, 7200: 2048}."""
    micro_batch: PositiveInt
    """Sequences that one rank, or a group of `sequence_ranks`, takes through the model at a time. `auto`: as many as
    the plan says fit."""
    sequence_ranks: PositiveInt = 1
    """Ranks that share each sequence, for long ones: each holds a slice of its positions, and in attention a slice of
    the heads. Neither batches nor their order depend on it."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """muon: the matrices of the blocks by Muon (`muon`), which learns more of each token; all else by AdamW."""
    muon: MuonConfig = MuonConfig()
    """Muon's own settings."""
    tuned_at: TunedAt | None = None
    """The smaller model on which rates and decay were found: they and the initial values are carried over from its size
    to this model's. None: all are taken as they are given."""
    learning_rate: PositiveFloat
    """Highest learning rate, reached at the end of the warm-up."""
    minimum_learning_rate: NonNegativeFloat = 0.0
    """Learning rate at the last step."""
    schedule: Literal["cosine", "wsd"] = "cosine"
    """cosine: half a cosine from the warm-up to the last step; wsd: warm-up, stable, linear decay at the end."""
    warmup_steps: NonNegativeInt = 0
    """Steps of linear warm-up from zero."""
    decay_fraction: float = Field(default=0.2, gt=0, le=1)
    """Share of the steps over which `wsd` decays."""
    weight_decay: NonNegativeFloat = 0.1
    """Decay of matrices, times the learning rate; biases and norm gains are never decayed."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay rates of the first and second moment."""
    epsilon: PositiveFloat = 1e-8
    """AdamW's epsilon."""
    gradient_clipping: NonNegativeFloat = 1.0
    """Largest global norm of the gradient; 0 turns clipping off."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: weights and activations in bfloat16; master weights, accumulation and reductions stay in fp32."""
    activation_checkpointing: bool | PositiveInt | Literal["selective"] = False
    """Memory for computation: true recomputes each block in the backward pass (about a third more computation, far less
    memory), k every k-th block, selective only what is cheap: norms, activations and sums."""
    compile: bool = False
    """Compile the blocks with torch.compile: minutes at the start of a run, faster steps on a GPU."""
    deepspeed: dict[str, Any]
    """DeepSpeed's own configuration: a JSON file (configs/deepspeed/zero1.json) or its content."""
    save_every: PositiveInt = 500
    """Steps between checkpoints; the last step is always saved."""
    keep_checkpoints: PositiveInt = 2
    """How many of the newest checkpoints stay on disk."""
    keep_every: PositiveInt | None = None
    """Checkpoints of steps that this divides stay on disk for good."""
    keep_best: str | None = Field(default=None, pattern=r"^([^/]+/)?(past|future)$")
    """Held-out text on which the best checkpoint is kept too: SOURCE/SPLIT, or SPLIT for the mean over the sources."""
    asynchronous_saves: bool = True
    """Write checkpoints while training goes on, from a copy in host memory (12 bytes a parameter over the ranks)."""
    log_every: PositiveInt = 1
    """Steps between console lines; metrics.jsonl has every step."""
    spikes: SpikesConfig = SpikesConfig()
    """Jumps of the loss or the gradient: what counts as one, and what is done about it."""
    diagnose_every: PositiveInt = 100
    """Steps between lines of diagnostics.jsonl (size of each tensor and of its gradient) and comparisons of the ranks'
    copies of the weights."""
    hang_timeout: PositiveInt = 1800
    """Seconds without a sign of life (a step, a batch of an evaluation, a save) after which a rank writes its stack to
    standard error and ends the run."""
    local_ranks: PositiveInt | None = None
    """Ranks that `domainlm train` starts on this machine: default one a GPU, or one on a machine without."""

    @field_validator("batch_size")
    @classmethod
    def _batch_size_starts_at_zero(cls, value: int | dict[int, int]) -> int | dict[int, int]:
        if isinstance(value, dict) and 0 not in value:
            raise ValueError("a batch-size schedule starts at step 0: {0: 1024, 7200: 2048}")
        return dict(sorted(value.items())) if isinstance(value, dict) else value

    @field_validator("deepspeed")
    @classmethod
    def _deepspeed_leaves_ours_alone(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in ("offload_optimizer", "offload_param"):
            if value_of(value, f"zero_optimization.{key}.device") == "nvme":
                raise ValueError(f"{key} to NVMe is not supported, checkpoints cannot reach it: set its device to cpu")
        return own_settings(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps {self.warmup_steps} leaves nothing of steps {self.steps}")
        if self.minimum_learning_rate > self.learning_rate:
            raise ValueError(
                f"minimum_learning_rate {self.minimum_learning_rate} is above learning_rate {self.learning_rate}"
            )
        if self.precision == "bf16" and self.zero_stage == 0:
            raise ValueError(
                "bf16 needs ZeRO stage 1, 2 or 3: at stage 0 DeepSpeed keeps no fp32 master weights of its own kind "
                "and trains visibly worse; set deepspeed to configs/deepspeed/zero1.json or precision to fp32"
            )
        ratio = value_of(self.deepspeed, "zero_optimization.offload_optimizer.ratio")
        if self.optimizer == "muon" and ratio not in (None, 1, 1.0):
            raise ValueError(
                f"zero_optimization.offload_optimizer.ratio {ratio} would have part of the matrices updated by AdamW: "
                "take it out, or set optimizer to adamw"
            )
        for size in self.batch_sizes.values():
            if size % self.micro_batch:
                raise ValueError(f"batch_size {size} is not a multiple of micro_batch {self.micro_batch}")
        return self

    @property
    def batch_sizes(self) -> dict[int, int]:
        """The batch size as {steps done: sequences}, ascending from 0, where it never changes too."""
        return self.batch_size if isinstance(self.batch_size, dict) else {0: self.batch_size}

    @property
    def zero_stage(self) -> int:
        """DeepSpeed's ZeRO stage, 0 to 3."""
        return int(self.deepspeed.get("zero_optimization", {}).get("stage", 0))


class MonitoringConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Where the metrics go besides metrics.jsonl."""

    wandb: bool = True
    """Mirror to Weights & Biases: offline unless the environment sets WANDB_MODE."""
    project: str = "domainlm"
    """W&B project."""
    group: str | None = None
    """W&B group."""
    tags: tuple[str, ...] = ()
    """W&B tags."""
    notes: str | None = None
    """W&B notes: what the run is for."""
    job_type: str = "pretrain"
    """W&B job type."""
    artifacts: Literal["none", "report", "checkpoint"] = "none"
    """What W&B keeps besides the figures: nothing; the reports; or the reports and the weights of the last step."""
    init_timeout_seconds: PositiveFloat = 60
    """How long the start may wait for W&B's server; after that the run goes on offline and says so."""


class FinetuneConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True):
    """Fine-tuning on examples of conversations, which is a run of its own that begins with the weights of this one."""

    name: str = Field(pattern=NAME)
    """Name of the fine-tuning, whose run is called RUN-NAME."""
    folder: str | None = None
    """Its folder. None: finetune/NAME in the run's folder."""
    examples: tuple[ExamplesConfig, ...] = Field(min_length=1)
    """What is learnt; all have weights or none has, as the run's sources."""
    checkpoint: PositiveInt | None = None
    """Step of the checkpoint to begin with. None: the newest."""
    init_from: str | None = None
    """Hugging Face folder to begin with, of this run's architecture. None: this run's checkpoint."""
    held_out_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the examples that is measured and not trained on, beside sources that are `held_out`."""
    template: str | None = None
    """Chat template, a file of jinja. None: that of the tokenizer, or where it has none this project's."""
    marks: tuple[str, ...] = ()
    """Pieces of `template` that no text becomes; those that the tokenizer lacks are added to it."""
    epochs: PositiveFloat = 2.0
    """Passes over the examples."""
    steps: PositiveInt | None = None
    """Optimizer steps, instead of epochs."""
    batch_size: PositiveInt = 32
    """Rows in a global batch, each of as many examples as fit into it."""
    micro_batch: PositiveInt | None = None
    """Rows that one rank takes through the model at a time. None: training.micro_batch."""
    learning_rate: PositiveFloat = 2e-5
    """Highest learning rate; it falls to 0 by half a cosine."""
    warmup_fraction: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps over which the rate rises."""
    sequence_length: PositiveInt | None = None
    """Tokens of a row, and of the longest example. None: model.sequence_length."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Any other setting of the fine-tuning's run by its dotted key, such as {training.save_every: 50}."""

    @field_validator("examples")
    @classmethod
    def _examples_agree(cls, examples: tuple[ExamplesConfig, ...]) -> tuple[ExamplesConfig, ...]:
        names = [one.name for one in examples]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"names of examples must differ, more than one is called {', '.join(repeated)}")
        trained = [one for one in examples if not one.held_out]
        if not trained:
            raise ValueError("all examples are held_out: none is left to train on")
        unweighted = [one.name for one in trained if one.weight is None]
        if unweighted and len(unweighted) < len(trained):
            raise ValueError(f"give all that are trained on a weight or none: {', '.join(unweighted)} has none")
        return examples

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.init_from and self.checkpoint:
            raise ValueError("init_from and checkpoint: weights begin with one of them, leave out the other")
        return self


class RunConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A whole run: with the documents and the seed it decides every token and every weight."""

    name: str = Field(pattern=NAME)
    """Name of the run; its folder is runs/NAME unless `folder` says otherwise."""
    folder: str | None = None
    """The run's folder."""
    seed: NonNegativeInt = 0
    """Decides splits, initial weights, data order, dropout and samples."""
    init_from: str | None = None
    """Hugging Face folder (BLOOM, Llama or Qwen3) whose weights training begins with. None: from scratch."""
    lora: LoraConfig | None = None
    """Train an adapter beside the frozen weights of `init_from`. None: all weights are trained."""
    data: DataConfig
    tokenizer: TokenizerConfig
    model: ModelConfig
    training: TrainingConfig
    evaluation: EvaluationConfig = EvaluationConfig()
    monitoring: MonitoringConfig = MonitoringConfig()
    retrieval: RetrievalConfig = RetrievalConfig()
    """How passages of the corpus are found for a question."""
    hardware: HardwareConfig | None = None
    """What the run is planned for; without it `domainlm plan` takes this machine."""
    finetune: FinetuneConfig | None = None
    """What `domainlm finetune` does with the trained model."""

    @model_validator(mode="after")
    def _vocabulary_fits(self) -> Self:
        if self.tokenizer.vocabulary_size > self.model.vocabulary_size:
            raise ValueError(
                f"tokenizer.vocabulary_size {self.tokenizer.vocabulary_size} does not fit model.vocabulary_size "
                f"{self.model.vocabulary_size}: make them equal, or the model's larger"
            )
        return self

    @model_validator(mode="after")
    def _beginning_fits(self) -> Self:
        if self.lora is not None and self.init_from is None:
            raise ValueError("lora adapts the weights of a base, and there is none: set init_from to its folder")
        if self.lora is not None and self.training.optimizer == "muon":
            raise ValueError("lora's small matrices are trained by AdamW alone: set training.optimizer to adamw")
        if self.init_from is not None and self.training.tuned_at is not None:
            raise ValueError(
                "training.tuned_at belongs to initial values that are drawn by it, and init_from brings its own: leave "
                "tuned_at out, and give rates for weights that are trained already"
            )
        return self

    @model_validator(mode="after")
    def _rows_can_be_divided(self) -> Self:
        ranks = self.training.sequence_ranks
        if ranks > 1 and self.lora is not None:
            raise ValueError(f"training.sequence_ranks {ranks}: adapters are trained on whole rows, set it to 1")
        if ranks > 1 and self.training.compile:
            raise ValueError(f"training.sequence_ranks {ranks}: it is untried with training.compile, set that to false")
        if reason := why_not_divided(self.model, ranks):
            raise ValueError(f"training.sequence_ranks {ranks}: {reason}")
        return self

    @model_validator(mode="after")
    def _best_is_of_a_source(self) -> Self:
        source, slash, _ = (self.training.keep_best or "").rpartition("/")
        names = [known.name for known in self.data.sources]
        if slash and source not in names:
            raise ValueError(f"training.keep_best: there is no source '{source}', only {', '.join(names)}")
        return self

    @property
    def run_folder(self) -> Path:
        """Everything that the run makes lies below it."""
        return Path(self.folder or f"runs/{self.name}")

    @property
    def data_folder(self) -> Path:
        """Where corpus/, tokenizer/ and shards/ lie: the run's folder, or one shared by several runs."""
        return Path(self.data.folder) if self.data.folder else self.run_folder

    @property
    def corpus(self) -> Path:
        return self.data_folder / "corpus"

    @property
    def tokenizer_folder(self) -> Path:
        return self.data_folder / "tokenizer"

    @property
    def shards(self) -> Path:
        """The shards to train on; of remote ones, the folder of their local copies."""
        if self.data.shards is None:
            return self.data_folder / "shards"
        if not self.shards_are_remote:
            return Path(self.data.shards)
        copies = Path(self.data.cache or self.run_folder / "shard-cache")
        return copies / value_digest(without_secrets(self.data.shards))

    @property
    def shards_are_remote(self) -> bool:
        return "://" in (self.data.shards or "")

    @property
    def metrics(self) -> Path:
        """Lines of the steps, evaluations and saves."""
        return self.run_folder / "metrics.jsonl"

    @property
    def stop_file(self) -> Path:
        """Whoever makes it asks the run to stop."""
        return self.run_folder / "STOP"

    @property
    def checkpoints(self) -> Path:
        return self.run_folder / "checkpoints"

    @property
    def reports(self) -> Path:
        return self.run_folder / "reports"


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration as YAML; `load_config` reads it back to an equal one, but for secrets in addresses."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
