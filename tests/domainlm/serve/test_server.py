"""Where the server may listen, and for whom."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import openai
import pytest

from domainlm.serve.server import TOKEN, Limits, Place, listen, serve
from train.config import RunConfig
from train.config_file import ConfigError


@pytest.mark.parametrize(
    ("host", "inner"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("a", False)],
)
def test_which_hosts_are_this_machine(host: str, inner: bool) -> None:
    assert Place(host, 1).is_this_machine == inner


def test_others_may_ask_only_with_a_token(
    make_config: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ConfigError, match=TOKEN):
        serve(make_config(), Place("0.0.0.0", 0), Limits(waiting=1, seconds=1))


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="name another --port"):
        listen(Place("127.0.0.1", taken.getsockname()[1]))


def test_the_command_answers_until_it_is_interrupted(undisturbed: RunConfig) -> None:
    command = [sys.executable, "-m", "domainlm", "serve", str(undisturbed.run_folder), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr
        line = next(line for line in server.stderr if line.startswith("serve: completions"))
        address = next(word for word in line.split() if word.startswith("http")).rstrip(";")
        with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as client:
            answer = client.completions.create(model=undisturbed.name, prompt="the", max_tokens=3)
        assert answer.usage
        assert answer.usage.completion_tokens <= 3
        server.send_signal(signal.SIGINT)
        assert "serve: ended" in server.stderr.read()
        assert server.stdout
        assert json.loads(server.stdout.read()) == {"address": address}
        assert server.wait() == 0
