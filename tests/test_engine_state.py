"""What is saved at any number of ranks and ZeRO stage is loaded at any other, to the bit, on the real engine."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_training import environment, finish

from data.corpus import prepare_corpus
from data.encode import encode_corpus
from data.packing import pack_shards
from data.tokenizer import build_tokenizer
from train.config import CHECKOUT
from train.config_file import load_config
from train.process import free_port

CASES = [f"{stage}:fp32" for stage in range(4)] + [f"{stage}:bf16" for stage in range(1, 4)]
CASES += ["3:fp32:offload", "2:bf16:offload"]


@pytest.fixture(scope="module")
def config_file(write_small_config: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elastic")
    file = write_small_config(folder / "run.yaml", folder)
    config = load_config(file)
    prepare_corpus(config.data, folder / "corpus", config.seed)
    build_tokenizer(config.tokenizer, folder / "corpus", folder / "tokenizer")
    encode_corpus(folder / "corpus", folder / "tokenizer", folder / "shards", config.seed)
    pack_shards(folder / "shards", config.data.packing, config.model.sequence_length)
    return file


def on_ranks(how: str, world_size: int, config_file: Path, folder: Path) -> dict[str, Any]:
    """Run tests/launched/elastic.py; returns what rank 0 wrote."""
    out, port = folder.parent / f"{how}{world_size}.json", str(free_port())
    script = CHECKOUT / "tests" / "launched" / "elastic.py"
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), how, str(config_file), str(folder), str(out), *CASES],
            env=environment()
            | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world_size)}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "LOCAL_WORLD_SIZE": str(world_size)},
            cwd=CHECKOUT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(world_size)
    ]
    outputs = [finish(rank) for rank in ranks]
    assert all(rank.returncode == 0 for rank in ranks), "\n".join(outputs)
    results: dict[str, Any] = json.loads(out.read_text())
    return results


def test_any_stage_and_world_size_loads_what_any_other_saved(config_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    saved = {name: facts for world in (1, 2) for name, facts in on_ranks("save", world, config_file, folder).items()}
    assert len(saved) == 2 * len(CASES)
    pairs = unchanged = 0
    for world in (1, 2):
        for case, loads in on_ranks("load", world, config_file, folder).items():
            assert len(loads) == sum(case.split(":")[1] in name for name in saved)
            for name, loaded in loads.items():
                where = f"{name} loaded at {world} ranks, {case}"
                pairs += 1
                assert loaded["state"] == saved[name]["state"], where
                assert loaded["optimizer step"] == saved[name]["optimizer step"] == 3, where
                assert loaded["low precision"] == saved[name]["low precision"], where
                if "after" in loaded:
                    assert loaded["after"] == pytest.approx(saved[name]["after"], rel=1e-6), where
                if name == f"{world}-{case.replace(':', '-')}":
                    unchanged += 1
                    assert loaded["after"] == saved[name]["after"], f"{where}: to the bit where nothing was changed"
    assert len({facts["state"] for facts in saved.values()}) >= 5, "the digests tell one state from another"
    assert (pairs, unchanged) == (2 * 5 * 10 + 2 * 4 * 8, 2 * len(CASES))
