"""Examines the machine before a run: software, GPUs, launcher, gradients, storage, signals, W&B, the run's data."""

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data.errors import DataError
from data.files import stage_digest
from data.progress import say
from domainlm.doctor.findings import Finding
from domainlm.doctor.gradients import judge_gradients, small_run
from domainlm.doctor.machine_checks import check_machine
from domainlm.doctor.storage_checks import check_storage
from domainlm.launcher import deepspeed_command, local_ranks, started
from domainlm.plan.build import machine_of
from domainlm.plan.costs import checkpoint_bytes, host_memory
from domainlm.plan.placement import step_memory
from train.config import CHECKOUT, RunConfig, to_yaml
from train.config_file import load_config
from train.engine.placement import configured_placement
from train.hardware import Machine
from train.token_stream import open_stream

LAUNCH_SECONDS = 300.0
SLOW_ALL_REDUCE = {"nccl": 2e9, "gloo": 1e8}
"""Bytes a second below which gradients will hold the steps up."""


def examine(config: RunConfig | None, launch: bool = True) -> list[Finding]:
    """Everything that can be found out before a run; without a configuration, about the machine alone.

    Args:
        launch: start ranks with DeepSpeed's launcher, which takes seconds.
    """
    ranks = local_ranks(config) if config else 2
    nodes = config.hardware.nodes if config and config.hardware else 1
    say("machine: software, GPUs, memory, limits, signals")
    machine = machine_of(config) if config else None
    findings = check_machine(ranks, host_memory(config, machine).total if config and machine else 0)
    say("storage: writes 128 MB and removes them")
    if config:
        findings += check_storage(config.run_folder, checkpoint_bytes(config), config.training.keep_checkpoints, nodes)
    else:
        findings += check_storage(Path.cwd(), 0, 0, nodes)
    if launch:
        started = max(2, ranks)
        say(f"launcher: starts {started} ranks that add up numbers and compare a step's gradient with plain torch's")
        findings += check_launcher(started if not _has_gpus() else ranks, config)
    if config and machine:
        findings += [check_wandb(config), *check_data(config), check_memory_of_steps(config, machine)]
    return findings


def _has_gpus() -> bool:
    import torch

    return torch.cuda.is_available()


def check_memory_of_steps(config: RunConfig, machine: Machine) -> Finding:
    """Whether a step fits the devices that are planned for."""
    memory = step_memory(config, machine, configured_placement(config.training), config.training.micro_batch)
    seen = f"{memory.total / 1e9:,.2f} GB of {machine.usable_memory / 1e9:,.1f} GB usable on each {machine.device}"
    if memory.total > machine.usable_memory:
        return Finding("a step's memory", "fail", seen, "`domainlm plan` shows what fits")
    return Finding("a step's memory", "ok", seen)


def check_launcher(ranks: int, config: RunConfig | None = None) -> list[Finding]:
    """Start ranks as a run does, have them add up numbers, and compare the gradient of a step with plain torch's.

    Args:
        config: whose settings of DeepSpeed are tried; without one, ZeRO 1 to 3.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seen.json"
        runs = [small_run(config, ranks)] if config else [small_run(_demo(), ranks, stage) for stage in (1, 2, 3)]
        files = [Path(folder) / f"small-{number}.yaml" for number in range(len(runs))]
        for file, run in zip(files, runs, strict=True):
            file.write_text(to_yaml(run), "utf-8")
        words = [str(out), *map(str, files)]
        command, environment = deepspeed_command(ranks, "domainlm.doctor.collectives", *words)
        try:
            with started(command, environment, output=subprocess.PIPE) as launcher:
                printed = "".join(launcher.communicate(timeout=LAUNCH_SECONDS))
        except subprocess.TimeoutExpired:
            seen = f"{ranks} ranks did not meet within {LAUNCH_SECONDS:.0f} s"
            return [Finding("launcher", "fail", seen, "look for a firewall, or a wrong NCCL_SOCKET_IFNAME")]
        facts = json.loads(out.read_text("utf-8")) if out.exists() else None
        findings = judge_collectives(facts) if facts else []
        if launcher.returncode or facts is None:
            lines = [line for line in printed.splitlines() if line.strip()]
            seen = f"exit code {launcher.returncode}: {lines[-1] if lines else 'nothing was printed'}"
            name, to_do = "launcher", f"try it by hand: {' '.join(command)}"
            if facts:
                name, to_do = "gradient", "DeepSpeed cannot take a step with the settings of training.deepspeed"
            return [*findings, Finding(name, "fail", seen, to_do)]
        return [*findings, *judge_gradients(facts["gradients"], ranks)]


def _demo() -> RunConfig:
    return load_config(CHECKOUT / "configs" / "demo.yaml")


def judge_collectives(facts: dict[str, Any]) -> list[Finding]:
    """Findings from what domainlm.doctor.collectives wrote."""
    backend, speeds = facts["backend"], {int(size): speed for size, speed in facts["bytes_per_second"].items()}
    joined = f"{facts['ranks']} ranks over {backend} joined in {facts['seconds_to_join']:.1f} s"
    findings = [Finding("launcher", "ok", joined)]
    if not facts["right"]:
        findings.append(
            Finding("all-reduce", "fail", "the sum is wrong", "a device or its connection is faulty: drain the machine")
        )
        return findings
    largest = max(speeds)
    seen = "right; " + ", ".join(f"{size >> 20} MB at {speed / 1e9:.3g} GB/s" for size, speed in speeds.items())
    if facts["ranks"] > 1 and speeds[largest] < SLOW_ALL_REDUCE.get(backend, 0.0):
        findings.append(
            Finding("all-reduce", "warn", seen, "slower than usual: look at nvidia-smi topo -m and the load")
        )
    else:
        findings.append(Finding("all-reduce", "ok", seen))
    return findings


def check_wandb(config: RunConfig, timeout: float = 5.0) -> Finding:
    """Whether Weights & Biases is off, offline, or reached."""
    if not config.monitoring.wandb:
        return Finding("W&B", "ok", "off (monitoring.wandb)")
    mode = os.environ.get("WANDB_MODE", "offline")
    if mode != "online":
        return Finding("W&B", "ok", f"{mode}: `wandb sync {config.run_folder}/wandb/offline-run-*` uploads it later")
    address = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), timeout).close()
    except OSError as error:
        seen = f"{address.hostname}:{port} cannot be reached: {error}"
        return Finding("W&B", "warn", seen, "the run will go on offline; unset WANDB_MODE to say so from the start")
    return Finding("W&B", "ok", f"online, {address.hostname}:{port} answers")


def check_data(config: RunConfig) -> list[Finding]:
    """Whether the tokenizer and the shards are whole and fit the model."""
    findings = []
    if not config.shards_are_remote and config.data.shards is None:
        try:
            findings.append(Finding("tokenizer", "ok", f"digest {stage_digest(config.tokenizer_folder, 'tokenizer')}"))
        except DataError as error:
            findings.append(Finding("tokenizer", "fail", str(error), "run `domainlm tokenize`"))
    try:
        stream = open_stream(config)
    except DataError as error:
        return [*findings, Finding("shards", "fail", str(error), "mend or make the shards before the run")]
    tokens = sum(sum(source.tokens) for source in stream.packing.sources.values())
    sources = ", ".join(stream.packing.sources)
    return [*findings, Finding("shards", "ok", f"{tokens:,} tokens of {sources}, every file of its size")]
