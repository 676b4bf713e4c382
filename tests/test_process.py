"""Ranks from any launcher, and the machine's peak."""

import pytest
import torch

from train.config_file import ConfigError
from train.process import Rank, find_rank, free_port, peak_flops


def test_launcher_variables_decide() -> None:
    environment = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_SIZE": "2", "SLURM_STEP_ID": "0"}
    assert find_rank(environment) == (Rank(3, 1, 4, 2), {})


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
    rank, variables = find_rank(environment)
    assert rank == Rank(9, 1, 16, 8)
    assert variables == {"RANK": "9", "LOCAL_RANK": "1", "WORLD_SIZE": "16"}
    del environment["MASTER_PORT"]
    with pytest.raises(ConfigError, match=r"export MASTER_PORT: see slurm/pretrain\.sbatch"):
        find_rank(environment)


def test_a_bare_allocation_is_one_rank() -> None:
    rank, variables = find_rank({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "16"})
    assert rank == Rank(0, 0, 1)
    assert variables["WORLD_SIZE"] == "1"
    assert 0 < int(variables["MASTER_PORT"]) < 65536


def test_free_port_can_be_listened_on() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_peak_flops_of_this_machine_is_plausible() -> None:
    assert 1e8 < peak_flops(torch.device("cpu")) < 1e14
