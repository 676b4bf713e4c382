"""A run that begins with the weights of a Hugging Face folder: alone and on ranks, and folders that are refused."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from data.config import TokenizerConfig
from data.shards.format import read_manifest
from data.tokenizer.build import build_tokenizer
from domainlm.export import export
from model.config import ModelConfig
from model.huggingface_folder import RECORD, export_folder
from model.initialise import initialise
from model.pretrained import OF_VOCABULARY
from model.transformer import Transformer
from tests.launched.runs import run_script
from tests.models import PUBLISHED
from train.checkpoints.folders import newest_checkpoint
from train.checkpoints.identity import to_carry
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.engine.initial_weights import check_initial_weights, set_initial_weights, spelled, trained_rows
from train.records.journal import Journal, read_journal
from train.records.text_read import notes_of_begun
from train.start import take_over
from train.token_stream import open_stream

MODELS = pytest.mark.parametrize("name", ["bloom", "qwen3", "llama-tied-grouped", "mistral", "olmo3"])


@pytest.fixture
def general(families: dict[str, Any], random_model: Callable[..., Transformer], tmp_path: Path) -> Callable[..., Path]:
    """Writes the folder of a general model of a family, with 400 pieces."""

    def make(name: str) -> Path:
        model = random_model((families | PUBLISHED)[name] | {"vocabulary_size": 400})
        export_folder(model.state_dict(), model.config, tmp_path / name, None, "<|endoftext|>")
        return tmp_path / name

    return make


@pytest.fixture
def continued(
    general: Callable[..., Path], write_small_config: Callable[..., Path], tmp_path: Path
) -> Callable[..., Path]:
    """Writes the configuration of a run that continues from such a folder: (family, changes to `model`) → file."""

    def make(name: str, **model: Any) -> Path:
        folder = str(general(name))
        file = write_small_config(tmp_path / f"{name}.json", tmp_path / "run", init_from=folder)
        content = json.loads(file.read_text())
        content["model"] = {"from_hugging_face": folder} | model
        file.write_text(json.dumps(content))
        return file

    return make


@pytest.fixture
def smaller_tokenizer(data_folder: Path, tmp_path: Path) -> Path:
    """One of 300 pieces, in its folder."""
    build_tokenizer(TokenizerConfig(vocabulary_size=300), data_folder / "corpus", tmp_path / "smaller", workers=1)
    return tmp_path / "smaller"


@MODELS
def test_the_architecture_is_that_of_the_folder(
    name: str, families: dict[str, Any], continued: Callable[..., Path]
) -> None:
    config = load_config(continued(name, sequence_length=32, dropout=0.1))
    expected = (families | PUBLISHED)[name] | {"vocabulary_size": 400, "sequence_length": 32, "dropout": 0.1}
    expected |= {"rope_theta": config.model.rope_theta} if name == "bloom" else {}
    assert config.model == ModelConfig.model_validate(expected)


@MODELS
def test_a_run_begins_with_the_weights_of_the_folder(
    name: str, families: dict[str, Any], random_model: Callable[..., Transformer], continued: Callable[..., Path]
) -> None:
    config = load_config(continued(name))
    settings = (families | PUBLISHED)[name] | {"vocabulary_size": 400}
    model, expected = Transformer(config.model), random_model(settings)
    set_initial_weights(model, config, fresh=True)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in expected.state_dict().items())


def test_a_run_from_scratch_begins_with_those_of_its_seed(make_config: Callable[..., RunConfig]) -> None:
    config = make_config()
    model, expected = Transformer(config.model), Transformer(config.model)
    set_initial_weights(model, config, fresh=True)
    initialise(expected, config.seed)
    assert all(torch.equal(model.state_dict()[key], value) for key, value in expected.state_dict().items())
    check_initial_weights(config, fresh=True)


def test_ranks_begin_with_them_at_every_zero_stage(
    families: dict[str, Any],
    random_model: Callable[..., Transformer],
    continued: Callable[..., Path],
    smaller_tokenizer: Path,
    data_folder: Path,
    tmp_path: Path,
) -> None:
    """Further rows of vocabulary are those of the seed, also where a rank holds only a part of each tensor.

    Those of pieces that the tokenizer was extended by, here of qwen3's, are the mean of others.
    """
    stages = {"bloom": ("0", "1", "3"), "qwen3": ("3",)}
    files = {name: continued(name, vocabulary_size=410) for name in stages}
    extension = {"path": str(smaller_tokenizer), "vocabulary_size": 405, "extend": 105}
    files["qwen3"].write_text(json.dumps(json.loads(files["qwen3"].read_text()) | {"tokenizer": extension}))
    config = load_config(files["qwen3"])
    build_tokenizer(config.tokenizer, data_folder / "corpus", config.tokenizer_folder, workers=1)
    made_of = {"bloom": {}, "qwen3": spelled(config)}
    assert len(made_of["qwen3"]) == 105
    cases = [f"{files[name]}:{stage}" for name, of_name in stages.items() for stage in of_name]
    run_script("initial_weights", tmp_path, *cases, ranks=2)
    for name, of_name in stages.items():
        config = load_config(files[name])
        seeded, given = Transformer(config.model), random_model(families[name] | {"vocabulary_size": 400})
        initialise(seeded, config.seed)
        for stage in of_name:
            found = load_file(tmp_path / f"{name}-{stage}.safetensors")
            assert found.keys() == dict(seeded.named_parameters()).keys()
            for key, value in given.named_parameters():
                expected = torch.cat([value.detach(), seeded.get_parameter(key).detach()[len(value) :]])
                for number, ids in made_of[name].items() if key in OF_VOCABULARY else ():
                    expected[number] = value.detach()[list(ids)].mean(dim=0)
                assert torch.equal(found[key], expected), f"{name}, stage {stage}: {key}"


def test_rows_of_pieces_that_the_tokenizer_is_extended_by(
    continued: Callable[..., Path],
    general: Callable[..., Path],
    smaller_tokenizer: Path,
    command_line: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
) -> None:
    """By the command line; the folders have room for 400 pieces, of which their tokenizer has used 300."""
    file, tied = continued("llama", vocabulary_size=410), general("llama-tied-grouped")
    for folder in (tmp_path / "llama", tied):
        shutil.copy(smaller_tokenizer / "tokenizer.json", folder)
    content = json.loads(file.read_text())
    content["tokenizer"] = {"path": str(tmp_path / "llama"), "vocabulary_size": 380, "extend": 80}
    file.write_text(json.dumps(content))
    for command in ("prepare", "tokenize"):
        code, _, said = command_line(command, file)
        assert code == 0, said
    page = (tmp_path / "run" / "reports" / "tokenizer.html").read_text("utf-8")
    assert "A given tokenizer with further pieces, of 380 pieces, 80 of them new" in page
    assert "What the extension saves" in page

    for folder in (tmp_path / "llama", tied):
        config = load_config(file, [f"init_from={folder}", f"model.from_hugging_face={folder}"])
        made_of = spelled(config)
        assert sorted(made_of) == list(range(300, 380))
        assert all(number < 300 for ids in made_of.values() for number in ids)
        check_initial_weights(config, fresh=True)
        model, seeded = Transformer(config.model), Transformer(config.model)
        set_initial_weights(model, config, fresh=True)
        initialise(seeded, config.seed)
        theirs = load_file(folder / "model.safetensors")
        rows = {"embedding.weight": "model.embed_tokens.weight", "head.weight": "lm_head.weight"}
        assert config.model.tied == (folder == tied)
        for ours in list(rows)[: 1 if config.model.tied else 2]:
            value, given = model.get_parameter(ours).detach(), theirs[rows[ours]]
            kept = [*range(300), *range(380, 400)]
            assert torch.equal(value[kept], given[kept])
            assert torch.equal(value[400:], seeded.get_parameter(ours).detach()[400:])
            for number, ids in made_of.items():
                assert torch.equal(value[number], torch.stack([given[one] for one in ids]).mean(dim=0))

        adapted = load_config(file, [f"init_from={folder}", f"model.from_hugging_face={folder}", "lora.embeddings=new"])
        assert trained_rows(adapted) == (*range(300, 380), *range(400, 410))
        set_initial_weights(adapter := Transformer(adapted.model), adapted, fresh=True)
        assert torch.equal(adapter.embedding.lora_rows[:80], model.embedding.weight[300:380])
        with pytest.raises(ConfigError, match=r"lora: the vocabulary has 90 rows that the base does not have"):
            check_initial_weights(load_config(file, ["lora.rank=2"]), fresh=True)

    shutil.copy(tmp_path / "run" / "tokenizer" / "tokenizer.json", tmp_path / "llama")
    with pytest.raises(ConfigError, match=r"if it is extended already, leave tokenizer\.extend out"):
        check_initial_weights(load_config(file), fresh=True)


def test_what_does_not_fit_is_said_before_anything_starts(
    continued: Callable[..., Path], make_config: Callable[..., RunConfig], tmp_path: Path
) -> None:
    config = load_config(continued("llama", rope_theta=2000.0))
    with pytest.raises(ConfigError, match=r"init_from: .* is of another model: rope_theta is 2000.0, there 1000.0"):
        check_initial_weights(config, fresh=True)
    with pytest.raises(ConfigError, match=r"init_from: .*rope_theta"):
        set_initial_weights(Transformer(config.model), config, fresh=True)
    with pytest.raises(ConfigError, match=r"init_from: .*none/config.json does not exist"):
        check_initial_weights(make_config(init_from=str(tmp_path / "none")), fresh=True)
    file = continued("llama")
    (tmp_path / "llama" / RECORD).write_text(json.dumps({"files": {"model.safetensors": {"bytes": 1, "digest": "0"}}}))
    with pytest.raises(ConfigError, match=r"init_from: .* not as domainlm.json says that it was written: model.safe"):
        check_initial_weights(load_config(file), fresh=True)
    (tmp_path / "llama" / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"init_from: .* has neither model.safetensors nor"):
        check_initial_weights(load_config(file), fresh=True)
    (tmp_path / "llama" / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"llama.json: model.from_hugging_face: .*config.json does not exist"):
        load_config(file)


def test_weights_of_another_tokenizer_or_of_text_that_is_held_out_are_refused(
    continued: Callable[..., Path], data_folder: Path, tmp_path: Path
) -> None:
    file, folder = continued("llama"), tmp_path / "llama"
    settings = [f"data.folder={data_folder}"]
    shutil.copy(data_folder / "tokenizer" / "tokenizer.json", folder)
    for cutoff in ("2017-01-01", "2016-12-31"):
        (folder / "domainlm.json").write_text(json.dumps({"cutoff": cutoff}))
        check_initial_weights(load_config(file, settings), fresh=True)
    for said, read in (("2017-01-02", "up to its cutoff 2017-01-02"), (None, "without a cutoff")):
        (folder / "domainlm.json").write_text(json.dumps({"cutoff": said}))
        with pytest.raises(ConfigError, match=f"init_from: .* trained on text {read}, data.cutoff is 2017-01-01"):
            check_initial_weights(load_config(file, settings), fresh=True)
    check_initial_weights(load_config(file, [*settings, "data.cutoff=null"]), fresh=True)
    with (folder / "tokenizer.json").open("a") as tokenizer:
        tokenizer.write(" ")
    config = load_config(file, settings)
    for start in (check_initial_weights, partial(set_initial_weights, Transformer(config.model))):
        with pytest.raises(
            ConfigError, match=r"init_from: .*tokenizer.json has the digest .*, the shards were made with"
        ):
            start(config, fresh=True)


def test_a_run_that_goes_on_does_not_need_the_folder(continued: Callable[..., Path], tmp_path: Path) -> None:
    config = load_config(continued("llama"))
    (tmp_path / "llama" / "model.safetensors").unlink()
    check_initial_weights(config, fresh=False)
    model, expected = Transformer(config.model), Transformer(config.model)
    set_initial_weights(model, config, fresh=False)
    initialise(expected, config.seed)
    assert torch.equal(model.embedding.weight, expected.embedding.weight), "until the checkpoint replaces them"


@pytest.fixture
def goes_on(
    undisturbed: RunConfig,
    make_data: Callable[[RunConfig], None],
    write_small_config: Callable[..., Path],
    tmp_path: Path,
) -> Callable[..., RunConfig]:
    """A run that begins with the export of another, on data of its own that are made with these settings."""
    folder = tmp_path / "base"
    export(undisturbed, folder)

    def make(name: str, *settings: str) -> RunConfig:
        file = write_small_config(tmp_path / f"{name}.yaml", tmp_path / name, init_from=str(folder))
        config = load_config(file, [f"tokenizer.path={folder}", *settings])
        make_data(config)
        return config

    return make


def test_what_the_base_was_trained_on_is_not_held_out(
    goes_on: Callable[..., RunConfig],
) -> None:
    for name, settings in {"more": ["data.past_fraction=0.3"], "seed": ["seed=8"]}.items():
        config = goes_on(name, *settings)
        said = (
            r"trained on the same files of general, news, split with past_fraction 0.1 and seed 7; with past_fraction"
        )
        for start in (check_initial_weights, partial(set_initial_weights, Transformer(config.model))):
            with pytest.raises(ConfigError, match=rf"init_from: .*{said}"):
                start(config, fresh=True)
        check_initial_weights(config, fresh=False)
    # What was held out there is held out still, and later text is new.
    for name, settings in {"same": [], "less": ["data.past_fraction=0.05", "data.cutoff=2018-01-01"]}.items():
        assert _begin(goes_on(name, *settings)) == ""


def test_what_the_base_may_have_read_stands_beside_the_figures_and_in_what_is_exported(
    goes_on: Callable[..., RunConfig], undisturbed: RunConfig, documents: Path, tmp_path: Path
) -> None:
    shutil.copy(documents / "news.jsonl", tmp_path / "elsewhere.jsonl")
    source = f"{{name: news, path: {tmp_path / 'elsewhere.jsonl'}}}"
    config = goes_on("elsewhere", f"data.sources=[{source}]", "data.past_fraction=0.3")
    shards = newest_checkpoint(undisturbed).manifest["shards_digest"]
    note = _begin(config)
    assert f"base, whose weights the run began with, has read other text (shards {shards}): what is held out" in note
    assert notes_of_begun(config) == [note]
    read = to_carry(config, open_stream(config)).facts["read"]
    assert [text["shards"] for text in read] == [read_manifest(config.shards).digest, shards]

    record = json.loads((tmp_path / "base" / "domainlm.json").read_bytes())
    (tmp_path / "base" / "domainlm.json").write_text(json.dumps({"cutoff": record["cutoff"]}))  # an older version's
    assert "base, whose weights the run began with, does not say what it has read" in _begin(config)


def _begin(config: RunConfig) -> str:
    """Begin the run as its first start does; what its journal has of its weights."""
    check_initial_weights(config, fresh=True)
    config.checkpoints.mkdir(exist_ok=True)
    with Journal(config.run_folder) as journal:
        take_over(config, journal, None, {})
    return str(read_journal(config.run_folder)[-1]["note"])
