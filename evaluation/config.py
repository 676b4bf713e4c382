"""What a run measures of its model: settings of evaluations during training and after it."""

from typing import Literal, Self

from pydantic import BaseModel, Field, NonNegativeFloat, PositiveInt, model_validator


class EvaluationConfig(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True):
    """What is measured on the held-out text, during the run and after it."""

    every: PositiveInt = 500
    """Steps between evaluations during training; the last step is always evaluated."""
    batch_size: PositiveInt = 16
    """Windows that one rank scores at a time."""
    training_tokens: PositiveInt = 20_000
    """Tokens of each source and split that an evaluation during training scores: whole documents, evenly spread."""
    tasks: tuple[str, ...] = ()
    """Multiple-choice tasks that are scored during training: names or YAML files, as `domainlm tasks` takes them."""
    tasks_every: PositiveInt | None = None
    """Steps between scores of the tasks, a multiple of `every`; None: every evaluation. The last step is scored too."""
    task_items: PositiveInt | None = 200
    """First items of each task that are scored during training; None: all."""
    task_data: dict[str, str] = {}
    """Where data of tasks are, a local file or folder or a hub id, by the name of the task: for those that come with
    this project."""
    tokens: PositiveInt | None = None
    """The same for the evaluation after training; its baselines measure the same documents. None: all."""
    baselines: tuple[Literal["ngram", "xz", "zstd"], ...] = ("ngram", "xz", "zstd")
    """Models that need no GPU, measured on the same text."""
    compare: tuple[str, ...] = ()
    """Other models that `domainlm run` compares its own with at the end, as `domainlm compare` takes them."""
    compare_tokens: PositiveInt | None = None
    """Tokens of each source and split that a comparison scores, by the run's own tokenizer. None: as in `tokens`."""
    prompts: tuple[str, ...] = ()
    """Beginnings that the trained model continues in the report."""
    new_tokens: PositiveInt = 120
    """Tokens of each continuation."""
    temperature: NonNegativeFloat = 0.8
    """Sampling temperature of the continuations; 0 is greedy."""
    top_p: float = Field(default=0.95, gt=0, le=1)
    """Nucleus of the continuations: the smallest set of tokens with this much probability."""

    @model_validator(mode="after")
    def _tasks_are_scored_with_text(self) -> Self:
        if self.tasks_every and self.tasks_every % self.every:
            raise ValueError(f"tasks_every {self.tasks_every} is not a multiple of every {self.every}")
        return self
