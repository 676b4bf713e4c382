"""Continuations on a real terminal, for piped lines and in order, as `domainlm generate` shows them."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from domainlm.generate import BATCH, _InOrder, continue_in_order, continue_texts, load_writer, sample_settings
from tests.launched.runs import environment, run_domainlm, run_train
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config


@pytest.fixture(scope="module")
def trained(
    write_small_config: Callable[..., Path],
    make_data: Callable[[RunConfig], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The configuration of a run that has trained two steps on one rank."""
    folder = tmp_path_factory.mktemp("generate")
    training = {"steps": 2, "save_every": 1, "warmup_steps": 1}
    model = {"sequence_length": 128}  # has room for passages
    file = write_small_config(folder / "run.yaml", folder / "run", training=training, model=model)
    config = load_config(file)
    make_data(config)
    done = run_train(file)
    assert done.returncode == 0, done.stderr
    return file


CommandLine = Callable[..., tuple[int, str, str]]


def test_prompts_options_and_piped_lines(trained: Path, command_line: CommandLine) -> None:
    writer, settings = load_writer(load_config(trained)), sample_settings(load_config(trained))
    expected = [one.text for one in continue_texts(writer, ["The bank", "In 1998"], settings)[0]]
    shown = f"The bank▸{expected[0]}\n\nIn 1998▸{expected[1]}\n"
    given = run_domainlm("generate", trained, "--prompt", "The bank", "--prompt", "In 1998")
    assert given.stdout == shown
    assert "tokens/s" in given.stderr
    assert run_domainlm("generate", trained, lines="The bank\n\nIn 1998\n").stdout == shown, (
        "a line is a prompt, an empty one is none"
    )
    _, of_the_configuration, _ = command_line("generate", trained)
    assert of_the_configuration.startswith("The bank▸")


def test_json_names_how_each_ended(trained: Path, command_line: CommandLine) -> None:
    options = ("--json", "--prompt", "The", "--tokens", "5", "--temperature", "0", "--checkpoint", "1", "--top-k", "3")
    result = json.loads(command_line("generate", trained, *options, "--top-p", "0.9", "--seed", "4")[1])
    (sample,) = result["samples"]
    assert result["step"] == 1
    assert (sample["prompt"], sample["tokens"], sample["ended_by"]) == ("The", 5, "length")
    stop = sample["text"][2:4]
    stopped = json.loads(command_line("generate", trained, *options, "--stop", stop)[1])["samples"][0]
    assert (stopped["text"], stopped["ended_by"]) == (sample["text"].partition(stop)[0], "stop string")


def test_what_cannot_be_done_is_said_in_a_line(trained: Path, command_line: CommandLine) -> None:
    for words, message in (
        (("--prompt", "a", "--checkpoint", "9"), "no checkpoint of step 9; there are those of 1, 2"),
        (("--prompt", "a", "--top-p", "3"), "argument --top-p: '3' is no finite number above 0 and at most 1"),
        (("evaluation.prompts=[]",), "there is no prompt: give --prompt TEXT, or lines on standard input"),
    ):
        code, _, said = command_line("generate", trained, *words)
        assert code == 2
        assert "error: " in said.splitlines()[-1]
        assert message in said.splitlines()[-1]


def read_until(terminal: int, wanted: str, timeout: float = 120) -> str:
    """What the terminal shows, up to the first time that it shows what is wanted; what follows is left for later."""
    seen, end = b"", time.monotonic() + timeout
    while not seen.endswith(wanted.encode()):
        assert time.monotonic() < end, f"{wanted!r} did not come: {seen.decode(errors='replace')!r}"
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 1)
    return seen.decode(errors="replace")


@contextmanager
def conversation(file: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`domainlm generate` on a terminal of its own, at its first prompt: the process and the terminal's other end."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "domainlm", "generate", str(file), *words],
        env=environment(),
        cwd=CHECKOUT,
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a background job ignores it
    )
    os.close(end)
    try:
        read_until(terminal, "> ")
        yield process, terminal
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def interrupt(process: subprocess.Popen[bytes], terminal: int) -> None:
    """Ctrl-C, again as a person would: Python loses one that comes just as it begins to wait for a line."""
    for _ in range(20):
        process.send_signal(signal.SIGINT)
        if select.select([terminal], [], [], 5)[0]:
            return
    raise AssertionError("it does not hear Ctrl-C")


def test_a_conversation_on_a_terminal(trained: Path) -> None:
    with conversation(trained, "--tokens", "6") as (process, terminal):
        for prompt in ("The bank", "In 1998"):
            os.write(terminal, f"{prompt}\n".encode())
            assert f"{prompt}▸" in read_until(terminal, "tokens/s")
            read_until(terminal, "> ")
        interrupt(process, terminal)  # at the prompt it asks again
        read_until(terminal, "> ")
        os.write(terminal, b"\x04")  # Ctrl-D
        assert process.wait(timeout=60) == 0


def test_a_continuation_that_takes_too_long_can_be_ended(trained: Path) -> None:
    with conversation(trained, "--tokens", "1000000", "--temperature", "0") as (process, terminal):
        os.write(terminal, b"The bank\n")
        read_until(terminal, "▸")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        read_until(terminal, "\n> ")
        os.write(terminal, b"\x04")
        assert process.wait(timeout=60) == 0


def test_many_prompts_go_in_batches_and_come_in_order(trained: Path) -> None:
    config = load_config(trained)
    writer, output = load_writer(config), io.StringIO()
    prompts = [("The bank", "In 1998", "A")[place % 3] + "!" * (place % 2) for place in range(BATCH + 3)]
    continuations = continue_in_order(writer, prompts, sample_settings(config), output)
    assert [one.prompt for one in continuations] == prompts
    assert output.getvalue() == "\n\n".join(f"{one.prompt}▸{one.text}" for one in continuations) + "\n"
    assert continue_in_order(writer, prompts, sample_settings(config), None) == continuations


def test_the_first_is_shown_as_it_comes_and_the_others_wait() -> None:
    output: Any = io.StringIO()
    shown = _InOrder(["a", "b"], output, is_first=True)
    shown.add(1, "Y")
    shown.add(0, "X")
    assert output.getvalue() == "a▸X"
    shown.add(0, "X")
    shown.finish()
    assert output.getvalue() == "a▸XX\n\nb▸Y\n"


def test_answers_with_passages_of_the_corpus(trained: Path, command_line: CommandLine) -> None:
    question = "The bank raised its rate"
    options = (question, "--retrieve", "4", "--date", "2012-06-30", "--tokens", "6", "--temperature", "0")
    code, _, said = command_line("generate", trained, *options, "--json")
    assert (code, said.count("\n")) == (2, 1)
    assert said.endswith("retrieval is no finished index of the corpus: run `domainlm retrieve CONFIG`\n")
    assert command_line("retrieve", trained)[0] == 0
    _, out, _ = command_line("generate", trained, *options, "--json")
    answer = json.loads(out)
    assert answer["open_book"]
    assert {"text", "citations", "question", "step", "tokens"} <= answer.keys()
    assert answer["samples"] == [{key: answer[key] for key in answer["samples"][0]}]
    assert answer["prompt"].endswith(f"\n\n{question}")
    for number, cited in enumerate(answer["citations"], start=1):
        assert cited["source"] == "news"
        assert cited["last_date"] <= "2012-06-30"
        assert f"[{number}] {cited['last_date']}\n{cited['passage']}\n\n" in answer["prompt"]
    writer = load_writer(load_config(trained))
    assert len(writer.tokenizer.encode(answer["prompt"]).ids) + 1 + 6 <= 128
    _, shown, _ = command_line("generate", trained, *options)
    cited = answer["citations"][0]
    assert f"{answer['prompt']}▸{answer['text']}\n" in shown
    assert f"[1] news  {cited['id']}  {cited['last_date']}\n    " in shown
    _, out, said = command_line("generate", trained, "Xylophones", "--retrieve", "2", "--tokens", "3", "--json")
    closed = json.loads(out)
    assert (closed["open_book"], closed["citations"], closed["prompt"]) == (False, [], "Xylophones")
    assert "nothing relevant was found in the corpus: answered without passages (closed-book)" in said
    for words, expected in (
        ([" ", "--retrieve", "1"], "the question is empty"),
        ([f"{question} " * 40, "--retrieve", "1"], "shorten it, or ask for fewer new tokens"),
        ([question, "--date", "2012-06-30"], "add --retrieve K"),
        ([question, "--retrieve", "1", "--undated"], "--undated is for a question with a --date"),
        (["--retrieve", "1"], "there is no question"),
    ):
        code, _, said = command_line("generate", trained, *words)
        assert (code, expected in said.splitlines()[-1]) == (2, True), said
