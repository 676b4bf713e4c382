"""Continuations behind shared prefixes have the losses that reading everything gives, in float64 to the last digits."""

import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, MambaConfig, MambaForCausalLM

from evaluation.continuations import ContinuationLosses, Request, behind_prefixes, in_batches
from evaluation.general_prefix import _Kept, _ReadAgain, general_prefix, write
from model.generate import generate
from model.huggingface_folder import export_folder
from model.prefix import Prefix
from model.transformer import Transformer
from train.checkpoints.trained import token_losses


def requests(seed: int, pieces: int, longest: int) -> list[Request]:
    """Multiple choice as it comes: prefixes that begin alike, choices of several lengths, some the same but for one."""
    chance = random.Random(seed)

    def ids(count: int) -> list[int]:
        return [chance.randrange(pieces) for _ in range(count)]

    shots = ids(longest // 3)
    asked = []
    for number in range(6):
        prefix = ids(1) if number == 5 else [*shots, *ids(1 + number)]
        choices = [ids(chance.randint(1, longest // 3)) for _ in range(3)]
        choices.append([*choices[0][:-1], (choices[0][-1] + 1) % pieces])
        asked += [Request(prefix, choice) for choice in choices]
    chance.shuffle(asked)
    return asked


def read_whole(logits_of: Callable[[torch.Tensor], torch.Tensor], asked: list[Request]) -> list[tuple[float, bool]]:
    found = []
    for prefix, continuation in asked:
        logits = logits_of(torch.tensor([[*prefix, *continuation[:-1]]]))[0, len(prefix) - 1 :].double()
        wanted = torch.tensor(continuation)
        nats = -logits.log_softmax(-1).gather(1, wanted[:, None]).sum().item()
        found.append((nats, bool((logits.argmax(-1) == wanted).all())))
    return found


def check(losses: ContinuationLosses, expected: list[tuple[float, bool]], asked: list[Request], close: float) -> None:
    scored = losses(asked)
    assert [one.nats for one in scored] == pytest.approx([nats for nats, _ in expected], abs=close)
    assert [one.greedy for one in scored] == [greedy for _, greedy in expected]


@pytest.mark.parametrize("batch_tokens", [1, 100, 10_000])
@torch.inference_mode()
def test_own_models(
    family: dict[str, Any], random_model: Callable[[Mapping[str, Any]], Transformer], batch_tokens: int
) -> None:
    model = random_model(family)
    asked = requests(1, 61, 60)
    greedy = generate(model, [asked[0].prefix], 3)[0]
    asked.append(Request(asked[0].prefix, greedy))
    expected = read_whole(model, asked)
    assert expected[-1][1]
    check(behind_prefixes(lambda: Prefix(model), 61, batch_tokens), expected, asked, 1e-4)
    exact = model.double()
    expected = read_whole(exact, asked)
    check(behind_prefixes(lambda: Prefix(exact), 61, batch_tokens), expected, asked, 1e-4)


@torch.inference_mode()
def test_models_of_transformers(
    family: dict[str, Any], random_model: Callable[[Mapping[str, Any]], Transformer], tmp_path: Path
) -> None:
    own = random_model(family)
    export_folder(own.state_dict(), own.config, tmp_path / "export", tokenizer=None, end_of_text="<|endoftext|>")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "export").eval()
    asked = requests(2, 61, 60)
    expected = read_whole(lambda ids: model(input_ids=ids).logits, asked)
    assert isinstance(general_prefix(model), _Kept)
    check(behind_prefixes(lambda: general_prefix(model), 61, 500), expected, asked, 1e-3)
    check(behind_prefixes(lambda: Prefix(own), 61, 500), expected, asked, 1e-3)
    prefix = asked[0].prefix
    assert write(model, None, prefix, 5, lambda ids: False) == generate(own, [prefix], 5)[0]
    assert write(model, None, prefix, 5, lambda ids: len(ids) == 2) == generate(own, [prefix], 2)[0]


@torch.inference_mode()
def test_a_class_without_keys_and_values_reads_everything_again() -> None:
    torch.manual_seed(0)
    config = MambaConfig(vocab_size=61, hidden_size=16, num_hidden_layers=1, state_size=4)
    model = MambaForCausalLM(config).eval()
    asked = requests(3, 61, 30)
    expected = read_whole(lambda ids: model(input_ids=ids).logits, asked)
    assert isinstance(general_prefix(model), _ReadAgain)
    check(behind_prefixes(lambda: general_prefix(model), 61, 500), expected, asked, 1e-3)


@pytest.mark.parametrize("ranks", [1, 2, 5])
@torch.inference_mode()
def test_batches_over_ranks(
    families: dict[str, dict[str, Any]], random_model: Callable[[Mapping[str, Any]], Transformer], ranks: int
) -> None:
    model = random_model(families["bloom"])
    asked = requests(4, 61, 30)
    losses, calls = token_losses(model, torch.device("cpu")), []

    def counted(inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        calls.append(inputs.shape)
        assert inputs.size <= 100 or len(inputs) == 1
        return losses(inputs, targets)

    sums, counts = np.zeros(len(asked)), []
    for rank in range(ranks):
        calls.clear()
        sums += in_batches(counted, asked, 100, rank, ranks)
        counts.append(len(calls))
    assert len(set(counts)) == 1, "every rank calls the model equally often"
    assert sums == pytest.approx([nats for nats, _ in read_whole(model, asked)], abs=1e-4)
    assert in_batches(counted, [], 100) == []
    assert all(math.isfinite(value) for value in sums)
