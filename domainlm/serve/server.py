"""Starts the server: which model, where it listens, who may ask."""

import ipaddress
import os
import socket
from dataclasses import dataclass

import uvicorn

from data.progress import say
from domainlm.generate import load_writer, sample_settings
from domainlm.serve.api import Served, make_app
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


def serve(config: RunConfig, place: Place, step: int | None, waiting: int, seconds: float) -> None:
    """Answer requests until SIGINT or SIGTERM.

    Raises:
        ConfigError: others could ask without a token, or the port is taken.
        CheckpointError: there is no model.
    """
    token = os.environ.get(TOKEN) or None
    if token is None and not place.is_this_machine:
        raise ConfigError(f"--host {place.host} lets others ask: set a token in the environment variable {TOKEN}")
    with listen(place) as listening:
        place = Place(place.host, listening.getsockname()[1])
        writer = load_writer(config, step)
        hosts = ("localhost", "127.0.0.1", "[::1]", place.host) if place.is_this_machine else None
        worker = Worker(waiting, seconds)
        app = make_app(Served(config.name, writer, sample_settings(config), worker, token=token, hosts=hosts))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=SECONDS_TO_FINISH)
        )
        say(f"serve: {config.name}, step {writer.step}, at {place.address}; Ctrl-C ends it")
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:  # which uvicorn raises anew when it has ended in good order
            say("serve: ended")


def listen(place: Place) -> socket.socket:
    """The socket on which requests come; port 0 takes a free one. Raises ConfigError where there is none to be had."""
    try:
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        return socket.create_server((place.host, place.port), family=family)
    except OSError as error:
        raise ConfigError(f"{place.host}, port {place.port}: {error.strerror}: name another --port or --host") from None
