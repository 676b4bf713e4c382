"""Our models asked by lm-eval, beside lm-eval's own backend for transformers on the same exported model."""

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from benchmarks import evaluation_contenders
from data.errors import DataError
from evaluation.general_model import load_general_model
from evaluation.language_model import LanguageModel
from model.huggingface_folder import export_folder
from model.transformer import Transformer
from tests.conftest import sentences
from tests.models import LLAMA, shape

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from evaluation.tasks.adapter import Adapter

END = "<|endoftext|>"


@pytest.fixture(scope="module")
def folder(
    data_folder: Path,
    random_model: Callable[[Mapping[str, Any]], Transformer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An exported model with a tokenizer that was trained on text."""
    made = tmp_path_factory.mktemp("export") / "export"
    model = random_model(shape(layers=2, width=32, heads=2, vocabulary_size=400, sequence_length=64) | LLAMA)
    export_folder(model.state_dict(), model.config, made, tokenizer=data_folder / "tokenizer", end_of_text=END)
    return made


@pytest.fixture(scope="module")
def ours(folder: Path) -> LanguageModel:
    return load_general_model(folder)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> HFLM:
    return HFLM(
        pretrained=str(folder),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        device="cpu",
        batch_size=4,
        dtype="float32",
    )


def requests(kind: str, *asked: tuple[Any, ...]) -> list[Instance]:
    return [Instance(kind, {}, arguments, 0, metadata=("task", 0, 1)) for arguments in asked]


def test_the_same_bits_per_byte_as_lm_eval(ours: LanguageModel, theirs: HFLM) -> None:
    """In lm-eval's windows, of texts from less than one window to many."""
    texts = [sentences(seed, count) for seed, count in enumerate((1, 3, 9, 30))]
    asked = requests("loglikelihood_rolling", *((text,) for text in texts))
    bits = [
        [-nats / len(text.encode()) / 0.6931471805599453 for nats, text in zip(found, texts, strict=True)]
        for found in (Adapter(ours).loglikelihood_rolling(asked), theirs.loglikelihood_rolling(asked, True))
    ]
    assert bits[0] == pytest.approx(bits[1], abs=1e-4)
    assert min(bits[0]) > 2


def choices(count: int, words: int) -> list[tuple[str, str]]:
    chance = random.Random(words)
    asked = []
    for number in range(count):
        context = sentences(1000 + number, 1) + " " * (number % 2)  # a space at its end belongs to the answer
        pool = context.split()
        asked += [(context, " " + " ".join(chance.choice(pool) for _ in range(words))) for _ in range(4)]
    return asked


@pytest.mark.parametrize("words", [1, 5, 12])
def test_the_same_likelihoods_of_choices_as_lm_eval(ours: LanguageModel, theirs: HFLM, words: int) -> None:
    """Behind what stands before a text, which lm-eval is given; the longest do not fit into the window."""
    asked = choices(6, words)
    found = Adapter(ours).loglikelihood(requests("loglikelihood", *asked))
    expected = theirs.loglikelihood(
        requests("loglikelihood", *((END + context, after) for context, after in asked)), True
    )
    assert [nats for nats, _ in found] == pytest.approx([nats for nats, _ in expected], abs=1e-3)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    alone = requests("loglikelihood", ("", "The bank"))
    assert Adapter(ours).loglikelihood(alone)[0] == pytest.approx(theirs.loglikelihood(alone, True)[0], abs=1e-3)


@pytest.mark.parametrize("kind", ["loglikelihood", "loglikelihood_rolling"])
def test_the_benchmark_measures_the_same_work(kind: str, folder: Path) -> None:
    asked = [list(each) for each in choices(4, 3)]
    requests = asked if kind == "loglikelihood" else [[context * 9] for context, _ in asked]
    found, expected = (
        contender(str(folder), kind, requests, "4")[0]
        for contender in (evaluation_contenders.ours, evaluation_contenders.theirs)
    )
    assert found == pytest.approx(expected, abs=1e-3)
    assert len(set(found)) > 3


def test_the_same_answers_as_lm_eval(ours: LanguageModel, theirs: HFLM) -> None:
    contexts = [sentences(50 + number, 1) for number in range(4)]
    settings = {"until": ["e", "\n\n"], "max_gen_toks": 12, "do_sample": False, "temperature": 0.0}
    found = Adapter(ours).generate_until(requests("generate_until", *((context, settings) for context in contexts)))
    expected = theirs.generate_until(
        requests("generate_until", *((END + context, dict(settings)) for context in contexts)), True
    )
    assert found == expected
    assert len(set(found)) > 1
    assert not any("e" in answer for answer in found)


def test_what_does_not_fit_is_said(ours: LanguageModel) -> None:
    adapter = Adapter(ours)
    with pytest.raises(DataError, match=r"reads 64 tokens at once, and an answer of the task has .* tokens: 'The bank"):
        adapter.loglikelihood(requests("loglikelihood", ("Why?", "The bank" * 99)))
    with pytest.raises(DataError, match="has no token of its own"):
        adapter.loglikelihood(requests("loglikelihood", ("Why?", "")))
    with pytest.raises(DataError, match="too few for answers of 64"):
        adapter.generate_until(requests("generate_until", ("Why?", {"max_gen_toks": 64})))
    with pytest.raises(DataError, match="only the likeliest are written here"):
        adapter.generate_until(requests("generate_until", ("Why?", {"do_sample": True, "temperature": 0.7})))
