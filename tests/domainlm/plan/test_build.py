"""The plan's figures against the published ones, and what it says once the shards exist."""

from collections.abc import Callable

import pytest

from data.errors import DataError
from domainlm.plan.build import Plan, plan
from domainlm.plan.scaling import effective_tokens
from domainlm.plan.text import describe
from domainlm.plan.verdict import Verdict, of_demonstration
from train.config import CHECKOUT, RunConfig
from train.config_file import load_config
from train.token_stream import open_stream

Make = Callable[..., RunConfig]
MakeData = Callable[[RunConfig], None]


def test_bloomberggpt() -> None:
    planned = plan(load_config(CHECKOUT / "configs" / "bloomberggpt-50b.yaml"))
    assert planned.parameters == 50_558_868_480
    assert planned.tokens == 568_747_622_400
    assert planned.steps == 139_200
    # 3 (24 L D² + 2 V D + 4 L D s)
    assert planned.flop_per_token == 3 * (24 * 70 * 7680**2 + 2 * 131072 * 7680 + 4 * 70 * 7680 * 2048)


@pytest.fixture(scope="module")
def published() -> Plan:
    """BloombergGPT's run on 512 A100-40GB."""
    return plan(load_config(CHECKOUT / "configs" / "bloomberggpt-50b.yaml"))


def test_the_published_run_takes_what_was_published(published: Plan) -> None:
    """arXiv 2303.17564 §3.2–3.4: 512 GPUs, 32.5 s a step, 102 TFLOP/s, about 53 days; 24.5 % of the peak in 6 N."""
    costs = published.costs
    assert published.machine.devices == 512
    assert costs.seconds_per_step == pytest.approx(32.5, rel=0.01)
    assert costs.tflops_of_parameters == pytest.approx(102, rel=0.01)
    assert costs.tflops == pytest.approx(105.9, rel=0.01)
    assert costs.mfu == pytest.approx(0.256, rel=0.01)
    assert costs.mfu_of_parameters == pytest.approx(0.245, rel=0.01)
    assert costs.days == pytest.approx(53, rel=0.01)
    assert costs.money == pytest.approx(2.67e6, rel=0.01)


def test_the_published_computation_counts_every_batch_as_a_full_one() -> None:
    full = plan(load_config(CHECKOUT / "configs" / "bloomberggpt-50b.yaml", ["training.batch_size=2048"]))
    assert full.hardware_flop == pytest.approx(2.36e23, rel=0.01)
    assert full.costs.computing_days * 86_400 == pytest.approx(139_200 * 32.5, rel=0.01)


def test_the_published_run_is_advised_what_it_was_trained_with(published: Plan) -> None:
    advice = published.advice
    assert advice.placement == published.configured
    assert (advice.placement.zero_stage, advice.placement.recompute, advice.placement.offload) == (3, 1, "none")
    assert not any(fit.micro_batch for fit in published.fits if fit.placement.zero_stage < 3)
    assert not any(fit.micro_batch for fit in published.fits if fit.placement.recompute == 0)
    assert published.verdict.answer == "unknown"


@pytest.mark.parametrize(
    ("length", "recompute", "advised"), [(8_192, 0, ""), (10_240, "selective", "=selective"), (16_384, 1, "=true")]
)
def test_no_more_is_recomputed_than_memory_calls_for(length: int, recompute: int | str, advised: str) -> None:
    overrides = ["hardware={gpu: RTX 4090-24GB}", f"model.sequence_length={length}"]
    planned = plan(load_config(CHECKOUT / "configs" / "bbg-1.3b.yaml", overrides))
    assert planned.advice.placement is not None
    assert planned.advice.placement.recompute == recompute
    assert ("activation_checkpointing" + advised in describe(planned)) == (recompute != 0)


def test_what_saves_and_generation_take_is_shown(published: Plan) -> None:
    # 12 bytes of each of 50,558,868,480 parameters / 512 = 1.18 GB, of which torch pins 2 GiB; eight ranks.
    assert published.host.snapshots == 8 * 2**31
    assert published.host.of_steps == 0
    assert published.kv_cache_bytes_per_token == 2 * 70 * 7680 * 2
    assert published.kv_cache_bytes == 2048 * published.kv_cache_bytes_per_token
    shown = " ".join(describe(published).split())
    assert "17.2 GB of copies for saves; hardware.memory_gigabytes_per_node would say whether it fits" in shown
    assert "2,150 kB a token in bf16, 4.4 GB for a text of full length" in shown


def test_a_machine_with_too_little_memory_of_its_own_is_named() -> None:
    file, hardware = CHECKOUT / "configs" / "bbg-1.3b.yaml", "gpu: A100-80GB, memory_gigabytes_per_node: 16"
    planned = plan(load_config(file, [f"hardware={{{hardware}}}"]))
    assert planned.host.total == 8 * 2**31, "16.1 GB of 12 bytes a parameter, each eighth in the next power of two"
    assert "17.2 GB of copies for saves; it has 16 GB: DOES NOT FIT" in describe(planned)
    waiting = plan(load_config(file, [f"hardware={{{hardware}}}", "training.asynchronous_saves=false"]))
    assert waiting.host.snapshots == 0
    assert "each machine's own memory" not in describe(waiting)


def test_without_hardware_the_plan_is_for_this_machine(make_config: Make) -> None:
    planned = plan(make_config(training={"local_ranks": 2}))
    assert planned.machine.is_cpu
    assert planned.machine.devices == 2
    assert planned.saving is None
    assert planned.costs.money is None
    assert planned.advice.placement == planned.configured
    assert 1e8 < planned.machine.peak_flops < 1e14


def test_a_demonstration_says_what_it_is_and_what_of_another_run_would_be_said() -> None:
    demo = plan(load_config(CHECKOUT / "configs" / "demo.yaml", ["hardware={gpu: H100-80GB}", "folder=/none"]))
    assert demo.verdict.answer == "demonstration"
    assert "A DEMONSTRATION, which is worth training as it is:" in describe(demo)
    judged = of_demonstration(Verdict("do not", ["too little text", "train another further"]))
    assert (
        judged.reasons[1]
        == "of a model for use the same plan would say `do not`: too little text; train another further"
    )


def test_without_shards_nothing_is_invented(make_config: Make) -> None:
    planned = plan(make_config())
    assert planned.epochs == {}
    assert "known after `domainlm tokenize`" in describe(planned)


def test_with_shards_passes_follow_from_the_mixture(make_config: Make, make_data: MakeData) -> None:
    config = make_config()
    make_data(config)
    planned = plan(config)
    assert planned.mixture == pytest.approx({"news": 0.7, "general": 0.3}, abs=1 / 96)
    assert planned.samples == 12 * 8
    for name, share in (("news", 0.7), ("general", 0.3)):
        rows = open_stream(config).passes[name]
        assert planned.epochs[name] == pytest.approx(planned.samples * share / rows, abs=1 / rows)
        passes = planned.epochs[name]
        assert planned.effective_tokens[name] == effective_tokens(planned.training_tokens[name], passes)
    assert "worth in new tokens" in describe(planned)
    assert planned.verdict.answer == "do not"
    assert "below about 700 k an n-gram is better" in describe(planned)


def test_more_passes_than_allowed_are_refused(make_config: Make, make_data: MakeData) -> None:
    config = make_config()
    make_data(config)
    passes = plan(config).epochs["general"]
    sources = [source.model_dump(mode="json") for source in config.data.sources]
    for most in (passes + 0.01, passes - 0.01):
        limited = make_config(data={"sources": [sources[0], sources[1] | {"maximum_epochs": most}]})
        if most > passes:
            assert plan(limited).epochs["general"] == passes
            continue
        with pytest.raises(DataError, match=rf"'general' would be passed over {passes:.2f} times, its maximum_epochs"):
            plan(limited)
