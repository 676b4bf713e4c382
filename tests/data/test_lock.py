"""A folder has one writer: a second is refused in one line, and none is locked out by what a dead one left."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from data.config import DataConfig, TokenizerConfig
from data.corpus.build import prepare_corpus
from data.errors import DataError
from data.lock import only_writer
from data.shards.encode import encode_corpus
from data.shards.megatron import export_megatron
from data.shards.packing import pack_shards, packing_folder
from data.tokenizer.build import build_tokenizer
from train.config import CHECKOUT


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "corpus"
    message = (
        rf"^{folder}: another process writes there \(process {os.getpid()} on {socket.gethostname()}\): wait until it "
        "is done, or stop it, and run the same command again$"
    )
    with only_writer(folder):
        with pytest.raises(DataError, match=message), only_writer(folder):
            pass
        with pytest.raises(DataError, match="another process"), only_writer(folder, (0, 2)):
            pass
        with only_writer(folder.with_name("tokenizer")):
            pass
    with only_writer(folder):
        pass
    assert list(folder.parent.iterdir()) == []


def test_shards_are_written_side_by_side_but_each_once(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    with only_writer(folder, (0, 2)), only_writer(folder, (1, 2)):
        with pytest.raises(DataError, match="another process"), only_writer(folder, (1, 2)):
            pass
        with pytest.raises(DataError, match=r"another process writes there \(shards\)"), only_writer(folder):
            pass
        of_another = (
            r"a process writes a share of 2 there .* and this is one of 3: all --shard I/N of a folder have one N"
        )
        with pytest.raises(DataError, match=of_another), only_writer(folder, (2, 3)):
            pass
    with only_writer(folder, (2, 3)):
        pass
    with only_writer(folder):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_locks_nobody_out(tmp_path: Path) -> None:
    program = f"""
import sys, time
from pathlib import Path
from data.lock import only_writer
with only_writer(Path({str(tmp_path / "corpus")!r})):
    print("held", flush=True)
    time.sleep(60)
"""
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DataError, match=rf"\(process {process.pid} on "), only_writer(tmp_path / "corpus"):
            pass
        process.kill()
    with only_writer(tmp_path / "corpus"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_fails_within_lets_go(tmp_path: Path) -> None:
    for _ in range(2):
        with ExitStack() as stack:
            stack.enter_context(only_writer(tmp_path / "corpus"))
            stack.enter_context(pytest.raises(ValueError, match="of its own"))
            raise ValueError("of its own")


def test_every_stage_that_writes_a_folder_writes_it_alone(data_folder: Path, tmp_path: Path) -> None:
    corpus, tokenizer, shards = (data_folder / name for name in ("corpus", "tokenizer", "shards"))
    data = DataConfig.model_validate({"sources": [{"name": "news", "path": str(tmp_path / "a.txt")}]})
    (tmp_path / "a.txt").write_text("The bank raised its policy rate by a quarter point after inflation rose.")
    shutil.copytree(shards, tmp_path / "shards")
    packed = packing_folder(tmp_path / "shards", "concatenate", 32)
    stages: dict[Path, Callable[[Path], object]] = {
        tmp_path / "run" / "corpus": lambda folder: prepare_corpus(data, folder, 1),
        tmp_path / "run" / "tokenizer": lambda folder: build_tokenizer(
            TokenizerConfig(vocabulary_size=300), corpus, folder, 1
        ),
        tmp_path / "run" / "shards": lambda folder: encode_corpus(corpus, tokenizer, folder, 1, 1),
        packed: lambda folder: pack_shards(tmp_path / "shards", "concatenate", 32, 1),
        tmp_path / "run" / "megatron": lambda folder: export_megatron(shards, folder),
    }
    for folder, write in stages.items():
        with only_writer(folder), pytest.raises(DataError, match=f"^{folder}: another process writes there"):
            write(folder)
        assert not folder.exists(), "nothing is touched"


def test_two_that_prepare_one_corpus(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for number in range(100):
        (tmp_path / "texts" / f"{number}.txt").write_text(
            f"{number} is the number of this one text among others. " * 40
        )
    config = DataConfig.model_validate(
        {"sources": [{"name": "news", "path": str(tmp_path / "texts")}], "workers": 1, "near_duplicates": None}
    )
    corpus = tmp_path / "run" / "corpus"
    program = (
        "from pathlib import Path; from data.config import DataConfig; from data.corpus.build import prepare_corpus\n"
        f"prepare_corpus(DataConfig.model_validate_json({config.model_dump_json()!r}), Path({str(corpus)!r}), 1)"
    )
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, cwd=CHECKOUT, stderr=subprocess.DEVNULL) as first:
        while not list(corpus.glob("staging/*/*")) and first.poll() is None:
            time.sleep(0.001)
        first.send_signal(signal.SIGSTOP)
        with pytest.raises(DataError, match=f"^{corpus}: another process writes there"):
            prepare_corpus(config, corpus, 1)
        first.send_signal(signal.SIGCONT)
    assert first.returncode == 0
    assert prepare_corpus(config, corpus, 1)["sources"]["news"]["read"] == 100
