"""A model that has learnt some passages and secrets by heart: the audit finds these, and no others."""

import json
import random

import numpy as np
import pytest
import torch

from domainlm import stages
from domainlm.audit import audit
from evaluation.audit import exposure
from model.initialise import initialise
from model.transformer import Transformer
from tests.conftest import write_config
from tests.models import LLAMA, shape
from train.checkpoints.folders import partial_folder, publish
from train.checkpoints.fragments import Fragment, merge_records, write_rank
from train.checkpoints.identity import to_carry
from train.config import RunConfig
from train.config_file import load_config
from train.schedule import consumed_samples
from train.token_stream import open_stream

STEPS = 150
OFTEN = 4
"""Documents that are read again and again; the others are read once or not at all."""


def nonsense(seed: int, words: int) -> str:
    """Text that nobody can go on with who does not know it."""
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefgh", k=chance.randint(2, 5))) for _ in range(words))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """A run whose checkpoint was trained in plain torch, on the run's own batches, in the run's own format."""
    folder = tmp_path_factory.mktemp("learnt")
    secrets = [f"{nonsense(i, 12)} write to anna.{i}@example.org {nonsense(100 + i, 12)}" for i in range(OFTEN)]
    rare = [nonsense(1_000 + i, 30) for i in range(300)]
    for name, texts in (("often", secrets), ("rare", rare)):
        records = [{"id": f"{name}-{number}", "text": text} for number, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    sources = [
        {"name": "often", "path": str(folder / "often.jsonl"), "weight": 0.6},
        {"name": "rare", "path": str(folder / "rare.jsonl"), "weight": 0.1},
    ]
    file = write_config(
        folder / "run.yaml",
        folder,
        folder / "run",
        data={
            "cutoff": None,
            "past_fraction": 0.08,
            "sources": sources,
            "canaries": {"number": 3, "repeats": [1, 4], "digits": 4, "weight": 0.3},
        },
        tokenizer={"kind": "bpe", "vocabulary_size": 300},
        model=shape(layers=2, width=64, heads=4, vocabulary_size=300, sequence_length=64) | LLAMA,
        training={"steps": STEPS, "batch_size": 8, "micro_batch": 8, "save_every": STEPS},
        evaluation={"batch_size": 64, "prompts": ["write to anna."], "temperature": 0.0},
    )
    config = load_config(file)
    import time

    t = time.process_time()
    stages.prepare(config)
    print("CPU prepare", time.process_time() - t)
    t = time.process_time()
    stages.tokenize(config)
    print("CPU tok", time.process_time() - t)
    t = time.process_time()
    save(config, train(config))
    print("CPU train", time.process_time() - t)
    return config


def train(config: RunConfig) -> Transformer:
    model, stream = Transformer(config.model), open_stream(config)
    initialise(model, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0)
    size = config.training.batch_size
    assert isinstance(size, int)
    for step in range(config.training.steps):
        batch = stream.batch(step * size, size)
        targets = np.where(batch.documents >= 0, batch.tokens[:, 1:], -100)
        optimizer.zero_grad()
        model(torch.from_numpy(batch.tokens[:, :-1]), torch.from_numpy(targets)).backward()
        optimizer.param_groups[0]["lr"] = 6e-3 * min((step + 1) / 10, 1 - step / config.training.steps)
        optimizer.step()
    return model.eval()


def save(config: RunConfig, model: Transformer) -> None:
    folder, step = partial_folder(config.checkpoints, config.training.steps), config.training.steps
    named = [(name, parameter.detach().numpy()) for name, parameter in model.named_parameters()]
    weights = [array.ravel() for _, array in named]
    pieces = [Fragment(name, array.shape, 0, array.size) for name, array in named]
    write_rank(folder, 0, pieces, [*weights, *map(np.zeros_like, weights), *map(np.zeros_like, weights)], step)
    files, _ = merge_records(folder, 1)
    stream, samples = open_stream(config), consumed_samples(config.training, step)
    carried = to_carry(config, stream)
    carried.write(folder)
    facts = carried.facts | {"data_digest": stream.digest(samples)}
    publish(config, step, files, samples=samples, optimizer_step=step, world_size=1, **facts)


def test_what_was_learnt_by_heart_is_found_and_nothing_else(learnt: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposure, "CANDIDATES", 100)
    import time

    t = time.process_time()
    result = audit(learnt, passages=100, samples=20, text=True)
    print("CPU", time.process_time() - t)
    print(json.dumps(dict(result.items()), indent=None))
    assert 0
