"""Starts the server: which model, where it listens, who may ask."""

import datetime
import ipaddress
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

import uvicorn

from data.errors import DataError
from data.examples.records import Turn
from data.progress import say
from domainlm.generate import Writer, load_writer, sample_settings
from domainlm.retrieval.index import bound_of, current_search
from domainlm.retrieval.open_book import book_for, cited
from domainlm.serve.answers import Question
from domainlm.serve.api import Retrieve, Served, make_app
from domainlm.serve.worker import Worker
from train.config import RunConfig
from train.config_file import ConfigError

TOKEN = "DOMAINLM_SERVE_TOKEN"
"""The environment variable of the token that requests must bear."""
SECONDS_TO_FINISH = 5
"""That requests have when the server is stopped."""


@dataclass(frozen=True)
class Place:
    """Where the server listens."""

    host: str
    port: int

    @property
    def is_this_machine(self) -> bool:
        """Whether nobody else can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/v1"


class Limits(NamedTuple):
    """Of requests: how many may wait, and most seconds of one."""

    waiting: int
    seconds: float


def serve(config: RunConfig, place: Place, limits: Limits, step: int | None = None, passages: int = 0) -> str:
    """Answer requests until SIGINT or SIGTERM.

    Args:
        step: the checkpoint's; None takes the newest.
        passages: that stand before a question where a request does not say.

    Returns:
        The address at which they came.

    Raises:
        ConfigError: others could ask without a token, or the port is taken.
        CheckpointError: there is no model.
        DataError: passages are wanted, and there is no index of the corpus as it is.
    """
    token = os.environ.get(TOKEN) or None
    if token is None and not place.is_this_machine:
        raise ConfigError(f"--host {place.host} lets others ask: set a token in the environment variable {TOKEN}")
    with listen(place) as listening:
        place = Place(place.host, listening.getsockname()[1])
        retrieve = _retrieve(config, wanted=passages > 0)
        writer = load_writer(config, step, chat=None)
        hosts = ("localhost", "127.0.0.1", "[::1]", place.host) if place.is_this_machine else None
        served = Served(
            config.name,
            replace(writer, chat=None),
            sample_settings(config),
            Worker(*limits),
            chat=writer if writer.chat else None,
            retrieve=retrieve,
            passages=passages,
            token=token,
            hosts=hosts,
        )
        server = uvicorn.Server(
            uvicorn.Config(
                make_app(served), log_level="warning", access_log=False, timeout_graceful_shutdown=SECONDS_TO_FINISH
            )
        )
        knows = "completions and chats" if served.chat else "completions"
        say(f"serve: {knows} by {config.name}, step {writer.step}, at {place.address}; Ctrl-C ends it")
        with suppress(KeyboardInterrupt):  # which uvicorn raises anew when it has ended in good order
            server.run(sockets=[listening])
        say("serve: ended")
    return place.address


def _retrieve(config: RunConfig, wanted: bool) -> Retrieve | None:
    """How passages come before a question; None, and said why, where there is no index and none is wanted."""
    try:
        current = current_search(config)
    except (DataError, ConfigError) as error:
        if wanted:
            raise
        say(f"serve: without passages: {error}")
        return None

    def retrieve(
        writer: Writer, earlier: Sequence[Turn], text: str, number: int, date: datetime.date | None, free: int
    ) -> Question:
        book = book_for(writer, current(), text, number, bound_of(config, date), free, earlier)
        prompt = (*earlier, Turn("user", book.prompt)) if earlier else book.prompt
        return Question(prompt, cited(book))

    return retrieve


def listen(place: Place) -> socket.socket:
    """The socket on which requests come; port 0 takes a free one. Raises ConfigError where there is none to be had."""
    try:
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        return socket.create_server((place.host, place.port), family=family)
    except OSError as error:
        raise ConfigError(f"{place.host}, port {place.port}: {error.strerror}: name another --port or --host") from None
