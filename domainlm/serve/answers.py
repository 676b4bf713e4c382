"""Answers in OpenAI's form: whole, or as the events of a stream, of chats and of completions."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from domainlm.generate import Continuation, Prompt

FINISHED = {"length": "length", "end of text": "stop", "end of turn": "stop", "stop string": "stop"}


@dataclass(frozen=True)
class Question:
    """What the model is to continue, and the passages that stand in it; None where none were wanted."""

    prompt: Prompt
    citations: Sequence[dict[str, Any]] | None = None


def event(content: dict[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


@dataclass(frozen=True)
class Answer:
    """What is said of continuations in OpenAI's form, of chats or of completions."""

    model: str
    step: int
    is_chat: bool
    questions: Sequence[Question]
    prompt_tokens: int
    id: str = field(default_factory=lambda: f"domainlm-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, continuations: Sequence[Continuation]) -> dict[str, Any]:
        choices = [
            {"index": place, "finish_reason": FINISHED[done.ended_by], "logprobs": None}
            | ({"message": {"role": "assistant", "content": done.text}} if self.is_chat else {"text": done.text})
            for place, done in enumerate(continuations)
        ]
        kind = "chat.completion" if self.is_chat else "text_completion"
        return self._head(kind) | {"choices": choices, "usage": self._usage(continuations)} | self._citations()

    def opening(self) -> list[dict[str, Any]]:
        """What a stream of a chat begins with; one of completions with nothing."""
        if not self.is_chat:
            return []
        return [self._chunk([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])]

    def piece(self, place: int, text: str) -> dict[str, Any]:
        said = {"delta": {"content": text}} if self.is_chat else {"text": text, "logprobs": None}
        return self._chunk([{"index": place, "finish_reason": None, **said}])

    def endings(self, continuations: Sequence[Continuation], usage: bool) -> list[dict[str, Any]]:
        """Why each text ended, with the citations; and what it took, where that is wanted."""
        said: dict[str, Any] = {"delta": {}} if self.is_chat else {"text": "", "logprobs": None}
        choices = [
            {"index": place, "finish_reason": FINISHED[done.ended_by], **said}
            for place, done in enumerate(continuations)
        ]
        endings = [self._chunk(choices) | self._citations()]
        if usage:
            endings.append(self._chunk([]) | {"usage": self._usage(continuations)})
        return endings

    def _citations(self) -> dict[str, Any]:
        """The field that is ours, where passages were wanted: a list for each prompt, of a chat one alone."""
        if self.questions[0].citations is None:
            return {}
        lists = [list(question.citations or ()) for question in self.questions]
        return {"citations": lists[0] if self.is_chat else lists}

    def _chunk(self, choices: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return self._head("chat.completion.chunk" if self.is_chat else "text_completion") | {"choices": list(choices)}

    def _head(self, kind: str) -> dict[str, Any]:
        """The fingerprint is the step of the weights that answer: they stay those of the server's start."""
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": f"step-{self.step}",
        }

    def _usage(self, continuations: Sequence[Continuation]) -> dict[str, int]:
        written = sum(done.tokens for done in continuations)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": written,
            "total_tokens": self.prompt_tokens + written,
        }
