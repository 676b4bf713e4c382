"""The whole decoder: its outputs fit together, and every way of building and running it gives the same numbers."""

import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from data.shards.packing import pack_shards
from data.stream.stream import TokenStream
from model.attention import LayerCache
from model.config import ModelConfig
from model.initialise import initialise
from model.loss import IGNORE
from model.positions import alibi_slopes, document_starts
from model.transformer import OutputHead, Transformer
from tests import models
from train.config import CHECKOUT

SHAPE = models.shape(layers=3, width=24, heads=3, vocabulary_size=31, sequence_length=16)
BLOOM = ModelConfig.model_validate(SHAPE | models.BLOOM)
MODERN = ModelConfig.model_validate(
    SHAPE | models.QWEN3 | {"key_value_heads": 1, "feed_forward_width": 40, "z_loss": 0.01}
)
PRESETS = sorted((CHECKOUT / "configs" / "model").glob("*.yaml"))
BOTH = pytest.mark.parametrize("config", [BLOOM, MODERN], ids=["bloom", "modern"])
WINDOWS = {"sliding_window": 5, "layer_pattern": ["full", "sliding"]}
MIXTURES = {
    "bloom": BLOOM,
    "modern": MODERN,
    "bloom-window": ModelConfig.model_validate(SHAPE | models.BLOOM | WINDOWS),
    **{
        name: ModelConfig.model_validate(settings | {"vocabulary_size": 31})
        for name, settings in models.PUBLISHED.items()
    },
}
ALL = pytest.mark.parametrize("config", MIXTURES.values(), ids=MIXTURES.keys())


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
    counted = (targets != IGNORE).flatten().nonzero()[:, 0]
    for loss in (model(tokens, targets), model(tokens, targets, counted=counted)):
        torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
        for name, gradient in gradients(model, loss).items():
            torch.testing.assert_close(gradient, theirs[name], rtol=0, atol=1e-12, msg=name)
    nothing = model(tokens, torch.full_like(targets, IGNORE), counted=counted[:0])
    assert nothing == 0
    assert not any(gradient.any() for gradient in gradients(model, nothing).values())


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
        "attention": block.attention.output,
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


def test_dropout_changes_between_steps_and_repeats_with_the_seed():
    model, (tokens, targets) = build(BLOOM), batch()
    losses = {}
    for step, dropout in enumerate((0.0, 0.4, 0.4, 0.1, 0.0)):
        model.dropout = dropout
        torch.manual_seed(1)
        losses[step] = model(tokens, targets).item()
    assert losses[0] == losses[4]
    assert losses[1] == losses[2]
    assert len(set(losses.values())) == 3


def check_cache(model, pieces):
    tokens, _ = batch(sum(pieces))
    cache = [LayerCache() for _ in model.blocks]
    parts = [model(piece, cache=cache) for piece in tokens.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens), rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("checkpointing", [False, True, "selective"])
def test_the_cache_gives_the_logits_of_the_whole_sequence(config, checkpointing):
    model = build(config)
    model.set_training(checkpointing)
    check_cache(model, [4, 1, 3, 1])


@ALL
def test_the_cache_does_so_beyond_windows(config):
    with torch.no_grad():
        check_cache(build(config), [1, 1, 6, 1, 1, 1, 9])


def packed_rows(seed=0):
    """Two rows of documents as the stream packs them, and the same documents alone: inputs, targets, and their place.

    Token 0 ends a document and begins the next. The second row goes on, after a document, with a piece of one from
    another row, whose first token is there as context only; the rows end in padding.
    """
    rows, alone = [], []
    generator = torch.Generator().manual_seed(seed)
    for row, lengths in enumerate(([7, 1, 12, 5], [10, 9, 3])):
        tokens, documents = [], []
        for number, length in enumerate(lengths):
            text = torch.randint(1, 31, (length,), generator=generator).tolist()
            repeats = row == 1 and number == 1
            begin = len(tokens)
            if repeats:
                tokens, documents, begin = [*tokens, 0], [*documents, -1], begin + 1
            tokens += text if repeats else [0, *text]
            documents += [number] * (len(tokens) - begin)
            inputs = tokens[begin:]
            alone.append((row, begin, inputs, [*inputs[1:], 0]))
        tokens += [0] + [0] * (33 - len(tokens) - 1)
        documents += [-1] * (32 - len(documents))
        rows.append((tokens, documents))
    tokens, documents = (torch.tensor(part) for part in zip(*rows, strict=True))
    return tokens, documents.to(torch.int32), alone


@ALL
def test_a_packed_row_has_the_losses_of_its_documents_alone(config):
    model, (tokens, documents, alone) = build(config), packed_rows()
    targets = tokens[:, 1:].where(documents >= 0, IGNORE)
    losses = model(tokens[:, :-1], targets, reduction="none", documents=documents)
    covered = torch.zeros_like(losses, dtype=torch.bool)
    total = 0
    for row, begin, inputs, expected in alone:
        place = slice(begin, begin + len(inputs))
        theirs = model(torch.tensor([inputs]), torch.tensor([expected]), reduction="none")
        torch.testing.assert_close(losses[row, place], theirs[0], rtol=0, atol=1e-10)
        covered[row, place] = True
        total += model(torch.tensor([inputs]), torch.tensor([expected])) * len(inputs)
    assert torch.equal(covered, targets != IGNORE), "every predicted token belongs to one document"
    ours = gradients(model, model(tokens[:, :-1], targets, documents=documents))
    for name, gradient in gradients(model, total / covered.sum()).items():
        torch.testing.assert_close(ours[name], gradient, rtol=0, atol=1e-10, msg=name)
    assert not torch.allclose(losses, model(tokens[:, :-1], targets, reduction="none"), atol=1e-3)


def test_the_documents_are_those_of_the_stream(write_training_shards, tmp_path):
    """What `data.stream` calls documents is what the model needs: -1 nowhere stands inside one."""
    shards = write_training_shards(tmp_path, {"news": [5, 40, 3, 9, 2, 30, 11, 6]}, 64)
    pack_shards(shards, "best_fit", 16)
    stream = TokenStream(shards, None, 16, seed=0)
    batch = stream.batch(0, stream.passes["news"])
    starts = document_starts(torch.from_numpy(batch.documents))
    pieces = stream.pieces(0, stream.passes["news"])
    for row, (found, expected) in enumerate(zip(starts.tolist(), pieces, strict=True)):
        predicted = [place for place, document in enumerate(batch.documents[row]) if document >= 0]
        lengths = [piece.tokens for piece in expected]
        assert len(predicted) == sum(lengths)
        for first, length in zip(np.cumsum([0, *lengths]), lengths, strict=False):
            places = predicted[first : first + length]
            assert places == list(range(places[0], places[0] + length))
            assert {found[place] for place in places} == {places[0]}


def test_positions_begin_anew_in_each_document():
    """Rotations are relative in exact arithmetic; in bfloat16 a document far down a row would feel where it stands."""
    model = build(MODERN, torch.bfloat16)
    document = torch.randint(1, 31, (1, 40), generator=torch.Generator().manual_seed(0))
    row = torch.cat((torch.ones(1, 2000, dtype=torch.int64), document), dim=1)
    documents = (torch.arange(2040) >= 2000).int()[None]
    alone = model.hidden_states(document)
    packed = model.hidden_states(row, documents=documents)[:, 2000:]
    assert torch.equal(packed, alone)


def test_documents_behind_a_cache_are_refused():
    model, (tokens, _) = build(BLOOM), batch()
    cache = [LayerCache() for _ in model.blocks]
    model(tokens, cache=cache)
    with pytest.raises(ValueError, match="cache"):
        model(tokens, cache=cache, documents=torch.zeros_like(tokens))


@BOTH
def test_perplexity_beyond_the_length_of_training(config):
    """On twice the length of training: ALiBi goes on by its formula, and so would RoPE, untrained there."""
    model, (tokens, targets) = build(config), batch(time=2 * config.sequence_length)
    losses = model(tokens, targets, reduction="none")
    torch.testing.assert_close(losses, explicit_losses(model, tokens, targets), rtol=0, atol=1e-10)


def explicit_losses(model, tokens, targets):
    """The losses of the whole decoder from its formulas, with logits and attention weights as full matrices."""
    c, hidden = model.config, model.embedding_norm(model.embedding(tokens))
    places = torch.arange(tokens.shape[1])
    distance = (places - places[:, None]).double()
    for block in model.blocks:
        packed = block.attention.query_key_value(block.attention_norm(hidden)).unflatten(-1, (-1, c.head_width))
        q, k, v = packed.split([c.heads, c.key_value_heads, c.key_value_heads], dim=2)
        q, k = block.attention.query_norm(q), block.attention.key_norm(k)
        if c.positions == "rope":
            exponents = torch.arange(c.head_width // 2).double() * 2 / c.head_width
            turn = torch.polar(torch.ones(1).double(), places[:, None] / c.rope_theta**exponents)[:, None]
            q, k = ((torch.complex(*x.chunk(2, -1)) * turn) for x in (q, k))
            q, k = (torch.cat((x.real, x.imag), -1) for x in (q, k))
        k, v = (x.repeat_interleave(c.heads // c.key_value_heads, dim=2) for x in (k, v))
        logits = torch.einsum("bqhd,bkhd->bhqk", q, k) / c.head_width**0.5
        if c.positions == "alibi":
            logits = logits + torch.tensor(alibi_slopes(c.heads)).double()[:, None, None] * distance
        weights = logits.masked_fill(distance > 0, -torch.inf).softmax(-1)
        hidden = hidden + block.attention.output(torch.einsum("bhqk,bkhd->bqhd", weights, v).flatten(2))
        hidden = hidden + block.feed_forward(block.feed_forward_norm(hidden))
    log_probabilities = (model.final_norm(hidden) @ model.head.weight.T).log_softmax(-1)
    losses = -log_probabilities.gather(-1, targets.clamp(min=0)[..., None])[..., 0]
    return losses.where(targets != IGNORE, 0)


@BOTH
@pytest.mark.parametrize(
    "changes", [{}, {"query_key_layer_scaling": True}, WINDOWS], ids=["plain", "scaled", "windows"]
)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "documents"])
def test_a_step_never_waits_for_the_device(config, changes, masked):
    """On the meta device there are no values: whatever asked for one, as a GPU would have to wait for, would raise."""
    with torch.device("meta"):
        model = Transformer(ModelConfig.model_validate(config.model_dump() | {"layer_pattern": None} | changes))
        tokens, documents = torch.zeros(2, 16, dtype=torch.int64), torch.zeros(2, 16, dtype=torch.int32)
    model(tokens, tokens, documents=documents if masked else None).backward()
    assert all(parameter.grad.is_meta for parameter in model.parameters())


@pytest.mark.parametrize("file", PRESETS, ids=lambda file: file.stem)
def test_a_tiny_model_of_every_preset_learns(file):
    preset = yaml.safe_load(file.read_text("utf-8"))
    grouped = {"key_value_heads": 2} if "key_value_heads" in preset else {}
    tiny = {"layers": 2, "width": 32, "heads": 4, "feed_forward_width": 96, "vocabulary_size": 16}
    model = Transformer(ModelConfig.model_validate(preset | tiny | grouped))
    initialise(model, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    counting = torch.arange(4 * 24).view(4, 24) % 16  # each row a stretch of 0, 1, ..., 15, 0, 1, ...
    losses = []
    for _ in range(40):
        loss = model(counting[:, :-1], counting[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] < math.log(16) + 1
    assert losses[-1] < 0.1


def test_query_key_layer_scaling_changes_nothing_but_rounding():
    for config in (BLOOM, MODERN):
        plain, scaled = build(config), build(config.model_copy(update={"query_key_layer_scaling": True}))
        torch.testing.assert_close(scaled(batch()[0]), plain(batch()[0]), rtol=0, atol=1e-12)
        plain, scaled = plain.bfloat16(), scaled.bfloat16()
        assert not torch.equal(scaled(batch(60)[0]), plain(batch(60)[0]))


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
