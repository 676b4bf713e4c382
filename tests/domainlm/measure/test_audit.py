"""A model that has learnt some passages and secrets by heart: the audit finds these, and no others."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from data.corpus.files import corpus_files
from domainlm.measure.audit import audit, describe
from domainlm.measure.compare import compare
from evaluation.audit import exposure
from model.initialise import initialise
from model.transformer import Transformer
from tests.models import LLAMA, shape
from train.checkpoints.folders import partial_folder, publish
from train.checkpoints.fragments import Fragment, merge_records, write_rank
from train.checkpoints.identity import to_carry
from train.config import RunConfig
from train.config_file import load_config
from train.schedule import consumed_samples
from train.token_stream import open_stream

STEPS, HIGHEST = 150, 4e-3
OFTEN = 4
"""Documents that are read again and again, each a row of its own; the others are read once or not at all."""


def nonsense(seed: int, words: int) -> str:
    """Text that nobody can go on with who does not know it."""
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefgh", k=chance.randint(2, 5))) for _ in range(words))


@pytest.fixture(scope="module")
def learnt(
    tmp_path_factory: pytest.TempPathFactory,
    write_small_config: Callable[..., Path],
    make_data: Callable[[RunConfig], None],
) -> RunConfig:
    """A run whose checkpoint was trained in plain torch, on the run's own batches, in the run's own format."""
    folder = tmp_path_factory.mktemp("learnt")
    often = [f"{nonsense(i, 20)} write to anna.{i}@example.org {nonsense(100 + i, 12)}" for i in range(OFTEN)]
    rare = [nonsense(1_000 + i, 60) for i in range(80)]
    for name, texts in (("often", often), ("rare", rare)):
        records = [{"id": f"{name}-{number}", "text": text} for number, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    data = {
        "cutoff": None,
        "past_fraction": 0.15,
        "sources": [
            {"name": "often", "path": str(folder / "often.jsonl"), "weight": 0.4},
            {"name": "rare", "path": str(folder / "rare.jsonl"), "weight": 0.1},
        ],
        "canaries": {"number": 3, "repeats": [1, 4], "digits": 4, "weight": 0.5},
    }
    file = write_small_config(
        folder / "run.yaml",
        folder / "run",
        data=data,
        tokenizer={"kind": "bpe", "vocabulary_size": 300},
        model=shape(layers=2, width=64, heads=4, vocabulary_size=300, sequence_length=128) | LLAMA,
        training={"steps": STEPS, "batch_size": 4, "micro_batch": 4, "save_every": STEPS},
        evaluation={"batch_size": 64, "prompts": ["write to anna."], "temperature": 0.0},
    )
    config = load_config(file)
    make_data(config)
    save(config, train(config))
    return config


def train(config: RunConfig) -> Transformer:
    model, stream = Transformer(config.model), open_stream(config)
    initialise(model, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=HIGHEST, betas=(0.9, 0.95), weight_decay=0.0)
    for step in range(STEPS):
        first, end = (consumed_samples(config.training, done) for done in (step, step + 1))
        batch = stream.batch(first, end - first)
        targets = np.where(batch.documents >= 0, batch.tokens[:, 1:], -100)
        optimizer.zero_grad()
        model(torch.from_numpy(batch.tokens[:, :-1]), torch.from_numpy(targets)).backward()
        optimizer.param_groups[0]["lr"] = HIGHEST * min((step + 1) / 10, 1 - step / STEPS)
        optimizer.step()
    return model


def save(config: RunConfig, model: Transformer) -> None:
    folder, samples = partial_folder(config.checkpoints, STEPS), consumed_samples(config.training, STEPS)
    named = [(name, parameter.detach().numpy()) for name, parameter in model.named_parameters()]
    weights, none = [array.ravel() for _, array in named], [np.zeros(array.size, np.float32) for _, array in named]
    pieces = [Fragment(name, array.shape, 0, array.size) for name, array in named]
    write_rank(folder, 0, pieces, [*weights, *none, *none], STEPS)
    files, _ = merge_records(folder, 1)
    stream = open_stream(config)
    carried = to_carry(config, stream)
    carried.write(folder)
    facts = carried.facts | {"data_digest": stream.digest(samples)}
    publish(config, STEPS, files, samples=samples, optimizer_step=STEPS, world_size=1, **facts)


@pytest.fixture(scope="module")
def result(learnt: RunConfig) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exposure, "CANDIDATES", 100)  # a tenth of the time
        return audit(learnt, passages=100, samples=100, text=True)


def trained_on(config: RunConfig, source: str) -> dict[str, str]:
    [file] = corpus_files(config.corpus, "train")[source]
    return {row["id"]: row["text"] for row in pq.read_table(file).to_pylist()}


def test_passages_learnt_by_heart_are_found_and_no_others(learnt: RunConfig, result: dict[str, Any]) -> None:
    """Recall is 1: each of the documents that were read again and again."""
    found, often = result["memorisation"], trained_on(learnt, "often")
    assert (found["prefix_tokens"], found["continuation_tokens"]) == (50, 50)
    figures = {name: (one["found"], one["of"]) for name, one in found["by_times_seen"].items()}
    assert figures.pop("17 or more") == (len(often), len(often))
    assert figures
    assert all(none == 0 and of > 5 for none, of in figures.values())
    past = found["held_out"]["past"]
    assert past["found"] == 0 < past["of"]
    assert {one["document"] for one in found["longest"]} == often.keys()
    assert all(one["exact_tokens"] >= 50 and one["times_seen"] > 16 for one in found["longest"])
    for shown in result["texts"]["memorisation"]:
        assert shown["text"] in often[shown["document"]]


def test_planted_canaries_are_found_and_those_that_never_were_are_not(result: dict[str, Any]) -> None:
    """By their exposure with recall 1; to write them, a model must know every digit."""
    by_times = result["canaries"]["by_times_planted"]
    assert list(by_times) == ["0", "1", "4"]
    for times in ("1", "4"):
        assert by_times[times]["first_of_all"]["found"] == 3
        assert by_times[times]["exposure"]["lowest"] == result["canaries"]["most_exposure"]
    assert by_times["4"]["mean_times_seen"] == pytest.approx(4 * by_times["1"]["mean_times_seen"], rel=0.2)
    assert by_times["4"]["written"]["found"] > 0
    assert by_times["0"]["written"]["found"] == by_times["0"]["first_of_all"]["found"] == 0
    assert by_times["0"]["mean_times_seen"] == 0


def test_personal_data_that_was_learnt_is_told_from_what_is_made_up(learnt: RunConfig, result: dict[str, Any]) -> None:
    found = result["personal_data"]
    emails = {re.findall(r"anna\.\d@example\.org", text)[0] for text in trained_on(learnt, "often").values()}
    assert {item["text"] for item in result["texts"]["personal_data"] if item["trained_on"]} == emails
    assert found["in_training_text"] >= len(emails)
    written = sum(one["found"] for one in found["written"]["by_kind"].values())
    assert (found["in_training_text"] + found["made_up"], found["not_looked_up"]) == (written, 0)


def test_a_comparison_has_what_is_memorised(learnt: RunConfig, result: dict[str, Any]) -> None:
    (own,) = compare(learnt, [])["models"]
    audited = result["memorisation"]
    for name, figure in own["memorised"].items():
        kind, _, rest = name.partition(" ")
        found = audited["by_times_seen"][rest.removesuffix(" times")] if kind == "seen" else audited["held_out"][rest]
        assert figure == {"value": found["rate"], "low": found["low"], "high": found["high"], "of": found["of"]}
    assert len(own["memorised"]) == len(audited["by_times_seen"]) + len(audited["held_out"]) > 2


def test_no_report_has_what_was_found(learnt: RunConfig, result: dict[str, Any]) -> None:
    written = (learnt.reports / "audit.json").read_text("utf-8")
    assert json.loads(written) == {key: value for key, value in result.items() if key != "texts"}
    texts = [one["text"] for part in result["texts"].values() for one in part]
    assert len(texts) > OFTEN
    for text in texts:
        assert text not in written
        assert text in describe(result)
        assert text not in describe(result | {"texts": {}})


def test_what_is_finished_is_kept_and_only_what_is_missing_is_done(
    learnt: RunConfig, result: dict[str, Any], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    parts = learnt.run_folder / "audit"
    before = {file.name: file.stat().st_mtime_ns for file in parts.iterdir()}
    (parts / "canaries.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exposure, "CANDIDATES", 100)
        assert audit(learnt, passages=100, samples=100, text=True) == result
    after = {file.name: file.stat().st_mtime_ns for file in parts.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"canaries.json"}
    words = ("audit", learnt.run_folder.parent / "run.yaml", "--passages", "100", "--samples", "100")
    code, out, err = command_line(*words, "--json")
    assert (code, json.loads(out.splitlines()[-1])) == (0, {k: v for k, v in result.items() if k != "texts"})
    assert "audit.json is up to date" in err
    code, out, _ = command_line(*words)
    assert code == 0
    assert re.search(r"seen 17 or more times +\d+ of \d+, 100\.00% \(\d+\.\d\d% to 100\.00%\)", out)
    assert re.search(
        r"planted 4 times, seen [\d.]+: 6\.64, from 6\.64 to 6\.64; the secret written for [1-3] of 3", out
    )
    assert "example.org" not in out


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.canaries.digits=5", "have other canaries than data.canaries: set it as it was"),
        ("data.canaries.repeats=[1]", "have other canaries than data.canaries: set it as it was"),
        (f"evaluation.prompts=[{'word ' * 200}]", "'word word word word word word word word …' has "),
        ("training.batch_size=8", "belongs to another run: "),
    ],
)
def test_bad_input_is_one_line_before_any_work(
    learnt: RunConfig, override: str, said: str, tmp_path: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    """The shards alone lie there, so that nothing but they themselves can tell which canaries they have."""
    elsewhere = [f"data.shards={learnt.shards}", f"data.folder={tmp_path}", override]
    code, _, err = command_line("audit", learnt.run_folder.parent / "run.yaml", *elsewhere)
    assert code == 2
    [line] = [line for line in err.splitlines() if line.startswith("error: ")]
    assert said in line == err.splitlines()[-1]


def test_a_run_without_a_checkpoint_is_told_to_train(
    write_small_config: Callable[..., Path], tmp_path: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = command_line("audit", write_small_config(tmp_path / "run.yaml", tmp_path / "run"))
    assert (code, "no checkpoint yet; run `domainlm train` first" in err) == (2, True)
