"""Memory arithmetic against the published figures and against what autograd really keeps."""

import pytest
import torch
import yaml

from model import loss
from model.config import ModelConfig
from model.kernels import RowPart, _band
from model.lora.config import LoraConfig
from model.lora.lora import add_lora, measure_adapter
from model.memory import (
    LOSS_CHUNK_TOKENS,
    Precision,
    block_activation_bytes,
    loss_bytes,
    memory_per_gpu,
    selective_block_bytes,
    state_bytes,
)
from model.positions import alibi_mask, rotary_angles
from model.transformer import Transformer
from tests.models import BLOOM, QWEN3, shape
from train.config import CHECKOUT

PRESETS = CHECKOUT / "configs" / "model"
GPT = shape(layers=3, width=96, heads=6, vocabulary_size=500, sequence_length=64) | BLOOM
MODERN = QWEN3 | {"feed_forward_width": 256, "key_value_heads": 2}
PATTERN = ["full", "full", "full", "unrotated"]
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def activation_bytes(config, batch, precision="bf16", **recomputation):
    """What the forward pass of `batch` full sequences keeps: embedding, blocks and final norm."""
    memory = memory_per_gpu(config, gpus=1, zero_stage=0, micro_batch=batch, precision=precision, **recomputation)
    return memory.blocks + memory.around_blocks


def published():
    return ModelConfig.model_validate(yaml.safe_load((PRESETS / "bloomberggpt-50b.yaml").read_text("utf-8")))


def kept_bytes(model, batch, part=None):
    """Bytes of the storages that the forward pass and the loss keep, apart from the weights and the shared mask; of a
    slice of rows, where there is a `part`."""
    excluded = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    config = model.config
    tokens = torch.randint(config.vocabulary_size, (batch, config.sequence_length + 1))
    own = part.positions(config.sequence_length) if part else slice(None)
    inputs, targets = tokens[:, :-1][:, own].clone(), tokens[:, 1:][:, own].clone()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(inputs, targets, part=part)
    time, dtype, device = config.sequence_length, model.embedding.weight.dtype, tokens.device
    shared = (
        [alibi_mask(config.heads, 0, time, dtype, device, part.heads(config.heads) if part else None)]
        if config.positions == "alibi"
        else rotary_angles(config.head_width, config.rope_theta, 0, time, dtype, device)
    )
    shared = [*shared, _band(0, time, config.sliding_window, device)]
    excluded |= {table.untyped_storage().data_ptr() for table in shared}
    return sum(storage.nbytes() for pointer, storage in kept.items() if pointer not in excluded)


def build(precision="fp32", **changes):
    return Transformer(ModelConfig.model_validate(GPT | changes)).to(PRECISIONS[precision])


def expected_bytes(config, batch, precision="fp32"):
    """Activations and, of what the loss holds, the two gradients that outlive it."""
    value = 4 if precision == "fp32" else 2
    gradients = batch * config.sequence_length * config.width * value + 4 * config.vocabulary_size * config.width
    return activation_bytes(config, batch, precision) + gradients


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"key_value_heads": 2, "bias": False, "embedding_norm": False},
        {"positions": "rope"},
        {"query_key_norm": True},
        {"query_key_layer_scaling": True, "layers": 8},
        {"positions": "rope", "query_key_norm": True, "key_value_heads": 1, "tied": False},
        {"activation": "swiglu", "feed_forward_width": 200},
        {"positions": "rope", "head_width": 40, "bias": "query_key_value"},
        {"positions": "rope", "query_key_norm": "all_heads", "norm_placement": "after", "key_value_heads": 3},
        {"positions": "rope", "sliding_window": 9, "layer_pattern": ["sliding", "full"]},
    ],
    ids=str,
)
def test_activations_are_what_autograd_keeps(precision, changes):
    model = build(precision, **changes)
    assert kept_bytes(model, 4) == pytest.approx(expected_bytes(model.config, 4, precision), rel=0.05)


def test_unrotated_layers_keep_queries_and_keys_as_they_were_packed():
    """Less than is counted, by no more than these."""
    rotated, mixed = build(positions="rope", layers=4), build(positions="rope", layers=4, layer_pattern=PATTERN)
    packed = 2 * 4 * 64 * 96 * 4  # queries and keys of 4 sequences, in float32
    assert kept_bytes(rotated, 4) - kept_bytes(mixed, 4) == pytest.approx(packed, rel=0.05)


def test_activations_of_the_modern_shape_are_what_autograd_keeps():
    model = build(**MODERN)
    config, tokens = model.config, 4 * 64
    # On a CPU torch makes RMSNorm of several operations, which keep the normalised values too.
    per_token = 7 * config.width + 3 * (config.heads + config.key_value_heads) * config.head_width
    assert kept_bytes(model, 4) == pytest.approx(expected_bytes(config, 4) + 4 * tokens * per_token, rel=0.05)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("lora", "ids"),
    [
        ({"rank": 8}, ()),
        ({"rank": 24, "alpha": 8}, (3, 499)),
        ({"rank": 8, "embeddings": "all"}, ()),
        ({"rank": 8, "dropout": 0.1}, ()),
    ],
    ids=str,
)
def test_what_an_adapter_keeps_and_trains_is_what_is_there(precision, lora, ids):
    lora, model = LoraConfig.model_validate(lora), build(precision, positions="rope", bias=False, layers=4)
    whole = kept_bytes(model, 4)
    add_lora(model, lora, ids, seed=0)
    adapter, value = measure_adapter(model.config, lora, ids), PRECISIONS[precision].itemsize
    assert adapter.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert adapter.frozen == sum(p.numel() for p in model.parameters() if not p.requires_grad)
    memories = [
        memory_per_gpu(model.config, gpus=1, zero_stage=0, micro_batch=4, precision=precision, adapter=given)
        for given in (None, adapter)
    ]
    # Nothing of a frozen head's gradient is kept, nor what the first norm was given, as the embedding has no gradient.
    more = memories[1].blocks - memories[0].blocks + 4 * (adapter.head_rows - 500) * 96
    masks = (value - 1) * model.config.layers * 4 * 64 * adapter.masks  # of dropout, values on a CPU
    copy = 500 * 96 * value if ids else 0  # of the head with its trained rows
    assert kept_bytes(model, 4) == pytest.approx(whole + more + masks + copy, rel=0.05)
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    frozen = sum(parameter.nbytes for parameter in model.parameters()) - trained
    of_trained = {"fp32": 4, "bf16": 9}[precision]  # with gradient, master weight and moments
    assert memories[1].states == frozen + of_trained * trained


@pytest.mark.parametrize("batch", [1, 4])
def test_checkpointing_keeps_the_inputs_of_blocks(batch):
    model = build()
    model.set_training(activation_checkpointing=True)
    config = model.config
    one_live = block_activation_bytes(config, batch, "fp32")
    gradients = expected_bytes(config, batch) - activation_bytes(config, batch, "fp32")
    expected = activation_bytes(config, batch, "fp32", recomputed_blocks=3) - one_live + gradients
    assert kept_bytes(model, batch) == pytest.approx(expected, rel=0.05)
    # What comes alive when one block is recomputed.
    model.set_training(activation_checkpointing=False)
    short = build(layers=2)
    assert kept_bytes(model, batch) - kept_bytes(short, batch) == pytest.approx(one_live, rel=0.05)


def test_each_block_counts_once_in_all_three_ways_to_recompute():
    config = published()
    none, some, every = (activation_bytes(config, 4, recomputed_blocks=count) for count in (0, 35, 70))
    block, kept_input = block_activation_bytes(config, 4), 2 * 4 * 2048 * 7680
    assert none - some == 35 * (block - kept_input) - block
    assert some - every == 35 * (block - kept_input)


def test_selective_keeps_what_products_and_attention_compute():
    """11 s b D values for the GPT shape, and each row's log of its sum; between the two other ways."""
    config, batch = published().model_copy(update={"query_key_layer_scaling": False}), 4
    sbd = config.sequence_length * batch * config.width
    row_sums = 4 * config.heads * config.sequence_length * batch
    assert selective_block_bytes(config, batch) == 2 * 11 * sbd + row_sums
    selective = activation_bytes(config, batch, selective=True)
    assert activation_bytes(config, batch, recomputed_blocks=70) < selective < activation_bytes(config, batch)
    kept = 70 * selective_block_bytes(config, batch)
    # Alive in one half: the sum of the residual branch, its norm with two statistics, and GELU.
    assert selective - kept == (2 + 4) * 2 * sbd + 8 * sbd // config.width + activation_bytes(config, batch) - 70 * (
        block_activation_bytes(config, batch)
    )


def test_a_block_of_the_published_model_is_that_of_the_literature():
    with_dropout = published().model_copy(update={"dropout": 0.1})
    sbd = 2048 * 4 * 7680
    assert block_activation_bytes(with_dropout, 4) == pytest.approx(34 * sbd, rel=1e-3)
    assert block_activation_bytes(published(), 4) == pytest.approx(32 * sbd, rel=1e-3)
    matrix = block_activation_bytes(with_dropout, 4, attention_matrix=True)
    assert matrix == pytest.approx(34 * sbd + 5 * 40 * 2048**2 * 4, rel=1e-4)


@pytest.mark.parametrize(("stage", "gigabytes"), [(0, 809), (1, 203), (2, 103), (3, 1.6)])
def test_states_are_those_of_the_recipe(stage, gigabytes):
    held = state_bytes(50_558_868_480, 512, stage, accumulation_bytes=2)
    assert held / 1e9 == pytest.approx(gigabytes, abs=0.5 if gigabytes > 10 else 0.05)


def test_gradients_in_fp32_cost_two_bytes_more_and_fp32_is_its_own_master():
    parameters = 1_000_000
    for stage, extra in ((0, 2e6), (1, 2e6), (2, 2e6 / 8), (3, 2e6 / 8)):
        assert state_bytes(parameters, 8, stage) - state_bytes(parameters, 8, stage, accumulation_bytes=2) == extra
    assert state_bytes(parameters, 8, 0, "fp32") == 16e6
    assert state_bytes(parameters, 8, 3, "fp32") == 2e6
    with pytest.raises(ValueError, match="zero_stage=4"):
        state_bytes(parameters, 8, 4)


@pytest.mark.parametrize(("group", "gigabytes"), [(128, 36.2), (64, 42.5)])
def test_the_published_run_fits_40_gigabytes_in_groups_of_128_only(group, gigabytes):
    memory = memory_per_gpu(
        published().model_copy(update={"dropout": 0.1}),
        gpus=group,
        zero_stage=3,
        micro_batch=4,
        recomputed_blocks=70,
        accumulation_bytes=2,
        attention_matrix=True,
        chunked_loss=False,
    )
    # The estimate leaves out the embedding and the norms around the blocks.
    assert (memory.total - memory.around_blocks) / 1e9 == pytest.approx(gigabytes, abs=0.05)
    assert memory.around_blocks / 1e9 == pytest.approx(0.31, abs=0.01)
    assert (memory.total < 40e9) == (group == 128)
    assert memory.loss == 10 * 2048 * 4 * 131_072
    assert memory.gathered / 1e9 == pytest.approx(4.84, abs=0.01)


def test_a_chunked_loss_without_the_attention_matrix_saves_seven_gigabytes():
    settings = {"gpus": 128, "zero_stage": 3, "micro_batch": 4, "recomputed_blocks": 70}
    ours = memory_per_gpu(published(), **settings)
    theirs = memory_per_gpu(published(), **settings, attention_matrix=True, chunked_loss=False)
    assert theirs.total - ours.total > 6.8e9
    assert ours.gathered == theirs.gathered
    assert memory_per_gpu(published(), **settings | {"zero_stage": 2}).gathered == 0


def test_the_chunk_is_that_of_the_loss():
    assert loss.LOSS_CHUNK_TOKENS == LOSS_CHUNK_TOKENS
    config = ModelConfig.model_validate(GPT)
    logits = 4 * 4 * 64 * 500
    assert loss_bytes(config, 4, "fp32") == 4 * 4 * 64 * 96 + 4 * 500 * 96 + logits
    assert loss_bytes(config, 64, "fp32") == 4 * 64 * 64 * 96 + 4 * 500 * 96 + 4 * LOSS_CHUNK_TOKENS * 500


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_muon_keeps_one_moment_of_what_it_trains(precision: Precision) -> None:
    for stage, share in ((0, 1), (1, 8), (2, 8), (3, 8)):
        adamw, muon = (state_bytes(1_000_000, 8, stage, precision, by_muon=trained) for trained in (0, 800_000))
        assert adamw - muon == 4 * 800_000 // share


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "changes",
    [
        {"bias": False, "embedding_norm": False},
        {"query_key_layer_scaling": True},
        {"positions": "rope", "key_value_heads": 1},
        {"positions": "rope", "query_key_norm": True, "tied": False},
    ],
    ids=str,
)
def test_a_slice_of_shared_rows_keeps_what_is_counted(precision, changes):
    """Two slices that hold the same, so that what would come from the other process is at hand."""
    model = build(precision, **changes)
    config, part = model.config, RowPart(0, 2, lambda parts: parts + 0)
    counted = memory_per_gpu(config, gpus=1, zero_stage=0, micro_batch=4, precision=precision, sequence_ranks=2)
    value = 4 if precision == "fp32" else 2
    gradients = 4 * 32 * config.width * value + 4 * config.vocabulary_size * config.width
    expected = counted.blocks + counted.around_blocks + gradients
    assert kept_bytes(model, 4, part) == pytest.approx(expected, rel=0.05)
