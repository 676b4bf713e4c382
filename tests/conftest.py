"""Fixtures that more than one test file needs: a small run's configuration and its text."""

import datetime
import io
import itertools
import json
import random
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import settings

from data.corpus.build import prepare_corpus
from data.interval import Interval
from data.shards.encode import encode_corpus
from data.shards.format import EncodedDocument, Manifest, write_manifest, write_source
from data.shards.packing import pack_shards
from data.tokenizer.build import build_tokenizer
from domainlm.main import main
from model.config import ModelConfig
from model.initialise import initialise
from model.transformer import Transformer
from tests.launched.runs import run_to_the_end
from tests.models import BLOOM, LLAMA, QWEN3, shape
from train.config import RunConfig
from train.config_file import load_config

# The tests' tensors are small: further threads would only wait for each other, which costs the other worker's core.
torch.set_num_threads(1)
# What is compiled or loaded when it is first used takes longer than a deadline allows.
settings.register_profile("domainlm", deadline=None)
settings.load_profile("domainlm")

LONGEST = (
    "train/test_training.py",
    "train/spikes",
    "domainlm/test_stages.py",
    "train/checkpoints",
    "train",
    "domainlm",
)
"""Tests that start runs, and so take longest. They begin, that no worker is left alone with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        file = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((number for number, start in enumerate(LONGEST) if file.startswith(start)), len(LONGEST))

    items.sort(key=place)


PHRASE = (
    "the bank raised its policy rate by a quarter point after inflation rose while lending to small firms fell and "
    "exports of machinery grew in spring as harbour traffic recovered from winter storms under new rules for insurers"
)
WORDS = PHRASE.split(" ")


def sentences(seed: int, count: int) -> str:
    """Text with some structure to learn: sentences of the same few words, with numbers, capitals and full stops."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        words = [chance.choice(WORDS) for _ in range(chance.randint(5, 12))]
        made.append(" ".join(words).capitalize() + f" in {chance.randint(1990, 2020)}.")
    return " ".join(made)


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sources: dated news.jsonl and undated general.jsonl."""
    folder = tmp_path_factory.mktemp("documents")
    news = [{"id": f"n{i}", "text": sentences(i, 12), "date": f"{2000 + i % 20}-0{1 + i % 9}-15"} for i in range(120)]
    general = [{"id": f"g{i}", "text": sentences(1000 + i, 8)} for i in range(60)]
    for name, records in (("news", news), ("general", general)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return folder


@pytest.fixture
def make_config(documents: Path, tmp_path: Path) -> Callable[..., RunConfig]:
    """Makes a small run in `tmp_path`; keyword arguments are sections to change."""

    def make(**sections: dict[str, Any]) -> RunConfig:
        return load_config(write_config(tmp_path / "run.yaml", documents, tmp_path / "run", **sections))

    return make


def write_config(file: Path, documents: Path, run_folder: Path, **sections: dict[str, Any]) -> Path:
    """Write the configuration of a small run as JSON, which is YAML."""
    content: dict[str, Any] = {
        "name": "small",
        "seed": 7,
        "folder": str(run_folder),
        "data": {
            "cutoff": "2017-01-01",
            "past_fraction": 0.1,
            "workers": 1,  # starting others would take longer than the work
            "sources": [
                {"name": "news", "path": str(documents / "news.jsonl"), "domain": True, "weight": 0.7},
                {"name": "general", "path": str(documents / "general.jsonl"), "undated": "train", "weight": 0.3},
            ],
        },
        "tokenizer": {"kind": "bpe", "vocabulary_size": 400},
        "model": shape(layers=2, width=32, heads=2, vocabulary_size=400, sequence_length=32) | BLOOM,
        "training": {
            "steps": 12,
            "batch_size": 8,
            "micro_batch": 2,
            "learning_rate": 3e-3,
            "warmup_steps": 2,
            "deepspeed": {"zero_optimization": {"stage": 1}},
            "save_every": 4,
        },
        "evaluation": {"every": 6, "batch_size": 4, "training_tokens": 500, "prompts": ["The bank"], "new_tokens": 8},
        "monitoring": {"wandb": False},
    }
    for name, change in sections.items():
        content[name] = content[name] | change if isinstance(content.get(name), dict) else change
    file.write_text(json.dumps(content), "utf-8")
    return file


@pytest.fixture(scope="session")
def write_small_config(documents: Path) -> Callable[..., Path]:
    """Writes a small run's configuration: (file, run folder, sections to change) → the file."""

    def write(file: Path, run_folder: Path, **sections: dict[str, Any]) -> Path:
        return write_config(file, documents, run_folder, **sections)

    return write


@pytest.fixture(scope="session")
def make_data() -> Callable[[RunConfig], None]:
    """Makes the corpus, the tokenizer, the shards and the packing of a run."""

    def make(config: RunConfig) -> None:
        prepare_corpus(config.data, config.corpus, config.seed)
        build_tokenizer(config.tokenizer, config.corpus, config.tokenizer_folder, workers=1)
        encode_corpus(config.corpus, config.tokenizer_folder, config.shards, config.seed, workers=1)
        pack_shards(config.shards, config.data.packing, config.model.sequence_length, workers=1)

    return make


@pytest.fixture(scope="session")
def data_folder(
    write_small_config: Callable[..., Path],
    make_data: Callable[[RunConfig], None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Corpus, tokenizer and shards that runs share."""
    folder = tmp_path_factory.mktemp("data")
    make_data(load_config(write_small_config(folder / "data.yaml", folder)))
    return folder


@pytest.fixture
def small_run(write_small_config: Callable[..., Path], data_folder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the configuration of a run that uses the shared data; returns its file."""

    def make(name: str, **training: Any) -> Path:
        data = {"folder": str(data_folder)}
        return write_small_config(tmp_path / f"{name}.yaml", tmp_path / name, data=data, training=training)

    return make


@pytest.fixture(scope="session")
def undisturbed(
    write_small_config: Callable[..., Path], data_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunConfig:
    """A run that was never stopped, on two ranks without a launcher."""
    folder = tmp_path_factory.mktemp("undisturbed")
    file = write_small_config(folder / "run.yaml", folder / "run", data={"folder": str(data_folder)})
    run_to_the_end(file)
    return load_config(file)


@pytest.fixture
def command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """`domainlm` in this process, which has loaded torch already: words → exit code, standard output and error."""

    def domainlm(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["domainlm", *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return domainlm


class Page(HTMLParser):
    """Tags, their attributes, and text of a page that stands alone; tags must be closed in order."""

    VOID = ("meta", "img", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.opened: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)
        assert not self.opened
        assert {tag for tag, _ in self.tags}.isdisjoint({"img", "link", "iframe"})
        assert [tag for tag, _ in self.tags].count("script") == 1, "the page's own"
        for _, attributes in self.tags:
            assert attributes.keys().isdisjoint({"src", "srcset", "onerror"})
            assert re.fullmatch(r"((\.\./)*[\w%-]+(\.[\w%-]+)+(/[\w%.-]+)*)?", attributes.get("href") or ""), (
                "a file beside it"
            )

        self.check_accessible()

    def check_accessible(self) -> None:
        """Language, title, headings in order, names of plots and groups, and what each header is of."""
        assert ("html", {"lang": "en"}) in self.tags
        levels = [int(tag[1]) for tag, _ in self.tags if re.fullmatch(r"h\d", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), "no level is left out"
        for tag, attributes in self.tags:
            assert tag != "figure" or (attributes["aria-label"] and attributes["tabindex"] == "0")
            assert attributes.get("role") != "group" or attributes["aria-label"]
            assert tag != "th" or attributes["scope"] in ("col", "row", "rowgroup")
            assert tag != "svg" or attributes["aria-hidden"] == "true", "its table says the same"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.opened += [] if tag in self.VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.opened and self.opened[-1] not in ("style", "script"):
            self.words += data


@pytest.fixture(scope="session")
def read_page() -> Callable[[Path], Page]:
    """Reads an HTML file as a `Page` with `tags` and `words`, and asserts that it needs nothing else."""
    return lambda path: Page(path.read_text("utf-8"))


@pytest.fixture(scope="session")
def write_training_shards() -> Callable[..., Path]:
    """Writes shards of a training split: (folder, {source: tokens of each document without its end}, tokens of a file).

    Every token's id tells its source (millions) and its place in it, ends of documents apart. Ids of documents are
    news-000, news-001, ...; every second one has a date.
    """

    def write(folder: Path, lengths: Mapping[str, Sequence[int]], tokens_per_shard: int, end_of_text: int = 0) -> Path:
        train = {}
        for number, (source, of_source) in enumerate(lengths.items(), start=1):
            starts = np.cumsum([0, *(length + 1 for length in of_source)]) + number * 1_000_000
            documents = (
                EncodedDocument(
                    f"{source}-{place:03d}",
                    Interval.of_day(datetime.date(2020, 1, 1 + place % 28)) if place % 2 else None,
                    np.arange(start, start + length),
                    4 * length,
                    end_of_text,
                )
                for place, (start, length) in enumerate(zip(starts.tolist(), of_source, strict=False))
            )
            train[source] = write_source(folder, "train", source, documents, "uint32", tokens_per_shard)
        splits = {"train": train}
        write_manifest(
            folder, Manifest("uint32", 9_000_000, "tokenizer", "corpus", 0, tokens_per_shard, splits, end_of_text)
        )
        return folder

    return write


SMALL = shape(layers=2, width=48, heads=6, vocabulary_size=61, sequence_length=64) | {"norm_epsilon": 1e-3}
SMALL_LLAMA = SMALL | LLAMA | {"feed_forward_width": 88, "rope_theta": 1000.0}
SMALL_QWEN3 = SMALL_LLAMA | QWEN3
FAMILIES = {
    "bloom": SMALL | BLOOM,
    "bloom-untied-5-heads": SMALL | BLOOM | {"tied": False, "heads": 5, "width": 40, "layers": 3},
    "llama": SMALL_LLAMA,
    "llama-tied-grouped": SMALL_LLAMA | {"tied": True, "key_value_heads": 2},
    "qwen3": SMALL_QWEN3 | {"key_value_heads": 3},
    "qwen3-tied-shared": SMALL_QWEN3 | {"key_value_heads": 1, "tied": True, "layers": 1},
}


@pytest.fixture(params=FAMILIES.values(), ids=FAMILIES.keys())
def family(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings of a small model of each kind that transformers has a class for."""
    settings: dict[str, Any] = request.param
    return settings


@pytest.fixture(scope="session")
def families() -> dict[str, dict[str, Any]]:
    """All of them by name."""
    return FAMILIES


@pytest.fixture(scope="session")
def random_model() -> Callable[[Mapping[str, Any]], Transformer]:
    """Builds a model of these settings whose every parameter matters: also gains and biases are random."""

    def build(settings: Mapping[str, Any]) -> Transformer:
        model = Transformer(ModelConfig.model_validate(settings))
        initialise(model, seed=0)
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        return model.eval()

    return build
