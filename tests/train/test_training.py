"""Training with the real DeepSpeed engine and launcher: parity, resume, stopping, killing."""

import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from model.transformer import Transformer
from tests.launched.runs import (
    assert_same_run,
    finish,
    finish_forked,
    lines,
    losses,
    metrics,
    rank_processes,
    run_domainlm,
    run_python,
    run_script,
    run_to_the_end,
    run_train,
    signal_one_rank,
    start_and_wait,
    start_module,
    start_ranks,
    start_ranks_and_wait,
    wait_for_forked,
)
from train.checkpoints.folders import newest_checkpoint, saved_steps, step_folder
from train.config import RunConfig
from train.config_file import load_config
from train.engine.initial_weights import set_initial_weights
from train.process import Rank
from train.records.journal import read_journal
from train.start import changed_surroundings, surroundings
from train.step import over_memory
from train.token_stream import open_stream

STEPS = 12


def test_every_zero_stage_and_world_size_trains_the_same_run(small_run: Callable[..., Path], tmp_path: Path) -> None:
    # Two micro-batches: their sum does not depend on whether one rank adds them or two. Of more, fp32 sums depend on
    # the order of addition in the last bit.
    config_file = small_run("stages", steps=30, batch_size=4)
    clipped = [f"{stage}:fp32:1.0" for stage in range(4)] + [f"{stage}:bf16:1.0" for stage in range(1, 4)]
    unclipped = [f"{stage}:bf16:0.0:training.steps=10" for stage in range(1, 4)]
    dropped = "1:fp32:1.0:model.dropout=0.3:training.steps=8"
    by_muon = "0.0:training.optimizer=muon:training.steps=8"
    muon = [f"{stage}:fp32:{by_muon}" for stage in range(4)] + [f"{stage}:bf16:{by_muon}" for stage in range(1, 4)]
    muon += [
        "0:fp32:1.0:training.optimizer=muon:training.steps=8",
        "2:fp32:1.0:training.optimizer=muon:training.steps=8",
    ]
    by_size = "0.0:training.optimizer=muon:training.steps=3:training.tuned_at.width={}:training.tuned_at.layers={}"
    carried = [f"{stage}:fp32:{by_size.format(8, 1)}" for stage in range(4)]
    own_size = f"2:fp32:{by_size.format(32, 2)}"
    seen: dict[int, dict[str, Any]] = {}
    for world_size in (1, 2):
        out = tmp_path / f"world{world_size}.json"
        # From the first ZeRO-3 on a process computes products by another function: stages 1 and 2 come first.
        cases = sorted(
            [*unclipped, *clipped, dropped, *muon, *carried, own_size], key=lambda case: case.startswith("3")
        )
        run_script("compare_stages", config_file, out, *cases, ranks=world_size)
        seen[world_size] = json.loads(out.read_text())
    results = {(world, case): result for world, cases_seen in seen.items() for case, result in cases_seen.items()}

    for precision, reference in (("fp32", results[1, "0:fp32:1.0"]), ("bf16", results[1, "1:bf16:1.0"])):
        for (_, case), result in results.items():
            if precision in case and case not in (*muon, *carried):
                assert result["initial"] == reference["initial"], "initial weights, zero.Init included"
            if case.endswith(f"{precision}:1.0"):
                assert result["losses"] == pytest.approx(reference["losses"], rel=1e-4 if precision == "fp32" else 1e-3)
                assert result["norms"] == pytest.approx(reference["norms"], rel=1e-3 if precision == "fp32" else 1e-2)
        assert max(reference["norms"]) > 1.0, "clipping has something to clip"
        assert reference["losses"][-1] < 0.8 * reference["losses"][0], "it learns"

    of_single = single_squares(load_config(config_file))
    for (_, case), result in results.items():
        if case not in (dropped, *carried):
            wanted = pytest.approx(of_single, rel=1e-5 if "fp32" in case else 2e-2)
            assert result["micro_squares"][0] == wanted, (
                f"{case}: micro-batches' own norms, at any stage and world size"
            )

    for stage in range(1, 4):
        one, two = (results[world, f"{stage}:bf16:1.0"] for world in (1, 2))
        assert one["final"] == two["final"], f"ZeRO-{stage} bf16, clipped, to the bit, at one rank and at two"
    one, two = (results[world, dropped]["losses"] for world in (1, 2))
    assert one == pytest.approx(two, rel=1e-4), "what is dropped does not depend on the rank"
    assert one != pytest.approx(results[1, "0:fp32:1.0"]["losses"][:8], rel=1e-3), "something is dropped"
    bit_equal = {result["final"] for (_, case), result in results.items() if case in unclipped}
    assert len(bit_equal) == 1, "bf16 with fp32 accumulation, to the bit, at any stage, at one rank and at two"
    for precision in ("fp32", "bf16"):
        of_muon = [result for (_, case), result in results.items() if case in muon and f":{precision}:0.0" in case]
        assert len(of_muon) == 2 * (4 if precision == "fp32" else 3)
        assert len({result["final"] for result in of_muon}) == 1, f"Muon in {precision}, to the bit, likewise"
        assert of_muon[0]["losses"][-1] < of_muon[0]["losses"][0]
    of_size = [result["final"] for (_, case), result in results.items() if case in carried]
    assert len(of_size) == 8
    assert len(set(of_size)) == 1, "rates, decays and initial values of another size likewise"
    assert all(
        results[world, own_size]["losses"] == results[1, muon[2]]["losses"][:3] != results[1, carried[2]]["losses"]
        for world in (1, 2)
    ), "those of the run's own size are those that are given"
    whole, shared = (results[2, case] for case in muon[-2:])
    assert whole["losses"] == pytest.approx(shared["losses"], rel=1e-5), "it is the gradient that is clipped"
    assert whole["losses"] != pytest.approx(results[2, muon[0]]["losses"], rel=1e-6)


def single_squares(config: RunConfig) -> float:
    """Mean squared norm of the gradients of the first step's micro-batches, by plain torch."""
    model, stream, squares = Transformer(config.model), open_stream(config), []
    set_initial_weights(model, config, fresh=True)
    for first in range(0, config.training.batch_size, config.training.micro_batch):
        tokens = torch.from_numpy(stream.batch(first, config.training.micro_batch).tokens)
        loss = model(tokens[:, :-1], tokens[:, 1:])
        gradient = torch.autograd.grad(loss, [*model.parameters()])
        squares.append(sum(part.double().square().sum().item() for part in gradient))
    return sum(squares) / len(squares)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_muon_on_four_ranks(small_run: Callable[..., Path], tmp_path: Path) -> None:
    """Four micro-batches are added in another order on four ranks than on one: the last bits of sums differ."""
    config_file = small_run("four", steps=10, batch_size=4, micro_batch=1, optimizer="muon")
    cases = [
        f"{stage}:{precision}:1.0"
        for stage in range(4)
        for precision in ("fp32", "bf16")
        if stage or precision == "fp32"
    ]
    seen: dict[int, dict[str, Any]] = {}
    for world_size in (1, 4):
        run_script("compare_stages", config_file, tmp_path / "out.json", *cases, ranks=world_size)
        seen[world_size] = json.loads((tmp_path / "out.json").read_text())
    for case in cases:
        one, four = seen[1][case], seen[4][case]
        assert one["initial"] == four["initial"], case
        assert four["losses"] == pytest.approx(one["losses"], rel=1e-5 if "fp32" in case else 1e-3), case
        assert four["losses"][-1] < four["losses"][0]


def test_switches_of_the_model_in_the_engine(small_run: Callable[..., Path], tmp_path: Path) -> None:
    """Document masks, recomputation and compiled blocks, under ZeRO-1 and where ZeRO-3 gathers parameters by hooks."""
    masked, compiled = "model.document_masking=true", "training.compile=true"
    cases = {
        "plain": "1:fp32:1.0",
        "masked": f"1:fp32:1.0:{masked}",
        "recomputed": f"3:fp32:1.0:{masked}:training.activation_checkpointing=2",
        "selective": f"3:fp32:1.0:{masked}:training.activation_checkpointing=selective",
        "compiled": f"3:fp32:1.0:{masked}:{compiled}:training.activation_checkpointing=true",
        "compiled, selective": f"3:bf16:1.0:{masked}:{compiled}:training.activation_checkpointing=selective",
        "bf16": f"3:bf16:1.0:{masked}",
        "dropout": f"3:fp32:1.0:{compiled}:model.dropout=0.3",
        "dropout again": f"3:fp32:1.0:{compiled}:model.dropout=0.3:training.save_every=5",
    }
    run_script("compare_stages", small_run("switches", steps=8), tmp_path / "out.json", *cases.values(), ranks=1)
    found = json.loads((tmp_path / "out.json").read_text())
    losses = {name: found[case]["losses"] for name, case in cases.items()}
    assert all(series[-1] < series[0] for series in losses.values()), "all of them learn"
    assert losses["masked"] != pytest.approx(losses["plain"], rel=5e-5), "a few rows hold two documents"
    for name in ("recomputed", "selective", "compiled"):
        assert losses[name] == pytest.approx(losses["masked"], rel=5e-5), name
        of_micro_batches, wanted = (found[cases[case]]["micro_squares"] for case in (name, "masked"))
        assert of_micro_batches == pytest.approx(wanted, rel=1e-3), name
    assert losses["compiled, selective"] == pytest.approx(losses["bf16"], rel=1e-2)
    assert losses["dropout again"] == losses["dropout"], "chance is a function of seed and step"


def test_a_first_step_that_took_more_than_can_be_counted_on_is_named() -> None:
    """Bytes taken and usable of each rank; the fullest is judged, and the usable share is of its own device."""
    assert over_memory([(60, 70), (70, 70)], 8) == ""
    warning = over_memory([(60_000_000_000, 90_000_000_000), (36_500_000_000, 36_400_000_000)], 8)
    assert "the first step took 36.50 GB on rank 1, of 36.40 GB that can be counted on" in warning
    assert "Set training.micro_batch below 8, training.activation_checkpointing=true" in warning
    assert "micro_batch" not in over_memory([(2, 1)], 1), "one row is the least"


def test_an_altered_shard_is_named_before_the_first_step(small_run: Callable[..., Path], data_folder: Path) -> None:
    file = small_run("altered")
    shard = data_folder / "shards" / "train" / "news-00000.bin"
    good = shard.read_bytes()
    shard.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    try:
        output = run_train(file)
    finally:
        shard.write_bytes(good)
    assert output.returncode == 2
    assert f"error: {shard} is damaged" in output.stderr
    assert "Traceback" not in output.stderr


def test_a_finished_run_is_recognised(undisturbed: RunConfig) -> None:
    assert len(losses(undisturbed)) == STEPS
    assert json.loads((undisturbed.run_folder / "DONE").read_text())["step"] == STEPS
    assert sorted(path.name for path in undisturbed.checkpoints.glob("step_*")) == ["step_000008", "step_000012"]
    events = [event["event"] for event in read_journal(undisturbed.run_folder)]
    assert [event for event in events if event != "saving"] == ["start", "save", "save", "save", "done"]
    first = metrics(undisturbed)[1]
    wanted = {"step", "loss", "learning_rate", "gradient_norm", "tokens", "tokens_per_second"}
    assert wanted <= first.keys()
    evaluations = lines(undisturbed, "evaluation")
    assert [line["step"] for line in evaluations] == [6, 12]
    assert set(evaluations[0]["evaluation"]) == {"news", "general"}
    output = run_train(undisturbed.run_folder.parent / "run.yaml")
    assert output.returncode == 0
    assert f"already finished at step {STEPS}" in output.stderr


def test_a_run_that_is_stopped_and_killed_again_and_again_equals_one_that_never_was(
    small_run: Callable[..., Path],
) -> None:
    """By its STOP file, by a signal to one rank, by kill -9 in a save and in a step; the same command goes on.

    The last with DeepSpeed's launcher, the others without: what a rank does about a signal is the same.
    """
    settings = {"steps": 60, "save_every": 2, "keep_checkpoints": 40}
    file, undisturbed = small_run("disturbed", **settings), small_run("undisturbed", **settings)
    config = load_config(file)
    before = 0
    for ask in (
        lambda ranks: (config.run_folder / "STOP").touch(),
        lambda ranks: os.kill(random.choice(ranks).pid, signal.SIGTERM),
    ):
        ranks = start_ranks_and_wait(file, before + 2)
        ask(ranks)
        output = finish_forked(ranks)
        assert "goes on from there" in output
        assert before == 0 or f"resuming from {step_folder(config.checkpoints, before)}" in output
        assert not (config.run_folder / "DONE").exists()
        found = newest_checkpoint(config)
        assert before + 2 <= found.step < 60
        before = found.step

    ranks = start_ranks("-m", "train", str(file), ranks=2)
    wait_for_forked(lambda: any(config.checkpoints.glob(".step_*.partial")), ranks, pause=0.003)
    os.kill(random.choice(ranks).pid, signal.SIGKILL)
    output = finish_forked(ranks, code=None)
    assert all(rank.poll() != 0 for rank in ranks), output
    assert not (config.run_folder / "DONE").exists()

    process = start_and_wait(file, saved_steps(config.checkpoints)[-1] + 5)
    signal_one_rank(file, signal.SIGKILL)
    output = finish(process, code=None)
    assert process.returncode != 0, output
    assert not (config.run_folder / "DONE").exists()

    run_to_the_end(file)
    run_to_the_end(undisturbed)
    assert_same_run(config, load_config(undisturbed))
    assert not list(config.checkpoints.glob(".step_*.partial"))


def test_domainlm_train_with_its_launcher_does_the_same_as_ranks_without_one(
    small_run: Callable[..., Path], undisturbed: RunConfig
) -> None:
    file = small_run("domainlm", local_ranks=2)
    output = run_domainlm("train", file, "--json")
    assert output.returncode == 0, output.stderr
    assert json.loads(output.stdout.splitlines()[-1])["finished"] is True
    assert_same_run(load_config(file), undisturbed)
    again = run_domainlm("train", file, "--json")
    assert again.returncode == 0
    assert f"already finished at step {STEPS}" in again.stderr

    extended = run_train(file, "training.steps=13", "training.learning_rate=1e-3")
    assert extended.returncode == 0, extended.stderr
    assert "resuming with another training.learning_rate: was 0.003, now 0.001" in extended.stderr
    journal = read_journal(load_config(file).run_folder)
    assert [event["event"] for event in journal[-5:]] == ["resume", "configuration changed", "saving", "save", "done"]
    assert journal[-4]["changes"]["training.steps"] == {"was": 12, "now": 13}


def test_a_killed_launcher_is_a_failure_and_leaves_no_rank_behind(small_run: Callable[..., Path]) -> None:
    file = small_run("killed", local_ranks=2, steps=10_000)
    process = start_module("domainlm", "train", file)
    wait_for_forked(load_config(file).metrics.exists, [process])
    launcher = next(
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "deepspeed.launcher.launch" in child.cmdline()
    )
    launcher.kill()
    assert "the launcher was killed" in finish_forked([process], code=1)
    assert not rank_processes(file)


def test_what_the_last_digits_depend_on_is_compared_with_the_last_session(undisturbed: RunConfig) -> None:
    """Under slurm and torchrun alike; threads are by default the machine's CPUs over its ranks."""
    events, rank = read_journal(undisturbed.run_folder), Rank(0, 0, 2)
    here = surroundings(rank, torch.device("cpu"))
    assert changed_surroundings(events, here) == []
    other = {"threads": 7, "host": "elsewhere", "instructions": "VSX", "versions": here["versions"] | {"torch": "3"}}
    said = changed_surroundings([*events, {"event": "stop"}], here | other)
    assert [line.partition(";")[0] for line in said] == [
        f"resuming with another set of the CPU's instructions: was {here['instructions']}, now VSX",
        f"resuming with another number of threads: was {here['threads']}, now 7",
        f"resuming with another torch: was {here['versions']['torch']}, now 3",
    ]
    assert changed_surroundings([{"event": "branch"}], here) == []
    older = {key: value for key, value in here.items() if key != "instructions"}
    assert changed_surroundings([{"event": "resume", **older}], here) == [], "older versions did not write them down"


def test_a_run_goes_on_at_another_world_size_and_stage_but_not_with_another_architecture(
    small_run: Callable[..., Path], undisturbed: RunConfig
) -> None:
    file = undisturbed.run_folder.parent / "run.yaml"
    output = run_train(file, "training.steps=20", "model.layers=3")
    assert output.returncode == 2
    assert "model.layers was 2, now 3" in output.stderr
    assert "Traceback" not in output.stderr

    moved = small_run("moved")
    config = load_config(moved)
    shutil.copytree(undisturbed.run_folder, config.run_folder)
    (config.run_folder / "DONE").unlink()
    shutil.rmtree(step_folder(config.checkpoints, STEPS))
    other_stage = "training.deepspeed={zero_optimization: {stage: 3}}"
    output = run_python("-X", "importtime", "-m", "train", moved, other_stage)
    assert output.returncode == 0, output.stderr
    assert f"resuming from {config.checkpoints / 'step_000008'}" in output.stderr
    assert "resuming with another number of ranks: was 2, now 1; from here on the last digits" in output.stderr
    assert "number of threads" not in output.stderr
    assert "torch._inductor.compile_fx" not in output.stderr, "torch's compiler, a second of a start, is not asked for"
    assert losses(config) == pytest.approx(losses(undisturbed), rel=1e-6)
