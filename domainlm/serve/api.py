"""OpenAI's completions and chats over HTTP: who may ask, what is answered, whole or as a stream of events."""

import asyncio
import datetime
import hmac
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from data.errors import DataError
from data.examples.records import Turn
from data.progress import say
from domainlm.generate import Continuation, GenerationSettings, Prompt, Writer, continue_texts
from domainlm.serve.answers import Answer, Question, event
from domainlm.serve.requests import Asked, ChatRequest, CompletionRequest
from domainlm.serve.worker import BusyError, TooLongError, Worker
from train.config_file import ConfigError

SECONDS_BETWEEN_LOOKS = 0.5
"""At whether the one who waits for a whole answer is still there."""
NO_TURNS = "this model knows no turns: ask /v1/completions, or serve one that `domainlm finetune` has made"
Kind = TypeVar("Kind", bound=Asked)
Retrieve: TypeAlias = Callable[[Writer, Sequence[Turn], str, int, datetime.date | None, int], Question]


@dataclass(frozen=True)
class Served:
    """A model and how it is asked.

    Attributes:
        name: of the model, as requests say it.
        settings: of a continuation where a request does not say.
        chat: the model where it knows turns of a conversation.
        retrieve: a text with passages set before it, for (the model, turns before, text, passages, latest date, tokens
            to be left free); None without an index.
        passages: set before a question where a request does not say.
        largest_body: bytes of a request.
        token: the one that requests must bear, or None.
        hosts: names by which the server may be called; None: any.
    """

    name: str
    writer: Writer
    settings: GenerationSettings
    worker: Worker
    chat: Writer | None = None
    retrieve: Retrieve | None = None
    passages: int = 0
    largest_body: int = 1 << 20
    token: str | None = None
    hosts: Sequence[str] | None = None


class RefusedError(Exception):
    """A request that is not answered, with the HTTP status, one line, and OpenAI's name for the kind of error."""

    def __init__(self, status: int, message: str, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.kind = status, kind

    @property
    def content(self) -> dict[str, Any]:
        return {"error": {"message": str(self), "type": self.kind, "param": None, "code": None}}


def make_app(served: Served) -> Starlette:
    """The server's routes: /health, /v1/models, /v1/completions, /v1/chat/completions."""

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def models(request: Request) -> Response:
        _check_token(request, served.token)
        return JSONResponse(
            {"object": "list", "data": [{"id": served.name, "object": "model", "owned_by": "domainlm"}]}
        )

    async def completions(request: Request) -> Response:
        asked = await _read(request, CompletionRequest, served)
        questions = [_question(served, served.writer, asked, (), prompt) for prompt in asked.prompt]
        return await _answer(request, served, served.writer, asked, questions)

    async def chat(request: Request) -> Response:
        asked = await _read(request, ChatRequest, served)
        if served.chat is None:
            raise RefusedError(400, NO_TURNS)
        *earlier, last = (Turn(message.role, message.text) for message in asked.messages)
        question = _question(served, served.chat, asked, earlier, last.content)
        return await _answer(request, served, served.chat, asked, [question])

    routes = [
        Route("/health", health),
        Route("/v1/models", models),
        Route("/v1/completions", completions, methods=["POST"]),
        Route("/v1/chat/completions", chat, methods=["POST"]),
    ]
    # A page in a browser may call a server on this machine by another name: hosts that are not known are refused.
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=list(served.hosts))] if served.hosts else []
    return Starlette(routes=routes, middleware=middleware, exception_handlers={RefusedError: _refuse})


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    # openai's client asks again after these codes; it would be refused again, but for a place that has become free.
    headers = {"retry-after": "1"} if error.status == 429 else {"x-should-retry": "false"}
    return JSONResponse(error.content, error.status, headers)


def _check_token(request: Request, token: str | None) -> None:
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if token is not None and not hmac.compare_digest(given.encode(), token.encode()):
        raise RefusedError(
            401, "the token is missing or wrong: send `Authorization: Bearer TOKEN`", "authentication_error"
        )


async def _read(request: Request, kind: type[Kind], served: Served) -> Kind:
    """The request's body, checked.

    Raises RefusedError: no right to ask, too large, no JSON, a field that is not obeyed, or another model's name.
    """
    _check_token(request, served.token)
    # A page in a browser may send other types to this machine without asking.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusedError(415, "the body must be JSON: send `Content-Type: application/json`")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > served.largest_body:
            raise RefusedError(413, f"the request is larger than {served.largest_body:,} bytes")
    try:
        asked = kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise RefusedError(400, f"{place}: {message}" if place else message) from None
    if asked.model != served.name:
        raise RefusedError(404, f"there is no model {asked.model!r} here, only {served.name!r}")
    return asked


def _question(served: Served, writer: Writer, asked: Asked, earlier: Sequence[Turn], text: str) -> Question:
    """A text behind what was said earlier, with the passages before it that the request or the command wants."""
    passages = served.passages if asked.retrieve is None else asked.retrieve
    if not passages:
        return Question((*earlier, Turn("user", text)) if earlier else text)
    if served.retrieve is None:
        raise RefusedError(
            400, "retrieve: there is no index: run `domainlm retrieve CONFIG`, and start the server again"
        )
    try:
        free = asked.max_tokens or served.settings.new_tokens
        return served.retrieve(writer, earlier, text, passages, asked.date, free)
    except DataError as error:
        raise RefusedError(400, f"retrieve: {error}") from None
    except ConfigError as error:
        raise RefusedError(400, f"messages: {error}") from None


def _encode(writer: Writer, prompt: Prompt) -> list[int]:
    try:
        return writer.encode(prompt)
    except ConfigError as error:
        raise RefusedError(400, f"messages: {error}") from None


def _settings(served: Served, asked: Asked, longest: int) -> GenerationSettings:
    """How the request wants its continuations; `longest` is the length of its longest prompt in tokens."""
    room = served.writer.model.config.sequence_length - longest
    wanted = asked.max_tokens or max(min(served.settings.new_tokens, room), 1)
    if wanted > room:
        raise RefusedError(
            400,
            f"the prompt has {longest:,} tokens and {wanted:,} more are asked for, but the context is of "
            f"{longest + room:,}: shorten one of them",
        )
    given: dict[str, Any] = {
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "seed": asked.seed,
        "stops": asked.stop or None,
    }
    return replace(
        served.settings, new_tokens=wanted, **{key: value for key, value in given.items() if value is not None}
    )


async def _answer(
    request: Request, served: Served, writer: Writer, asked: Asked, questions: Sequence[Question]
) -> Response:
    prompts = [question.prompt for question in questions]
    encoded = [_encode(writer, prompt) for prompt in prompts]
    settings = _settings(served, asked, max(map(len, encoded)))
    pieces = served.worker.run(lambda tell: continue_texts(writer, prompts, settings, tell, encoded)[0])
    answer = Answer(served.name, writer.step, isinstance(asked, ChatRequest), questions, sum(map(len, encoded)))
    begin = time.perf_counter()
    if asked.stream:
        try:
            first = await anext(pieces)  # so that what is refused is refused by a status
        except BusyError:
            raise _busy(served) from None
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        return StreamingResponse(_events(answer, first, pieces, usage, begin), media_type="text/event-stream")
    continuations = await _whole(request, served, pieces)
    _say_answered(answer, continuations, begin)
    return JSONResponse(answer.whole(continuations))


async def _whole(request: Request, served: Served, pieces: Any) -> list[Continuation]:
    """All continuations; given up when the one who asked has gone."""

    async def last() -> Any:
        async for piece in pieces:
            result = piece
        return result

    task = asyncio.create_task(last())
    try:
        while not (await asyncio.wait({task}, timeout=SECONDS_BETWEEN_LOOKS))[0]:
            if await request.is_disconnected():
                raise RefusedError(499, "the one who asked has gone")
        continuations: list[Continuation] = task.result()
        return continuations
    except BusyError:
        raise _busy(served) from None
    except TooLongError:
        raise _too_long(served.worker) from None
    finally:
        task.cancel()


def _busy(served: Served) -> RefusedError:
    return RefusedError(429, f"{served.worker.waiting} requests wait already: ask again later", "rate_limit_error")


def _too_long(worker: Worker) -> RefusedError:
    return RefusedError(
        504,
        f"no whole answer within {worker.seconds:g} s: ask for fewer tokens, or serve with more --seconds",
        "timeout",
    )


async def _events(answer: Answer, first: Any, pieces: Any, usage: bool, begin: float) -> AsyncIterator[str]:
    """The stream of server-sent events, ended as OpenAI's is."""
    try:
        opening = "".join(map(event, answer.opening()))
        piece = first
        while not isinstance(piece, list):
            yield opening + event(answer.piece(*piece))  # what is yielded is sent by itself, which takes its time
            opening = ""
            piece = await anext(pieces)
        yield opening + "".join(map(event, answer.endings(piece, usage))) + "data: [DONE]\n\n"
        _say_answered(answer, piece, begin)
    except TooLongError:
        yield event({"error": {"message": "the time for an answer is over", "type": "timeout"}})
    finally:
        await pieces.aclose()


def _say_answered(answer: Answer, continuations: Sequence[Continuation], begin: float) -> None:
    tokens, seconds = sum(done.tokens for done in continuations), time.perf_counter() - begin
    say(f"serve: {answer.prompt_tokens:,} tokens asked, {tokens:,} answered in {seconds:.1f} s")
