"""All stages, as `domainlm run` runs them, on a small run: what lies in the folder afterwards, and a second run."""

import json
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from data.errors import DataError
from data.shards.documents import held_out_documents
from domainlm import stages
from domainlm.export import export
from domainlm.measure.questions import answered_before
from domainlm.trace import trace_document, trace_step
from evaluation import scores
from tests.domainlm.test_trace import save
from tests.evaluation.test_general_model import SHAPE, byte_level
from tests.launched.runs import run_domainlm
from tests.traced import trace
from train.checkpoints.folders import CheckpointError
from train.checkpoints.trained import load_trained, token_losses
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.schedule import consumed_samples
from train.token_stream import open_stream


def run(file: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    return run_domainlm("run", file, *overrides, "--json")


@pytest.fixture(scope="module")
def finished(
    write_small_config: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunConfig, Any]:
    """A small run taken through every stage by one command, with W&B on; its configuration and the JSON it printed."""
    folder = tmp_path_factory.mktemp("pipeline")
    file = write_small_config(
        folder / "run.yaml", folder / "run", monitoring={"wandb": True, "tags": ["test"], "group": "small"}
    )
    result = run(file)
    assert result.returncode == 0, result.stderr
    return load_config(file), json.loads(result.stdout.splitlines()[-1])


def test_the_run_folder_holds_what_the_contract_says(finished: tuple[RunConfig, Any]) -> None:
    config, printed = finished
    assert printed["finished"] is True
    for name in (
        *("config.yaml", "environment.json", "journal.jsonl", "metrics.jsonl", "DONE"),
        *("corpus/manifest.json", "tokenizer/tokenizer.json", "shards/manifest.json", "checkpoints/latest"),
        *("reports/evaluate.json", "reports/report.html", "reports/samples.json"),
        *("export/config.json", "export/tokenizer.json"),
    ):
        assert (config.run_folder / name).exists(), name
    assert load_config(config.run_folder / "config.yaml") == config


def test_evaluate_json_keeps_its_contract(finished: tuple[RunConfig, Any]) -> None:
    config, _ = finished
    result = json.loads((config.reports / "evaluate.json").read_text())
    assert result["step"] == 12
    assert set(result["sources"]) == {"news", "general"}
    assert set(result["sources"]["news"]) == {"past", "future"}
    future = result["sources"]["news"]["future"]
    assert future.keys() >= {"bits_per_byte", "bytes", "tokens"}
    assert 0 < future["bits_per_byte"] < 8
    for name in ("ngram", "xz", "zstd"):
        assert 0 < result["baselines"][name]["news"]["future"] < 8


def test_an_evaluation_of_fewer_tokens_scores_whole_documents_and_says_so(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    config, _ = finished
    file, kept = config.reports / "evaluate.json", (config.reports / "evaluate.json").read_bytes()
    try:
        code, shown, said = command_line("evaluate", config.run_folder, "evaluation.tokens=300")
        assert code == 0, said
        part, whole = json.loads(file.read_bytes()), json.loads(kept)
    finally:
        file.write_bytes(kept)
    cells = [(source, split) for source, splits in whole["sources"].items() for split in splits]
    for source, split in cells:
        assert 0 < part["sources"][source][split]["tokens"] <= 300 < whole["sources"][source][split]["tokens"]
        assert part["baselines"]["xz"][source][split] != whole["baselines"]["xz"][source][split], "the same documents"
    measured, there = (sum(of["sources"][a][b]["tokens"] for a, b in cells) for of in (part, whole))
    assert whole["notes"] == []
    assert f"{measured:,} of {there:,} held-out tokens were measured" in shown


def test_what_the_domain_is_now_is_measured_anew(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    config, _ = finished
    file, kept = config.reports / "evaluate.json", (config.reports / "evaluate.json").read_bytes()
    try:
        code, _, said = command_line("evaluate", config.run_folder, "data.sources.general.domain=true")
        assert code == 0, said
        changed = json.loads(file.read_bytes())
    finally:
        file.write_bytes(kept)
    whole = sum(splits["past"]["bytes"] for splits in changed["sources"].values())
    assert changed["groups"]["domain"]["past"]["bytes"] == whole > json.loads(kept)["groups"]["domain"]["past"]["bytes"]


@pytest.mark.parametrize("name", ["reports/evaluate.json", "reports/data_card.json", "environment.json"])
def test_a_damaged_record_is_named_or_made_again(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]], name: str
) -> None:
    config, _ = finished
    file = config.run_folder / name
    kept = file.read_bytes()
    words = ("trace", config.run_folder, "--step", "3", "--rank", "0")
    try:
        file.write_bytes(kept[: len(kept) // 2])
        code, _, said = command_line(*(words if name == "environment.json" else ("export", config.run_folder)))
        if "evaluate" in name:
            assert command_line("evaluate", config.run_folder)[0] == 0
            assert file.read_bytes() != kept[: len(kept) // 2]
    finally:
        file.write_bytes(kept)
    assert code == 2
    assert f"error: {file} is no record (a JSON object): " in said


@pytest.mark.parametrize("command", ["evaluate", "export", "report"])
def test_what_another_model_would_make_is_refused_though_finished_work_is_there(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]], command: str
) -> None:
    config, _ = finished
    code, _, said = command_line(command, config.run_folder, "model.norm_epsilon=0.5")
    assert code == 2
    assert "is of another model: model.norm_epsilon was 1e-05, now 0.5. Undo the change" in said


def test_settings_that_a_finished_run_was_not_trained_with_are_named(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    config, _ = finished
    code, _, said = command_line("train", config.run_folder, "training.learning_rate=0.001", "model.layers=3")
    assert code == 0
    assert "already finished at step 12" in said
    assert f"WARNING: {config.run_folder} was trained with training.learning_rate 0.003, not 0.001" in said
    assert "was trained with model.layers 2, not 3" in said
    assert "WARNING" not in command_line("train", config.run_folder)[2]


def test_a_run_and_its_export_are_compared_and_are_one_model(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    config, _ = finished
    folder = config.run_folder
    code, shown, said = command_line("compare", folder, folder / "export", folder / "checkpoints" / "step_000008")
    assert code == 0, said
    result = json.loads((config.reports / "compare.json").read_bytes())
    own, export, earlier = result["models"]
    assert [own["name"], export["name"], earlier["name"]] == ["small", "export", "small-step-8"]
    evaluated = json.loads((config.reports / "evaluate.json").read_bytes())["sources"]
    assert {source: list(splits) for source, splits in own["bits_per_byte"].items()} == {
        "news": ["past", "future"],
        "general": ["past"],
    }
    for source, splits in own["bits_per_byte"].items():
        for split, figure in splits.items():
            assert figure["value"] == evaluated[source][split]["bits_per_byte"]
            assert export["bits_per_byte"][source][split]["value"] == pytest.approx(figure["value"], rel=1e-5)
            assert abs(export["sources"][source][split]["difference"]["value"]) < 1e-5
            assert earlier["sources"][source][split]["difference"]["value"] > 0, "four steps less"
    future = own["bits_per_byte"]["news"]["future"]
    assert future["low"] < future["value"] < future["high"]
    assert own["cost"]["training_device_hours"] > 0
    assert own["cost"]["tokens_per_second"] > 0
    assert export["parameters"] == own["parameters"]
    assert "documents are among those that small was trained on" not in json.dumps(earlier["remarks"])
    stream = open_stream(config)
    read = dict.fromkeys(stream.sources, 0)
    first, last = (consumed_samples(config.training, step) for step in (8, 12))
    for piece in (piece for row in stream.pieces(first, last - first) for piece in row):
        read[piece.source] += piece.tokens
    gained = earlier["gained"]
    assert (own["gained"], export["gained"], gained["first_step"], gained["last_step"]) == (None, None, 9, 12)
    assert gained["tokens"] == pytest.approx(read, rel=0.05), "the rows of a source are nearly full"
    for source, splits in gained["sources"].items():
        for split, found in splits.items():
            difference = earlier["sources"][source][split]["difference"]
            assert [found[end] for end in ("value", "low", "high")] == list(difference.values())
            each = found["per_million_tokens"]["value"]
            assert each == pytest.approx(difference["value"] / gained["tokens"][source] * 1e6)
    assert "gained in steps 9 to 12" in shown
    assert "small is better for this text" in result["verdict"]
    for words in (result["verdict"], "news / future"):
        assert words in shown
    assert export["remarks"] == [], "its record says that it has read none of them"


def test_shares_are_scored_apart_and_joined(
    finished: tuple[RunConfig, Any],
    command_line: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config, _ = finished
    monkeypatch.setattr(scores, "GROUP_BYTES", 2_000)
    settings = ("--windows", "disjoint", "--json")
    for share in ("0/2", "1/2"):
        code, shown, said = command_line("compare", config.run_folder, *settings, "--shard", share)
        assert code == 0, said
        assert "verdict" not in json.loads(shown)
    files = {file.name for file in config.reports.glob("scores/small-*/scores-*-of-2.jsonl")}
    assert files == {"scores-0-of-2.jsonl", "scores-1-of-2.jsonl"}
    code, shown, said = command_line("compare", config.run_folder, *settings)
    assert code == 0, said
    assert "its scores are up to date" in said
    assert json.loads(shown)["verdict"].startswith("Nothing is compared with small")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "nowhere names no model: name a run's YAML file or folder"),
        ("demo://other", "demo://other is unknown: the demo's general model is smollm2"),
        ("{run}/checkpoints/step_000008_old", "step_000008_old names no model: name a run's YAML file or folder"),
        ("{run}", "there are two models of the name small: rename a folder"),
    ],
)
def test_what_is_no_model_to_compare_with_is_refused(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]], name: str, says: str
) -> None:
    config, _ = finished
    code, _, said = command_line("compare", config.run_folder, name.format(run=config.run_folder))
    assert code == 2
    assert says in said


def test_preparing_says_what_holds_nothing_out(
    make_config: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    stages.prepare(make_config(data={"past_fraction": 1e-6}))
    said = capsys.readouterr().err
    for source in ("news", "general"):
        assert f"corpus: {source}: nothing is held out as `past`, data.past_fraction 1e-06 drew none" in said


def test_checkpoints_of_shards_that_were_replaced_are_named(
    make_config: Callable[..., RunConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(data={"workers": 1})
    stages.prepare(config)
    stages.tokenize(config)
    save(config, 4)
    stages.tokenize(config)
    assert "WARNING" not in capsys.readouterr().err
    changed = config.tokenizer.model_copy(update={"digits": "triples"})
    stages.tokenize(config.model_copy(update={"tokenizer": changed}))
    said = capsys.readouterr().err
    assert "WARNING: what lies here now is refused with these checkpoints: " in said
    assert "step_000004 was not trained on what lies in" in said


def test_exported_folder_is_the_trained_model(finished: tuple[RunConfig, Any]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config, _ = finished
    theirs = AutoModelForCausalLM.from_pretrained(config.run_folder / "export").eval()
    tokenizer = AutoTokenizer.from_pretrained(config.run_folder / "export")
    tokens = torch.tensor([tokenizer.encode("The bank raised its rate in 2011.")])
    with torch.no_grad():
        torch.testing.assert_close(theirs(tokens).logits, load_trained(config).model(tokens), rtol=1e-4, atol=1e-4)


def test_alibi_leaves_in_float32_though_it_was_trained_in_bfloat16(
    finished: tuple[RunConfig, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In bfloat16 transformers adds biases in which near tokens are equal; what is exported is as near as ours."""
    from transformers import AutoModelForCausalLM

    config, _ = finished
    trained = config.training.model_copy(update={"precision": "bf16"})
    assert export(config.model_copy(update={"training": trained}), tmp_path / "own")["dtype"] == "float32"
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "own").eval()
    tokens = torch.randint(400, (1, 2048), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(theirs(tokens).logits, load_trained(config).model(tokens), rtol=1e-4, atol=1e-4)
    assert "near tokens" not in capsys.readouterr().err
    assert export(config, tmp_path / "asked", dtype="bfloat16")["dtype"] == "bfloat16"
    assert "in bfloat16 those of near tokens become equal" in capsys.readouterr().err


def test_the_exported_card_tells_of_this_run(finished: tuple[RunConfig, Any]) -> None:
    config, _ = finished
    card = (config.run_folder / "export" / "README.md").read_text("utf-8")
    evaluated = json.loads((config.reports / "evaluate.json").read_text())
    assert f"| news | future | {evaluated['sources']['news']['future']['bits_per_byte']:.3f} |" in card
    assert f"| tokens read | {12 * 8 * 32:,} |" in card
    assert "| begun from | random weights |" in card
    assert "nothing dated 2017-01-01 or later is in the training text" in card
    for name in ("special_tokens_map.json", "tokenizer_config.json", "generation_config.json"):
        assert (config.run_folder / "export" / name).exists(), name


def test_an_export_is_made_again_only_when_something_changed(
    finished: tuple[RunConfig, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = finished
    folder = tmp_path / "model"
    assert export(config, folder) == {
        "folder": str(folder),
        "step": 12,
        "dtype": "float32",
        "class": "BloomForCausalLM",
    }
    first = folder.stat().st_ino
    capsys.readouterr()
    export(config, folder)
    assert "is up to date (step 12)" in capsys.readouterr().err
    assert folder.stat().st_ino == first
    (folder / "model.safetensors").unlink()
    export(config, folder)
    assert (folder / "model.safetensors").exists(), "what is missing is noticed"
    second = folder.stat().st_ino
    export(config, folder, dtype="bfloat16", max_file_gigabytes=2e-5)
    assert folder.stat().st_ino != second
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert len(list(folder.glob("*.safetensors"))) > 2


def test_a_damaged_export_is_written_again(
    finished: tuple[RunConfig, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = finished
    folder = tmp_path / "model"
    export(config, folder, max_file_gigabytes=2e-5)
    (folder / "README.md").write_text("# A card that somebody has edited")
    export(config, folder, max_file_gigabytes=2e-5)
    edited = (folder / "README.md").read_text()
    assert edited == "# A card that somebody has edited"
    whole = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "README.md"}
    weights = next(name for name in whole if name.startswith("model-00002"))

    def cut_short(file: Path) -> None:
        file.write_bytes(file.read_bytes()[:-1])

    def flip_a_bit(file: Path) -> None:
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    for damage, name in (
        (cut_short, weights),
        (flip_a_bit, weights),
        (Path.unlink, "config.json"),
        (flip_a_bit, "tokenizer.json"),
        (Path.unlink, "generation_config.json"),
        (Path.unlink, "README.md"),
    ):
        damage(folder / name)
        capsys.readouterr()
        export(config, folder, max_file_gigabytes=2e-5)
        assert f"export: {folder}: missing, or not as it was written: {name}: it is" in capsys.readouterr().err
        assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "README.md"} == whole
        (kept,) = tmp_path.glob("model-README-*.md")
        assert kept.read_text("utf-8") == edited, "what somebody wrote is not lost with the first replacement"


def test_the_checkpoint_of_a_step_can_be_exported(finished: tuple[RunConfig, Any], tmp_path: Path) -> None:
    config, _ = finished
    assert export(config, tmp_path / "eight", step=8)["step"] == 8
    assert "(the weights here are of step 8)" in (tmp_path / "eight" / "README.md").read_text("utf-8")
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 5; there are those of 8, 12"):
        export(config, tmp_path / "five", step=5)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="is not empty and is no earlier export"):
        export(config, tmp_path / "mine")


def test_an_export_in_whose_place_another_comes_is_named(
    finished: tuple[RunConfig, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = finished
    export(config, tmp_path / "model", step=8)
    assert "is replaced" not in capsys.readouterr().err
    (tmp_path / "model" / "LICENSE").write_text("ours")
    with pytest.raises(ConfigError, match=r"export: .*model holds what no export has written \(LICENSE\)"):
        export(config, tmp_path / "model")
    (tmp_path / "model" / "LICENSE").unlink()
    export(config, tmp_path / "model")
    assert f"export: in {tmp_path / 'model'} that of small, step 8, is replaced" in capsys.readouterr().err


def test_an_altered_checkpoint_does_not_leave_the_run(finished: tuple[RunConfig, Any], tmp_path: Path) -> None:
    config, _ = finished
    part = config.checkpoints / "step_000008" / "rank_00000.safetensors"
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(
            CheckpointError, match=r"rank_00000.safetensors is not what was written: it is damaged, take"
        ):
            export(config, tmp_path / "altered", step=8)
    finally:
        part.write_bytes(content)
    assert not (tmp_path / "altered").exists()


def test_trace_agrees_in_both_directions(finished: tuple[RunConfig, Any]) -> None:
    config, _ = finished
    documents = trace_step(config, 3)["documents"]
    assert documents
    for document in documents[:5]:
        seen = trace_document(config, document["id"])
        assert 3 in seen["steps"]
        assert (seen["first_step"], seen["last_step"]) == (seen["steps"][0], seen["steps"][-1])
        assert seen["batches"] == len(seen["steps"]) <= seen["samples"]
        assert seen["epochs"] > 0


def test_trace_tells_what_is_held_out_to_come_or_skipped_from_what_was_learnt(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    config, _ = finished
    held_out = next(held_out_documents(config.shards, "future", "news")).id
    code, _, said = command_line("trace", config.run_folder, "--document", held_out)
    assert code == 2
    assert f"error: the document '{held_out}' is held out, in the split future: no step reads it" in said
    _, _, said = command_line("trace", config.run_folder, "training.steps=14", "--step", 13)
    assert "still to come, the run has done 12 steps: step 13" in said
    journal, kept = config.run_folder / "journal.jsonl", (config.run_folder / "journal.jsonl").read_bytes()
    try:
        journal.write_bytes(kept + b'{"event": "skip", "first": 3, "last": 4, "reason": "a spike"}\n')
        _, _, said = command_line("trace", config.run_folder, "--step", 3)
    finally:
        journal.write_bytes(kept)
    assert "skipped, so that nothing was learnt there: step 3" in said


def test_trace_shows_a_ranks_part_and_the_text(finished: tuple[RunConfig, Any]) -> None:
    config, _ = finished
    whole = trace_step(config, 3, text=True)
    ranks = json.loads((config.run_folder / "environment.json").read_bytes())["ranks"]
    parts = [trace_step(config, 3, rank=rank) for rank in range(ranks)]
    assert sorted(sample for part in parts for sample in part["samples"]) == whole["samples"] == list(range(16, 24))
    assert {d["id"] for part in parts for d in part["documents"]} == {d["id"] for d in whole["documents"]}
    assert len(whole["texts"]) == 8
    assert all(text.count(" ") > 0 for text in whole["texts"])
    with pytest.raises(DataError, match=rf"rank {ranks} is not of this run: its ranks are 0 to {ranks - 1}"):
        trace_step(config, 3, rank=ranks)


def test_bits_per_byte_are_those_of_the_loss(finished: tuple[RunConfig, Any]) -> None:
    """The evaluation's figure for one short document, recomputed from the model's logits by hand."""
    config, _ = finished
    from data.shards.documents import held_out_documents

    trained = load_trained(config)
    document = next(d for d in held_out_documents(config.shards, "future", "news") if len(d.tokens) > 20)
    tokens = torch.tensor([[0, *document.tokens.astype("int64")[:32]]])
    with torch.no_grad():
        log_probabilities = trained.model(tokens[:, :-1]).double().log_softmax(-1)
    by_hand = -log_probabilities.gather(2, tokens[:, 1:, None]).sum()
    losses = token_losses(trained.model, trained.device)(tokens[:, :-1].numpy(), tokens[:, 1:].numpy())
    assert losses.sum() == pytest.approx(by_hand.item(), rel=1e-5)


def wandb_records(content: bytes) -> Iterator[bytes]:
    """The records of an offline W&B file: LevelDB's log format (blocks of 32 KiB) behind a header of 7 bytes."""
    position, record = 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


def test_wandb_has_the_same_metrics_as_the_file(finished: tuple[RunConfig, Any]) -> None:
    config, _ = finished
    from wandb.proto import wandb_internal_pb2

    (file,) = (config.run_folder / "wandb").glob("offline-run-*/*.wandb")
    losses, tags, group = {}, [], ""
    for data in wandb_records(file.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        values = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
        if "train/loss" in values:
            losses[values["step"]] = values["train/loss"]
        if record.HasField("run"):
            tags, group = list(record.run.tags), record.run.run_group
    lines = [json.loads(line) for line in (config.run_folder / "metrics.jsonl").read_text().splitlines()]
    assert losses == {line["step"]: line["loss"] for line in lines if "loss" in line}
    assert (tags, group) == (["test"], "small")


def test_a_second_run_finds_everything_done(finished: tuple[RunConfig, Any]) -> None:
    config, _ = finished
    before = {
        name: (config.run_folder / name).stat().st_mtime_ns for name in ("corpus/manifest.json", "shards/manifest.json")
    }
    checkpoint = (config.checkpoints / "latest").stat().st_mtime_ns
    result = run(config.run_folder.parent / "run.yaml")
    assert result.returncode == 0, result.stderr
    assert {name: (config.run_folder / name).stat().st_mtime_ns for name in before} == before
    assert (config.checkpoints / "latest").stat().st_mtime_ns == checkpoint
    assert "already finished at step 12" in result.stderr


def test_an_architecture_without_a_hugging_face_class_is_refused(make_config: Callable[..., RunConfig]) -> None:
    with pytest.raises(ConfigError, match=r"this model cannot be exported: .*bias=False"):
        export(make_config(model={"bias": False}))


def test_an_evaluated_checkpoint_is_recognised(
    finished: tuple[RunConfig, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config, _ = finished
    before = (config.reports / "evaluate.json").read_bytes()
    assert stages.evaluate(config)["step"] == 12
    assert "evaluate.json is up to date" in capsys.readouterr().err
    assert (config.reports / "evaluate.json").read_bytes() == before


def test_the_stream_is_the_configurations(finished: tuple[RunConfig, Any]) -> None:
    config, _ = finished
    (shares,) = open_stream(config).shares.values()
    assert {source: share / sum(shares.values()) for source, share in shares.items()} == {"news": 0.7, "general": 0.3}


def test_questions_are_made_and_answered_by_a_run_and_its_export(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]]
) -> None:
    config, _ = finished
    folder = config.run_folder
    code, shown, said = command_line("questions", folder, folder / "export", "--items", "24")
    assert code == 0, said
    result = json.loads((config.reports / "questions.json").read_bytes())
    own, export = result["models"]
    assert result["questions"]["split"] == "future"
    assert "questions/date" in own["tasks"]
    assert own["tasks"].keys() == export["tasks"].keys()
    for task in own["tasks"].values():
        accuracy = task["accuracy"]
        assert 0 <= accuracy["low"] <= accuracy["value"] <= accuracy["high"] <= 1
        assert task["items"] <= 24
    assert all(abs(task["difference"]["value"]) < 0.1 for task in export["tasks"].values()), "one model"
    items = [json.loads(line) for line in (config.reports / "questions" / "date.jsonl").read_text("utf-8").splitlines()]
    assert len(items) == own["tasks"]["questions/date"]["items"]
    assert all(item["source"] == "news" and item["first_date"] >= "2017" for item in items)
    for words in ("right answers", "date", "refused: ", "made from held-out documents after the cutoff"):
        assert words in shown
    before_that = answered_before(config, own["digest"])
    assert before_that.open_book is None
    assert before_that.tasks["questions/date"] == {
        name: own["tasks"]["questions/date"][name] for name in ("accuracy", "by_nats", "by_nats_per_byte")
    }
    assert answered_before(config, "another") == ({}, None)
    before = (config.reports / "questions.json").read_bytes()
    assert command_line("questions", folder, folder / "export", "--items", "24")[0] == 0
    assert (config.reports / "questions.json").read_bytes() == before


def test_questions_with_passages_are_answered_twice_and_shown_beside_each_other(
    finished: tuple[RunConfig, Any], command_line: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """By the run, which has no room for passages, and by a general model, which has."""
    config, _ = finished
    general, run_words = tmp_path / "general", (config.run_folder, "retrieval.passage_words=20")
    torch.manual_seed(0)
    shape = LlamaConfig(**SHAPE, intermediate_size=32, max_position_embeddings=1024, initializer_range=0.3)
    LlamaForCausalLM(shape).save_pretrained(general)
    PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token="<end>").save_pretrained(general)
    words = ("questions", *run_words, general, "--items", "24", "--retrieve", "2")
    code, _, said = command_line(*words)
    assert (code, "is no finished index of the corpus: run `domainlm retrieve CONFIG`" in said.splitlines()[-1]) == (
        2,
        True,
    )
    assert command_line("retrieve", *run_words)[0] == 0
    code, shown, said = command_line(*words)
    assert code == 0, said
    result = json.loads((config.reports / "questions.json").read_bytes())
    assert (result["retrieval"]["passages"], result["retrieval"]["method"]) == (2, "bm25")
    own, other = result["models"]
    assert own["open_book"]["verdict"] == "no passage fits beside a question into the 32 tokens that it reads at once"
    assert other["open_book"]["verdict"].startswith("with 2 passages ")
    assert other["open_book"]["items"] == sum(
        task["items"] for name, task in other["tasks"].items() if name != "questions/order"
    )
    for model, share in ((own, 0), (other, 1)):
        task = model["tasks"]["questions/date"]
        assert (task["passages_found"]["value"], task["passages_shown"]["value"]) == (1, share)
        change = task["open_book"]["value"] - task["accuracy"]["value"]
        assert task["open_less_closed"]["value"] == pytest.approx(change)
        assert change == 0 or share
    assert "open_book_difference" in other["tasks"]["questions/date"]
    for line in ("  with passages ", "  that less without, points", "100%, in the window 0%", "small: no passage"):
        assert line in shown
    answers = {file: file.stat().st_mtime_ns for file in config.reports.glob("answers/*/*.json")}
    config.checkpoints.rename(hidden := config.checkpoints.with_name("hidden"))  # before the run is trained
    try:
        code, shown, said = command_line(*words, "--kinds", "date")
        alone = json.loads((config.reports / "questions.json").read_bytes())
        nobody = command_line("questions", *run_words)
    finally:
        hidden.rename(config.checkpoints)
    assert (code, "has no checkpoint yet: only what is named beside it is asked" in said) == (0, True)
    assert (nobody[0], "small has no checkpoint yet, and no other model is named: train it" in nobody[2]) == (2, True)
    assert ([model["name"] for model in alone["models"]], alone["ways"]["kinds"]) == (["general"], ["date"])
    (task,), of_other = alone["models"][0]["tasks"].values(), other["tasks"]["questions/date"]
    assert task == {name: value for name, value in of_other.items() if not name.endswith("difference")}
    assert "name " not in shown
    code, _, said = command_line(*words, "--kinds", "order")
    assert (code, "small: no questions are left " in said, "None" in said.splitlines()[-1]) == (2, True, False)
    assert command_line(*words)[0] == 0
    assert json.loads((config.reports / "questions.json").read_bytes()) == result
    assert {file: file.stat().st_mtime_ns for file in config.reports.glob("answers/*/*.json")} == answers
    code, _, said = command_line("compare", config.run_folder, general)
    assert code == 0, said
    compared = json.loads((config.reports / "compare.json").read_bytes())["models"]
    assert [model["open_book"] for model in compared] == [own["open_book"], other["open_book"]]
    assert compared[1]["tasks"]["questions/date"]["open_book"] == other["tasks"]["questions/date"]["open_book"]
    page = config.reports / "compare.html"
    assert [entry for entry in trace(page) if entry[0] != entry[1]] == []
    for words_shown in ("questions/date, open_less_closed", other["open_book"]["verdict"]):
        assert words_shown in page.read_text("utf-8")
