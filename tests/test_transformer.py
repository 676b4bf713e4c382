"""The whole decoder: its outputs fit together, and every way of building and running it gives the same numbers."""

import copy

import pytest
import torch
import torch.nn.functional as F

from model.attention import LayerCache
from model.config import ModelConfig
from model.initialise import initialise
from model.loss import IGNORE
from model.transformer import OutputHead, Transformer

SHAPE = {"layers": 2, "width": 24, "heads": 3, "vocabulary_size": 31, "sequence_length": 16}
BLOOM = ModelConfig(
    **SHAPE,
    positions="alibi",
    norm="layernorm",
    activation="gelu",
    embedding_norm=True,
    bias=True,
    tied=True,
    query_key_norm=False,
)
MODERN = ModelConfig(
    **SHAPE,
    key_value_heads=1,
    feed_forward_width=40,
    positions="rope",
    norm="rmsnorm",
    activation="swiglu",
    embedding_norm=False,
    bias=False,
    tied=False,
    query_key_norm=True,
    z_loss=0.01,
)
BOTH = pytest.mark.parametrize("config", [BLOOM, MODERN], ids=["bloom", "modern"])


def build(config, dtype=torch.float64):
    model = Transformer(config)
    initialise(model, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return model.to(dtype)


def batch(time=9, count=2):
    tokens = torch.randint(31, (count, time + 1), generator=torch.Generator().manual_seed(time))
    targets = tokens[:, 1:].clone()
    targets[0, 2:4] = IGNORE
    return tokens[:, :-1], targets


def gradients(model, loss):
    return dict(zip(dict(model.named_parameters()), torch.autograd.grad(loss, list(model.parameters())), strict=True))


@BOTH
def test_loss_is_the_cross_entropy_of_the_logits(config):
    model, (tokens, targets) = build(config), batch()
    logits = model(tokens)
    flat = logits.flatten(0, 1)
    plain = F.cross_entropy(flat, targets.flatten(), ignore_index=IGNORE)
    z_term = flat.logsumexp(-1)[targets.flatten() != IGNORE].square().mean()
    expected = plain + config.z_loss * z_term
    torch.testing.assert_close(model(tokens, targets), expected, rtol=0, atol=1e-12)
    losses = model(tokens, targets, reduction="none")
    assert torch.equal(losses == 0, targets == IGNORE)
    torch.testing.assert_close(losses.sum() / (targets != IGNORE).sum(), plain, rtol=0, atol=1e-12)
    theirs = gradients(model, expected)
    for name, gradient in gradients(model, model(tokens, targets)).items():
        torch.testing.assert_close(gradient, theirs[name], rtol=0, atol=1e-12, msg=name)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_outputs_are_float32_and_near_the_float64_ones(config, dtype):
    tokens, targets = batch()
    model, exact = build(config, dtype), build(config).to(dtype).double()
    logits, losses = model(tokens), model(tokens, targets, reduction="none")
    assert logits.dtype == losses.dtype == model(tokens, targets).dtype == torch.float32
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(logits.double(), exact(tokens), rtol=0, atol=tolerance)
    torch.testing.assert_close(losses.double(), exact(tokens, targets, reduction="none"), rtol=0, atol=tolerance)
    assert {gradient.dtype for gradient in gradients(model, model(tokens, targets)).values()} == {dtype}


@BOTH
def test_activation_checkpointing_changes_no_bit_and_runs_each_block_twice(config):
    model, (tokens, targets) = build(config, torch.float32), batch()
    expected = gradients(model, model(tokens, targets))
    runs = []
    model.blocks[0].register_forward_pre_hook(lambda *_: runs.append(1))
    model.activation_checkpointing = True
    recomputed = gradients(model, model(tokens, targets))
    assert len(runs) == 2
    assert all(torch.equal(recomputed[name], expected[name]) for name in expected)


def test_activation_checkpointing_repeats_the_dropout_it_drew():
    model, (tokens, targets) = build(BLOOM.model_copy(update={"dropout": 0.3})), batch()
    torch.manual_seed(0)
    expected = gradients(model, model(tokens, targets))
    model.activation_checkpointing = True
    torch.manual_seed(0)
    recomputed = gradients(model, model(tokens, targets))
    for name in expected:
        torch.testing.assert_close(recomputed[name], expected[name], rtol=0, atol=1e-13, msg=name)


def dropped_share(before, after, probability):
    """Share of elements that became 0; the rest must have been scaled up to keep the mean."""
    kept = after != 0
    torch.testing.assert_close(after[kept], before[kept] / (1 - probability), rtol=1e-9, atol=1e-12)
    return 1 - kept.double().mean().item()


def test_dropout_acts_on_the_embedding_and_on_both_residual_branches():
    model, (tokens, _) = build(BLOOM.model_copy(update={"dropout": 0.25})), batch(time=60, count=8)
    seen = {}
    block = model.blocks[0]
    for name, module in {
        "embedding": model.embedding_norm,
        "block": block,
        "attention": block.attention,
        "middle": block.feed_forward_norm,
        "feed_forward": block.feed_forward,
    }.items():
        module.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: (inputs[0], output)}))
    model(tokens)
    entering, leaving = seen["block"]
    middle = seen["middle"][0]
    for before, after in (
        (seen["embedding"][1], entering),
        (seen["attention"][1], middle - entering),
        (seen["feed_forward"][1], leaving - middle),
    ):
        assert dropped_share(before, after, 0.25) == pytest.approx(0.25, abs=0.03)


def test_dropout_acts_in_training_only():
    model, (tokens, _) = build(BLOOM.model_copy(update={"dropout": 0.3})), batch()
    assert not torch.equal(model(tokens), model(tokens))
    assert torch.equal(model.eval()(tokens), build(BLOOM)(tokens))


@BOTH
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_cache_gives_the_logits_of_the_whole_sequence(config, checkpointing):
    model, (tokens, _) = build(config), batch()
    model.activation_checkpointing = checkpointing
    cache = [LayerCache() for _ in model.blocks]
    parts = [model(piece, cache=cache) for piece in tokens.split([4, 1, 3, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=0, atol=1e-12)


def test_alibi_runs_beyond_the_sequence_length_of_training():
    model, (tokens, _) = build(BLOOM), batch(time=3 * BLOOM.sequence_length)
    torch.testing.assert_close(model(tokens)[:, :10], model(tokens[:, :10]), rtol=0, atol=1e-12)


@BOTH
def test_a_model_built_on_the_meta_device_becomes_the_same_model(config):
    with torch.device("meta"):
        model = Transformer(config)
    assert all(parameter.is_meta for parameter in model.parameters())
    model.to_empty(device="cpu")
    assert (model.head.weight is model.embedding.weight) == config.tied
    initialise(model, seed=3)
    direct = Transformer(config)
    initialise(direct, seed=3)
    assert torch.equal(model(batch()[0]), direct(batch()[0]))


@BOTH
@pytest.mark.parametrize("change", [copy.deepcopy, lambda model: model.to(torch.float64)], ids=["copy", "to"])
def test_tied_weights_stay_tied(config, change):
    model = change(build(config, torch.float32))
    assert (model.head.weight is model.embedding.weight) == config.tied
    assert ("head.weight" in dict(model.named_parameters())) != config.tied


@BOTH
def test_parameters_are_used_only_by_the_module_that_holds_them(config):
    """What ZeRO stage 3 relies on: outside the forward of its modules, a parameter is not there."""
    model, (tokens, targets) = build(config), batch()
    expected = model(tokens, targets)
    whole = {name: parameter.data for name, parameter in model.named_parameters()}
    holders = [module for module in model.modules() if list(module.parameters(recurse=False))]

    def gather(module, _):
        for parameter in module.parameters(recurse=False):
            parameter.data = whole[names[parameter]]

    def release(module, *_):
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.new_empty(0)

    names = {parameter: name for name, parameter in model.named_parameters()}
    for module in holders:
        module.register_forward_pre_hook(gather)
        module.register_forward_hook(release)
        release(module)
    with torch.no_grad():
        assert torch.equal(model(tokens, targets), expected)
        assert model(tokens).shape == (2, 9, 31)


def test_an_untied_head_begins_without_an_opinion():
    head = OutputHead(MODERN, None)
    assert head(torch.ones(1, 2, 24)).abs().sum() == 0


@BOTH
def test_a_state_dict_moves_all_there_is(config):
    model, other = build(config), Transformer(config).double()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(batch()[0]), model(batch()[0]))
