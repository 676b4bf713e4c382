"""Where examples of conversations come from, and what a record of them looks like."""

from typing import Literal, Self

from pydantic import Field, model_validator

from data.source_config import OF_ONE_FORMAT, SourceConfig


class ExamplesConfig(SourceConfig, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One collection of examples; path, ids, dates and weight are as those of a source of documents."""

    form: Literal["messages", "pairs"] = "messages"
    """messages: a record has a list of turns, each with `role` and `content`; pairs: a prompt and a response."""
    messages_field: str = Field(default="messages", min_length=1)
    """Field that holds the turns."""
    prompt_field: str = Field(default="prompt", min_length=1)
    """Field that holds the prompt of a pair."""
    response_field: str = Field(default="response", min_length=1)
    """Field that holds the response of a pair."""
    system_field: str = Field(default="system", min_length=1)
    """Field that holds the system text of a pair, where it has one."""
    labels: tuple[str, ...] = ()
    """All responses that are possible: classification, measured by which of them is the likeliest. None: free text."""
    held_out: bool = False
    """Whether none of these is trained on. False: finetune.held_out_share of them."""

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        if len(self.labels) == 1 or len(set(self.labels)) < len(self.labels) or not all(map(str.strip, self.labels)):
            raise ValueError("labels: two or more are needed, which differ and are not empty")
        return self

    @model_validator(mode="after")
    def _nothing_is_of_documents(self) -> Self:
        for name in ("text_field", "text_is", "language", "tokenizer", "token_dtype", "end_of_text", *OF_ONE_FORMAT):
            if getattr(self, name) != SourceConfig.model_fields[name].default:
                raise ValueError(f"{name} is for documents: examples have messages_field, or the fields of a pair")
        if self.format not in (None, "jsonl", "parquet"):
            raise ValueError(f"format: {self.format} is for documents: examples are JSON lines or Parquet")
        return self

    def source(self) -> SourceConfig:
        """What a run has to know of them: name, place and share of the mixture."""
        return SourceConfig.model_validate(self.model_dump(include=set(SourceConfig.model_fields)) | {"domain": True})
