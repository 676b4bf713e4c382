"""Time, checkpoints and traffic against published figures and simple cases."""

import pytest

from domainlm.plan.costs import CHECKPOINT_BYTES_PER_PARAMETER, costs, expected_mfu, saving, traffic
from model.sizes import flop_per_token
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.engine.placement import Placement, configured_placement
from train.hardware import planned_machine

GPUS_512 = "hardware={gpu: A100-40GB, nodes: 64, assumed_mfu: 0.256}"


def config_of(name: str, *overrides: str) -> RunConfig:
    return load_config(CHECKOUT / "configs" / f"{name}.yaml", overrides)


def test_blooms_log_line() -> None:
    """105.22 s for 2,048 sequences on 384 GPUs, logged as 149.02 TFLOP/s: 96 B s L D² (1 + s / 6 D + V / 16 L D)."""
    bloom = config_of("bloomberggpt-50b").model.model_copy(
        update={
            "vocabulary_size": 250_880,
            "width": 14_336,
            "heads": 112,
            "head_width": 128,
            "key_value_heads": 112,
            "feed_forward_width": 4 * 14_336,
        }
    )
    flop = 2048 * 2048 * flop_per_token(bloom, recomputed_blocks=70)
    assert flop / (105.22 * 384) / 1e12 == pytest.approx(149.02, rel=1e-3)


def test_lost_time_lengthens_the_days_and_nothing_else() -> None:
    config = config_of("bloomberggpt-50b", GPUS_512)
    assert config.hardware
    machine = planned_machine(config.hardware)
    plain, lossy = (costs(config, config.hardware, machine, lost) for lost in (0.0, 0.5))
    assert lossy.days == pytest.approx(2 * plain.days)
    assert lossy.device_hours == pytest.approx(512 * 24 * lossy.days)
    assert lossy.computing_days == plain.computing_days == plain.days
    assert plain.money is None


def test_young_and_daly() -> None:
    """√(2 · 100 s · 5,000 h) = 60,000 s between saves of 100 s."""
    config = config_of("bloomberggpt-50b")
    assert config.hardware
    size = CHECKPOINT_BYTES_PER_PARAMETER * 50_558_868_480
    hardware = config.hardware.model_copy(
        update={
            "storage_gigabytes_per_second": size / 100e9,
            "gpu_hours_between_failures": 512 * 5_000,
            "restart_minutes": 0,
        }
    )
    saved = saving(config, hardware, planned_machine(hardware), seconds_per_step=60)
    assert saved.checkpoint_bytes == size
    assert saved.seconds == pytest.approx(100)
    assert saved.interval_seconds == pytest.approx(60_000)
    assert saved.interval_steps == 1_000
    assert saved.lost_share == pytest.approx(100 / 60_000 * 2), "saves cost what failures lose"
    assert saved.kept_bytes == (config.training.keep_checkpoints + 1) * size


@pytest.mark.parametrize(("stage", "times"), [(0, 2), (1, 2), (2, 5), (3, 12)])
def test_traffic_in_the_terms_of_the_literature(stage: int, times: int) -> None:
    """2 M, 2 M, (A + 1) M and 3 A M for M = 2 N bytes of weights and gradients alike; A = 4 micro-batches."""
    config = config_of("bloomberggpt-50b", GPUS_512, "training.batch_size=4096")
    assert config.hardware
    machine = planned_machine(config.hardware)
    moved = traffic(config, config.hardware, machine, Placement(stage, "none", 1), 2, gradient_bytes=2)
    assert moved.bytes_per_device == times * 2 * 50_558_868_480


def test_traffic_of_the_published_run() -> None:
    """One micro-batch of 4 on 512 GPUs: 5.97 s at 400 Gb/s a machine."""
    config = config_of("bloomberggpt-50b", GPUS_512)
    assert config.hardware
    machine = planned_machine(config.hardware)
    moved = traffic(config, config.hardware, machine, Placement(3, "none", 1), 4, gradient_bytes=2)
    assert moved.seconds_between_nodes == pytest.approx(5.97, rel=0.01)


def test_what_shared_rows_exchange() -> None:
    """Of every token 32 query and 2 × 8 key-value heads of 128 and as many results as queries, 7 / 8 of them to others,
    in the forward pass, when it is run again, and back."""
    config = config_of("modern-7b-131072", "training.batch_size=2")
    assert config.hardware
    machine, placement = planned_machine(config.hardware), configured_placement(config.training)
    moved = traffic(config, config.hardware, machine, placement, 1)
    exchanged = 2 * 3 * 32 * (131_072 / 8) * (32 + 16 + 32) * 128 * 2 * 7 / 8
    assert moved.exchanged == exchanged
    assert moved.bytes_per_device == exchanged + 2 * (2 * 2 + 4) * 6_744_715_264
    assert moved.seconds_between_nodes == 0
    machines = config_of("modern-7b-131072", "training.batch_size=2", "training.sequence_ranks=16",
                         "hardware={gpu: H100-80GB, nodes: 2}")  # fmt: skip
    assert machines.hardware
    far = traffic(machines, machines.hardware, planned_machine(machines.hardware), placement, 1)
    weights = 2 * (2 * 2 + 4) * 6_744_715_264 / 2
    copied = 2 * 3 * 32 * (131_072 / 16) * (32 + 32 + 32) * 128 * 2 * 15 / 16
    assert far.exchanged == copied, "eight key-value heads are copied for sixteen ranks"
    assert far.seconds_between_nodes == pytest.approx((weights + copied * 8 / 15 * 8) / 50e9)


def test_what_share_of_the_peak_is_assumed() -> None:
    for name, gpus, share in (("bbg-1.3b", 8, 0.45), ("bbg-1.3b", 16, 0.40), ("bloomberggpt-50b", 8, 0.40)):
        config = config_of(name, "hardware={gpu: A100-80GB}")
        assert config.hardware
        hardware = config.hardware.with_gpus(gpus)
        assert expected_mfu(config.model, hardware, planned_machine(hardware)) == share
