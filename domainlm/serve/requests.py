"""What may be asked for over HTTP: the fields of OpenAI's completions and chats, each obeyed or refused by name."""

import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveInt, model_validator

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "best_of": (None, 1),
    "echo": (None, False),
    "suffix": (None, ""),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "parallel_tool_calls": (None, True, False),
    "response_format": (None, {"type": "text"}),
    "user": (),
    "metadata": (),
    "store": (None, False),
}
"""Fields that clients send although they change nothing, with the values that do not; () stands for any value."""

MOST_STOPS = 4  # as OpenAI has it
MOST_PROMPTS = 16


class StreamOptions(BaseModel, frozen=True, extra="forbid"):
    """What a stream tells besides the text."""

    include_usage: bool = False


class Asked(BaseModel, use_attribute_docstrings=True):
    """What completions and chats share; `retrieve` and `date` are ours, openai's client sends them as `extra_body`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str
    """The name that /v1/models tells."""
    max_tokens: PositiveInt | None = None
    """Most tokens of the answer. None: what the server's command says, as far as the context goes."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    seed: NonNegativeInt | None = None
    stop: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda stop: () if stop is None else (stop,) if isinstance(stop, str) else stop),
    ] = Field(default=(), max_length=MOST_STOPS)
    stream: bool = False
    stream_options: StreamOptions | None = None
    retrieve: NonNegativeInt | None = None
    """Passages to set before the question. None: what the server's command says."""
    date: datetime.date | None = None
    """No passage is later than this. None: the run's cutoff."""

    @model_validator(mode="before")
    @classmethod
    def _drop_what_changes_nothing(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        for name, neutral in NEUTRAL.items():
            if name in fields and neutral and fields[name] not in neutral:
                raise ValueError(f"{name}={fields[name]!r} is not computed by this server: leave it out")
        return {name: value for name, value in fields.items() if name not in NEUTRAL}

    @model_validator(mode="after")
    def _stops_end_something(self) -> Self:
        if "" in self.stop:
            raise ValueError("stop: an empty string ends nothing")
        return self


class CompletionRequest(Asked):
    """Texts to continue."""

    prompt: Annotated[
        tuple[str, ...], BeforeValidator(lambda prompt: (prompt,) if isinstance(prompt, str) else prompt)
    ] = Field(min_length=1, max_length=MOST_PROMPTS)


class TextPart(BaseModel, frozen=True, extra="forbid"):
    """A part of a message; of the kinds that there are, text alone."""

    type: Literal["text"]
    text: str


class Message(BaseModel, frozen=True, extra="forbid"):
    """One turn of a conversation."""

    role: Annotated[
        Literal["system", "user", "assistant"], BeforeValidator(lambda role: "system" if role == "developer" else role)
    ]
    content: str | tuple[TextPart, ...]

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(Asked):
    """A conversation to go on with."""

    messages: tuple[Message, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _one_name_for_the_limit(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "max_completion_tokens" not in fields:
            return fields
        if fields.get("max_tokens") is not None:
            raise ValueError("max_tokens and max_completion_tokens say the same: give one of them")
        return {("max_tokens" if name == "max_completion_tokens" else name): fields[name] for name in fields}

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError("messages: the last is the user's, to be answered")
        return self
