"""An adapter by the command line: trained beside the export of another run, measured, exported, begun with, refused."""

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from domainlm.export import export
from model.huggingface_folder import RECORD
from model.pretrained import read_architecture
from tests.launched.runs import assert_same_run, run_to_the_end, run_train
from train.checkpoints.folders import CheckpointError, newest_checkpoint
from train.checkpoints.fragments import Reader
from train.checkpoints.resume import find_start
from train.checkpoints.trained import load_trained, read_trained
from train.config import RunConfig
from train.config_file import load_config
from train.engine.initial_weights import check_initial_weights
from train.process import Rank
from train.token_stream import open_stream

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import peft

CommandLine = Callable[..., tuple[int, str, str]]
TOKENS = torch.randint(0, 400, (2, 30), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def base(undisturbed: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What another run has learnt, as its export."""
    folder = tmp_path_factory.mktemp("base") / "base"
    export(undisturbed, folder)
    return folder


@pytest.fixture(scope="module")
def adapted(
    base: Path,
    data_folder: Path,
    write_small_config: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The file of a run that has adapted it, on two ranks."""
    folder = tmp_path_factory.mktemp("adapted")
    file = write_small_config(
        folder / "run.yaml",
        folder / "run",
        init_from=str(base),
        data={"folder": str(data_folder)},
        lora={"rank": 4, "tokens": [3, 399], "dropout": 0.1},
        training={
            "save_every": 6,
            "diagnose_every": 6,
            "deepspeed": {"zero_optimization": {"stage": 2}},
            "precision": "bf16",
        },
    )
    run_to_the_end(file)
    return file


def test_a_checkpoint_holds_the_adapter_and_its_optimizer_and_the_bases_digest(adapted: Path) -> None:
    config = load_config(adapted)
    found = newest_checkpoint(config)
    shapes = Reader(found.folder).shapes
    assert set(shapes) == {
        "embedding.lora_rows",
        *(
            f"blocks.{layer}.{module}.lora_{kind}"
            for layer in range(2)
            for module in (
                "attention.query_key_value",
                "attention.output",
                "feed_forward.expand",
                "feed_forward.output",
            )
            for kind in "ab"
        ),
    }
    diagnostics = json.loads((config.run_folder / "diagnostics.jsonl").read_text().splitlines()[0])
    assert set(diagnostics["weight_rms"]) == set(diagnostics["gradient_norm"]) == set(shapes)
    assert len(found.manifest["base"]) == 32


def test_it_goes_on_to_the_bit_on_another_number_of_ranks(adapted: Path, tmp_path: Path) -> None:
    """Stopped behind its step 6, saved by two ranks, and finished by one."""
    config = load_config(adapted)
    shutil.copytree(config.run_folder, tmp_path / "run")
    (tmp_path / "run" / "DONE").unlink()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step_000012")
    changes = [f"folder={tmp_path / 'run'}"]
    ended = run_train(adapted, *changes)
    assert ended.returncode == 0, ended.stderr
    assert "resuming from" in ended.stderr
    assert_same_run(load_config(adapted, changes), config)


@pytest.mark.filterwarnings("ignore")  # transformers' own names
def test_merged_and_beside_its_base_the_export_is_the_trained_model(
    adapted: Path, base: Path, command_line: CommandLine, tmp_path: Path
) -> None:
    config = load_config(adapted)
    assert command_line("export", adapted, "--out", tmp_path / "merged")[0] == 0
    assert command_line("export", adapted, "--adapter", "--out", tmp_path / "adapter")[0] == 0
    code, _, said = command_line("export", adapted, "--adapter", "--out", tmp_path / "adapter")
    assert (code, "is up to date" in said) == (0, True)
    written = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert {"README.md", "adapter_config.json", "adapter_model.safetensors", "tokenizer.json"} <= written
    with torch.no_grad():
        ours = load_trained(config).model(TOKENS)
        merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
        theirs = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter").eval()
        before = AutoModelForCausalLM.from_pretrained(base).eval()(TOKENS).logits
        assert (ours - before).abs().max() > 1e-2, "it has learnt something"
        assert torch.allclose(merged(TOKENS).logits, ours, rtol=0, atol=1e-5)
        assert torch.allclose(theirs(TOKENS).logits, ours, rtol=0, atol=1e-5)


def test_it_is_measured_and_written_with(adapted: Path, command_line: CommandLine) -> None:
    assert command_line("evaluate", adapted, "evaluation.baselines=[]")[0] == 0
    assert command_line("compare", adapted, load_config(adapted).init_from)[0] == 0
    assert command_line("questions", adapted, "--items", "20")[0] == 0
    assert command_line("report", adapted)[0] == 0
    code, shown, _ = command_line("generate", adapted, "--prompt", "The bank", "--tokens", "4")
    assert code == 0
    assert shown.startswith("The bank")
    code, shown, _ = command_line("plan", adapted)
    assert code == 0
    trained = sum(tensor.numel() for tensor in read_trained(newest_checkpoint(load_config(adapted)).folder).values())
    assert f"those of an adapter are trained, {trained:,}" in " ".join(shown.split())
    assert "by 4 N" in shown


def test_an_adapter_alone_is_refused_wherever_a_model_is_named(
    adapted: Path, command_line: CommandLine, base: Path, tmp_path: Path
) -> None:
    """Before anything is scored; also beside the weights of its base, where transformers loads it or not."""
    adapter, both = tmp_path / "adapter", shutil.copytree(base, tmp_path / "both")
    assert command_line("export", adapted, "--adapter", "--out", adapter)[0] == 0
    for file in adapter.glob("adapter_*"):
        shutil.copy(file, both)
    for words in (
        ("compare", adapted, adapter),
        ("questions", adapted, both),
        ("tasks", adapted, "arc_easy", "--model", adapter),
    ):
        code, _, said = command_line(*words)
        assert (code, said.count("\n")) == (2, 1), said
        assert "holds an adapter, which is a model with its base alone: name the run that trained it" in said
    for words in (("generate", adapter, "The bank"), ("serve", adapter)):
        code, _, said = command_line(*words)
        assert (code, said.count("\n")) == (2, 1), said
        assert "adapter is an adapter, and no run, it has no config.yaml: name the run's YAML file" in said
    with pytest.raises(ValueError, match=r"holds an adapter: name its base here and the adapter as `lora\.adapter`"):
        read_architecture(both)


def test_another_run_begins_with_the_adapter(
    adapted: Path,
    command_line: CommandLine,
    write_small_config: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its first loss is the one that the adapter's run would have; one of another base is refused."""
    command_line("export", adapted, "--adapter", "--out", tmp_path / "adapter")
    further = tmp_path / "further.yaml"
    content = json.loads(adapted.read_text())
    content["lora"] |= {"adapter": str(tmp_path / "adapter")}
    content |= {"name": "further", "folder": str(tmp_path / "further")}
    content["training"] |= {"steps": 2, "warmup_steps": 0, "learning_rate": 1e-9}
    further.write_text(json.dumps(content))
    ended = run_train(further)
    assert ended.returncode == 0, ended.stderr
    one, other = (load_trained(load_config(file)).model(TOKENS) for file in (adapted, further))
    assert torch.allclose(one, other, atol=1e-2)  # bf16 master weights begin as bf16

    other_base = shutil.copytree(content["init_from"], tmp_path / "other-base")
    weights = load_file(other_base / "model.safetensors")
    save_file(
        {name: value * 1.01 for name, value in weights.items()}, other_base / "model.safetensors", {"format": "pt"}
    )
    (other_base / RECORD).unlink()  # as of a base of somebody else
    code, _, said = command_line("train", further, f"init_from={other_base}", f"folder={tmp_path / 'third'}")
    assert code == 2
    assert "is an adapter of the base" in said
    assert not (tmp_path / "third" / "checkpoints").exists()
    (tmp_path / "adapter" / RECORD).unlink()  # and an adapter of somebody else, which has no digest of its base
    unknown = load_config(further, [f"init_from={other_base}", f"folder={tmp_path / 'third'}"])
    check_initial_weights(unknown, fresh=True)
    said = capsys.readouterr().err
    assert f"says that it is an adapter of {content['init_from']}, and init_from is {other_base}" in said
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    try:
        config = load_config(adapted, [f"init_from={other_base}"])
        with pytest.raises(CheckpointError, match="is an adapter of the base"):
            find_start(config, Rank(0, 0, 1), open_stream(config))
    finally:
        dist.destroy_process_group()
    for command in ("generate", "export", "evaluate"):
        code, _, said = command_line(command, adapted, f"init_from={other_base}")
        assert code == 2, command
        assert "is an adapter of the base" in said, command
    code, _, said = command_line("generate", adapted, "lora.rank=8")
    assert (code, "lora.rank was 4, now 8" in said) == (2, True)
