"""Ranks from any launcher, and the machine's peak."""

import re

import pytest
import torch

from tests.launched.runs import run_python
from train.config_file import ConfigError
from train.process import Rank, find_rank, peak_flops, stated_flops


def test_launcher_variables_decide() -> None:
    environment = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_SIZE": "2", "SLURM_STEP_ID": "0"}
    environment |= {"MASTER_ADDR": "node1", "MASTER_PORT": "20000"}
    before = environment.copy()
    assert find_rank(environment) == Rank(3, 1, 4, 2)
    assert environment == before


def test_a_slurm_step_gives_one_rank_a_task() -> None:
    environment = {
        "SLURM_STEP_ID": "0",
        "SLURM_PROCID": "9",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_NUM_TASKS": "16",
        "SLURM_STEP_TASKS_PER_NODE": "8(x2)",
        "MASTER_ADDR": "node1",
        "MASTER_PORT": "20000",
    }
    inside = environment.copy()
    assert find_rank(inside) == Rank(9, 1, 16, 8)
    assert inside == environment | {"RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "16"}
    del environment["MASTER_PORT"]
    with pytest.raises(ConfigError, match=r"export MASTER_ADDR and MASTER_PORT: see slurm/pretrain\.sbatch"):
        find_rank(environment)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"RANK": "one"}, "the environment's RANK is 'one', which is no whole number"),
        ({"WORLD_SIZE": "2.0"}, "the environment's WORLD_SIZE is '2.0', which is no whole number"),
        ({"LOCAL_RANK": ""}, "the environment's LOCAL_RANK is '', which is no whole number"),
        ({"LOCAL_WORLD_SIZE": "-1"}, "the environment's LOCAL_WORLD_SIZE is '-1', which is no whole number"),
        ({"RANK": "4"}, "names rank 4 of 4, on its machine 1 of 2: start the ranks with one launcher"),
        ({"LOCAL_RANK": "2"}, "names rank 3 of 4, on its machine 2 of 2: start the ranks with one launcher"),
        ({"MASTER_PORT": "ssh"}, "the environment's MASTER_PORT is 'ssh', which is no whole number"),
        ({"MASTER_PORT": "99999"}, "the environment's MASTER_PORT is 99999, which is no port"),
        ({"MASTER_ADDR": None}, "with RANK set, MASTER_ADDR and MASTER_PORT must be"),
    ],
)
def test_what_no_launcher_sets_is_refused_by_name(change: dict[str, str | None], refusal: str) -> None:
    whole = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    environment = whole | {"MASTER_ADDR": "node1", "MASTER_PORT": "20000"} | change
    with pytest.raises(ConfigError, match=re.escape(refusal)):
        find_rank({name: value for name, value in environment.items() if value is not None})


def test_a_slurm_step_without_numbers_is_refused_by_name() -> None:
    step = {"SLURM_STEP_ID": "0", "SLURM_PROCID": "x", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "2"}
    with pytest.raises(ConfigError, match="the environment's SLURM_PROCID is 'x'"):
        find_rank(step | {"MASTER_ADDR": "node1", "MASTER_PORT": "20000"})
    with pytest.raises(ConfigError, match="the environment's SLURM_STEP_NUM_TASKS is 'many'"):
        find_rank(step | {"SLURM_STEP_NUM_TASKS": "many"})


def test_a_bare_allocation_is_one_rank() -> None:
    environment = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "16"}
    assert find_rank(environment) == Rank(0, 0, 1)
    assert environment["WORLD_SIZE"] == "1"
    assert 0 < int(environment["MASTER_PORT"]) < 65536


def test_no_data_sheet_says_what_a_cpu_can_reach() -> None:
    assert stated_flops(torch.device("cpu")) is None


def test_peak_flops_of_this_machine_is_plausible() -> None:
    assert 1e8 < peak_flops(torch.device("cpu")) < 1e14


def test_a_cpu_process_keeps_its_memory_and_flushes_denormals_in_all_threads() -> None:
    """In a process of its own, since these settings cannot be taken back."""
    program = """
import resource, torch
from train.process import Rank, use_machine
torch.set_num_threads(2)
assert use_machine(Rank(0, 0, 1)).type == "cpu" and torch.get_num_threads() == 2
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step = lambda: [torch.ones(4 << 20) for _ in range(4)]
for _ in range(3):  # until the heap has its size
    step()
before = faults()
for _ in range(5):
    step()
faults_of_steps = faults() - before
tiny = torch.full((1 << 20,), 1e-30)
print(faults_of_steps, int((tiny * 1e-10).count_nonzero()))
"""
    done = run_python("-c", program, CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    faults, denormals = map(int, done.stdout.split())
    assert faults < 20_000, "64 MiB five times are 80,000 pages: freed memory went back to the kernel"
    assert denormals == 0
