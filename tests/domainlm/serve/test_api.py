"""The server as its users meet it: openai's own client over a real socket, and requests that are refused."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import openai
import pytest
import torch
import uvicorn
from tokenizers import Tokenizer

from data.examples.chat import make_chat
from data.examples.records import Turn
from domainlm.generate import Continuation, GenerationSettings, Prompt, Writer, continue_texts
from domainlm.serve.answers import Question
from domainlm.serve.api import Served, make_app
from domainlm.serve.server import Place, listen
from domainlm.serve.worker import Worker
from model.config import ModelConfig
from model.initialise import initialise
from model.transformer import Transformer
from tests.domainlm.test_generate import TOKENIZER
from tests.models import LLAMA, shape

SETTINGS = GenerationSettings(new_tokens=8, temperature=0.0, top_k=None, top_p=None, stops=(), seed=0)
TOKEN = "a secret"
MARKS = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
Serve = Callable[..., tuple[openai.OpenAI, Place]]


@pytest.fixture(scope="module")
def writer() -> Writer:
    sizes = shape(
        layers=1, width=16, heads=2, vocabulary_size=TOKENIZER.get_vocab_size() + len(MARKS), sequence_length=128
    )
    model = Transformer(ModelConfig.model_validate(sizes | LLAMA))
    initialise(model, seed=1)
    with torch.no_grad():
        model.head.weight *= 20
    return Writer(model.eval(), TOKENIZER, end_of_text=0, step=7)


@contextmanager
def running(served: Served) -> Iterator[Place]:
    with listen(Place("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(served), log_level="warning", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Place("127.0.0.1", listening.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def serve(writer: Writer) -> Iterator[Serve]:
    with ExitStack() as stack:

        def start(**changes: Any) -> tuple[openai.OpenAI, Place]:
            worker = changes.pop("worker", None) or Worker(waiting=4, seconds=60)
            served = replace(Served("the-run", writer, SETTINGS, worker, hosts=("localhost", "127.0.0.1")), **changes)
            place = stack.enter_context(running(served))
            client = openai.OpenAI(base_url=place.address, api_key=TOKEN, max_retries=0)
            return stack.enter_context(client), place

        yield start


def expected(writer: Writer, *prompts: Prompt, **changes: Any) -> list[Continuation]:
    return continue_texts(writer, prompts, replace(SETTINGS, **changes))[0]


def test_completions_are_what_generate_gives(serve: Serve, writer: Writer) -> None:
    client, _ = serve()
    prompts = ["the bank", "ü and the"]
    answer = client.completions.create(
        model="the-run", prompt=prompts, max_tokens=5, temperature=0.7, seed=3, top_p=0.9
    )
    wanted = expected(writer, *prompts, new_tokens=5, temperature=0.7, seed=3, top_p=0.9)
    assert [choice.text for choice in answer.choices] == [done.text for done in wanted]
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert {choice.finish_reason for choice in answer.choices} <= {"stop", "length"}
    assert answer.usage
    assert answer.usage.completion_tokens == sum(done.tokens for done in wanted)
    assert answer.usage.prompt_tokens == sum(1 + len(TOKENIZER.encode(prompt).ids) for prompt in prompts)
    assert [model.id for model in client.models.list()] == ["the-run"]


def test_a_stream_is_the_whole_answer_in_pieces(serve: Serve, writer: Writer) -> None:
    client, _ = serve()
    stream = client.completions.create(
        model="the-run", prompt="the bank", stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    (done,) = expected(writer, "the bank")
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == done.text
    assert sum(bool(chunk.choices and chunk.choices[0].text) for chunk in chunks) > 1
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["length"]
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 8


@pytest.fixture(scope="module")
def chat(writer: Writer) -> Writer:
    template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
    tokenizer = Tokenizer.from_str(TOKENIZER.to_str())
    tokenizer.add_special_tokens(MARKS)
    return replace(writer, chat=make_chat(tokenizer, template, {}, "<|endoftext|>"))


def test_a_chat_continues_its_turns_and_cites(serve: Serve, writer: Writer, chat: Writer) -> None:
    def retrieve(asked: Writer, earlier: Sequence[Turn], text: str, passages: int, date: object, free: int) -> Question:
        assert asked is chat
        assert (list(earlier), text, free) == ([said[0]], "the bank?", 4)
        found = [{"id": "d1", "date": str(date), "passage": "the bank"}][:passages]
        return Question((*earlier, Turn("user", f"{found[0]['passage']}\n{text}")), found)

    client, _ = serve(chat=chat, retrieve=retrieve)
    turns: list[Any] = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "the"}, {"type": "text", "text": " bank?"}]},
    ]
    plain = client.chat.completions.create(model="the-run", messages=turns, max_completion_tokens=4)
    said = (Turn("system", "be brief"), Turn("user", "the bank?"))
    (done,) = expected(chat, said, new_tokens=4)
    assert plain.choices[0].message.content == done.text
    assert plain.usage
    assert plain.usage.prompt_tokens == len(chat.encode(said))
    assert "citations" not in plain.model_dump()

    cited = client.chat.completions.create(
        model="the-run", messages=turns, max_tokens=4, extra_body={"retrieve": 1, "date": "2019-05-06"}
    )
    (done,) = expected(chat, (said[0], Turn("user", "the bank\nthe bank?")), new_tokens=4)
    assert cited.choices[0].message.content == done.text
    assert cited.model_dump()["citations"] == [{"id": "d1", "date": "2019-05-06", "passage": "the bank"}]

    chunks = list(client.chat.completions.create(model="the-run", messages=turns, max_tokens=4, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == plain.choices[0].message.content


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"model": "gpt-4"}, 404, "there is no model 'gpt-4' here, only 'the-run'"),
        ({"n": 2}, 400, "n=2 is not computed by this server"),
        ({"logprobs": 5}, 400, "logprobs=5 is not computed"),
        ({"temperature": 3}, 400, "temperature"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": 125}, 400, "the context is of 128"),
        ({"prompt": "the " * 100}, 400, "the context is of 128"),
        ({"prompt": []}, 400, "prompt"),
        ({"prompt": [1, 2]}, 400, "prompt.0"),
        ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop"),
        ({"stop": ""}, 400, "an empty string ends nothing"),
        ({"extra_body": {"top_k": 3}}, 400, "top_k"),
        ({"extra_body": {"retrieve": 2}}, 400, "there is no index: run `domainlm retrieve CONFIG`"),
        ({"prompt": "a" * 5000}, 413, "larger than 4,000 bytes"),
    ],
)
def test_what_is_not_obeyed_is_refused_in_a_line(serve: Serve, fields: dict[str, Any], status: int, says: str) -> None:
    client, _ = serve(largest_body=4000)
    with pytest.raises(openai.APIStatusError) as refused:
        client.completions.create(**({"model": "the-run", "prompt": "the"} | fields))
    assert refused.value.status_code == status
    assert says in str(refused.value)


def test_a_model_without_turns_refuses_chats(serve: Serve) -> None:
    client, _ = serve()
    with pytest.raises(openai.BadRequestError, match="knows no turns"):
        client.chat.completions.create(model="the-run", messages=[{"role": "user", "content": "the"}])


def test_without_the_token_nothing_is_answered(serve: Serve) -> None:
    client, place = serve(token=TOKEN)
    assert client.completions.create(model="the-run", prompt="the", max_tokens=1).choices
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="another").completions.create(model="the-run", prompt="the")
    assert status_of(place, "GET", "/v1/models") == 401
    assert status_of(place, "GET", "/health") == 200


def test_pages_of_other_hosts_cannot_ask(serve: Serve) -> None:
    _, place = serve()
    body = json.dumps({"model": "the-run", "prompt": "the", "max_tokens": 1})
    typed = {"Content-Type": "application/json"}
    assert status_of(place, "POST", "/v1/completions", body, typed) == 200
    assert status_of(place, "POST", "/v1/completions", body, {"Content-Type": "text/plain"}) == 415
    assert status_of(place, "POST", "/v1/completions", body, {**typed, "Host": "elsewhere.example"}) == 400


def status_of(place: Place, method: str, path: str, body: str | None = None, headers: Any = {}) -> int:  # noqa: B006
    connection = http.client.HTTPConnection(place.host, place.port)
    connection.request(method, path, body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_queue_is_bounded_and_left_by_those_who_go(serve: Serve) -> None:
    worker = Worker(waiting=1, seconds=60)
    client, _ = serve(worker=worker)
    asked: dict[str, Any] = {"model": "the-run", "prompt": "the", "max_tokens": 60}
    held = threading.Event()
    worker._thread.submit(held.wait)  # the one that is answered, without an end
    streams = [threading.Thread(target=lambda: client.completions.create(**asked), daemon=True) for _ in range(2)]
    for stream in streams:
        stream.start()
    wait_until(lambda: worker._requests == 2)
    with pytest.raises(openai.RateLimitError, match="1 requests wait already"):
        client.completions.create(**asked)
    held.set()
    for stream in streams:
        stream.join()
    wait_until(lambda: worker._requests == 0)
    stream = client.completions.create(**asked, stream=True)
    next(iter(stream))
    stream.close()
    wait_until(lambda: worker._requests == 0)


def test_an_answer_that_takes_too_long_is_said(serve: Serve) -> None:
    worker = Worker(waiting=1, seconds=0.3)
    client, _ = serve(worker=worker)
    held = threading.Event()
    worker._thread.submit(held.wait)
    with pytest.raises(openai.APIStatusError, match=r"no whole answer within 0\.3 s"):
        client.completions.create(model="the-run", prompt="the")
    held.set()
    wait_until(lambda: worker._requests == 0)


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)
