"""Rates, decay and initial values of another size: the table, its folded multipliers, and how large activations get."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from model.config import ModelConfig
from model.initialise import initialise
from model.transformer import Transformer
from tests.models import BLOOM, LLAMA, PUBLISHED, shape
from train.config import TrainingConfig
from train.engine.eager import EagerAdamW
from train.engine.hidden_matrices import hidden_matrices, is_hidden
from train.engine.layout import Place
from train.engine.muon import Muon
from train.engine.optimizer import build_optimizer
from train.rates.carry_over import Factors, carry_over
from train.rates.settings import TunedAt

EMBEDDING, FINAL = "embedding.weight", "final_norm.weight"
QUERIES, OUTPUT = "blocks.1.attention.query_key_value.weight", "blocks.0.feed_forward.output.weight"


def model_of(width: int, layers: int = 2, family: dict[str, Any] = BLOOM) -> ModelConfig:
    return ModelConfig.model_validate(shape(layers, width, width // 16, 97, 24) | family)


def training(**changes: object) -> TrainingConfig:
    values = {"steps": 10, "batch_size": 8, "micro_batch": 8, "learning_rate": 1e-2, "deepspeed": {}}
    return TrainingConfig.model_validate(values | changes)


def test_the_table() -> None:
    """Four times as wide and twice as deep."""
    of = carry_over(model_of(64, 4), TunedAt(width=16, layers=2), "adamw")
    root = 2**0.5
    assert of(EMBEDDING) == of("head.weight") == Factors(2, 1, 1, 1 / 4)
    assert of("embedding_norm.bias") == Factors(1, 1, 1, 1 / 4)
    assert of(FINAL) == of("final_norm.bias") == Factors(1 / 4, 1 / 4, 1, 1)
    assert of(QUERIES) == of("blocks.3.feed_forward.expand.weight") == Factors(1, 1 / 4, 4, 1 / 8)
    assert of(OUTPUT) == of("blocks.3.attention.output.weight") == pytest.approx(Factors(1 / root, 1 / 8, 8, 1 / 4))
    assert of("blocks.0.attention_norm.weight") == of("blocks.0.feed_forward.expand.bias") == Factors(1, 1, 1, 1 / 8)
    assert of("blocks.0.attention.query_norm.weight") == Factors(1, 1, 1, 1 / 8)
    assert of("blocks.0.feed_forward.output.bias") == Factors(1, 1 / 2, 1, 1 / 4)


def test_the_table_of_muon_and_of_norms_that_stand_after() -> None:
    by_muon = carry_over(model_of(64, 4), TunedAt(width=16, layers=2), "muon")
    assert by_muon(QUERIES) == Factors()
    assert by_muon(OUTPUT) == pytest.approx(Factors(1 / 2**0.5, 1 / 2, 2))
    assert by_muon(EMBEDDING) == Factors(2, 1, 1, 1 / 4)
    after = carry_over(model_of(64, 4, LLAMA | {"norm_placement": "after"}), TunedAt(width=16, layers=2), "adamw")
    assert after("blocks.0.feed_forward_norm.weight") == Factors(1 / 2, 1 / 2, 1, 1 / 4)
    assert after(OUTPUT) == pytest.approx(Factors(2**0.5, 1 / 4, 4, 1 / 8))
    assert after("blocks.0.attention.key_norm.weight") == Factors(1, 1, 1, 1 / 8)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_in_the_small_model_itself_and_without_one_nothing_is_scaled(name: str, optimizer: Any) -> None:
    config = ModelConfig.model_validate(PUBLISHED[name])
    with torch.device("meta"):
        model = Transformer(config)
    for tuned_at in (None, TunedAt(width=config.width, layers=config.layers), TunedAt(width=config.width)):
        of = carry_over(config, tuned_at, optimizer)
        assert {of(parameter) for parameter, _ in model.named_parameters()} == {Factors()}


FAMILIES = {"before": BLOOM, "after": LLAMA | {"norm_placement": "after"}}


@pytest.mark.parametrize("placement", FAMILIES)
def test_folded_multipliers_train_the_model_that_has_them(placement: str) -> None:
    """Three steps of AdamW in float64, beside a model whose logits are times 1 / m and whose branches times 1 / d, with
    the rates, decays and epsilons of CompleteP's table; initial values are those of the small model's recipe."""
    config, m, d = model_of(48, 6, FAMILIES[placement]), 3.0, 2.0
    given = training(weight_decay=0.3, epsilon=1e-4)
    of = carry_over(config, TunedAt(width=16, layers=3), "adamw")
    folded, explicit = Transformer(config).double(), Transformer(config).double()
    initialise(folded, 1, factor=lambda name: of(name).initial)
    explicit.load_state_dict(folded.state_dict())
    branch_ends = ("attention.output", "feed_forward.output") if placement == "before" else (
        "attention_norm", "feed_forward_norm"
    )  # fmt: skip
    multipliers = {name: 1 / d for name, _ in explicit.named_modules() if name.endswith(branch_ends)}
    multipliers["final_norm"] = 1 / m
    for module, multiplier in multipliers.items():
        explicit.get_submodule(module).register_forward_hook(lambda _, __, output, by=multiplier: output * by)
        for parameter in explicit.get_submodule(module).parameters():
            parameter.data /= multiplier
    assert explicit.final_norm.weight.unique().tolist() == pytest.approx([1.0]), "no gain is special there"
    groups = []
    for name, parameter in explicit.named_parameters():
        hidden = name.startswith("blocks.")
        matrix = hidden and parameter.ndim == 2
        groups.append(
            {
                "params": [parameter],
                "lr": given.learning_rate / (m if matrix else 1),
                "weight_decay": (given.weight_decay * (m if matrix else 1)) if parameter.ndim == 2 else 0.0,
                "eps": given.epsilon / (m * (d if hidden else 1)),
            }
        )
    for model, optimizer in (
        (folded, build_optimizer(folded, given, of)),
        (explicit, EagerAdamW(groups, betas=given.betas, fused=True)),
    ):
        for step in range(3):
            optimizer.zero_grad()
            model(*batch(step)).backward()
            optimizer.step()
    tokens, _ = batch(9)
    untrained = Transformer(config).double()
    initialise(untrained, 1, factor=lambda name: of(name).initial)
    with torch.no_grad():
        ours, theirs, before = folded(tokens), explicit(tokens), untrained(tokens)
    assert (ours - before).abs().max() > 0.1
    assert (ours - theirs).abs().max() < 1e-9


def batch(step: int) -> tuple[Tensor, Tensor]:
    """Rows in which a token says much of the next one, (8, 24) each: something to be learnt in ten steps."""
    draw = torch.Generator().manual_seed(step)
    rows = torch.randint(0, 97, (8, 25), generator=draw)
    often = torch.rand(8, 25, generator=draw) < 0.7
    for place in range(1, 25):
        rows[:, place] = torch.where(often[:, place], (5 * rows[:, place - 1] + 1) % 97, rows[:, place])
    return rows[:, :-1], rows[:, 1:]


@pytest.fixture
def alone() -> Iterator[None]:
    """A group of one rank."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def activations(config: ModelConfig, optimizer: Any, tuned_at: TunedAt | None) -> dict[str, float]:
    """Root mean squares of what each block puts out, and of centred logits, after ten steps."""
    model = Transformer(config)
    of = carry_over(config, tuned_at, optimizer)
    initialise(model, 0, factor=lambda name: of(name).initial)
    moves = build_optimizer(model, training(optimizer=optimizer), of)
    if isinstance(moves, Muon):
        named = dict(model.named_parameters())
        hidden = [
            matrix
            for name, value in named.items()
            if is_hidden(name, value.shape)
            for matrix in hidden_matrices(config, name, (value.shape[0], value.shape[1]))
        ]
        places = [Place(name, value.shape, 0, value.numel(), at, 0) for at, (name, value) in enumerate(named.items())]
        moves.share(hidden, list(named.values()), places, True, torch.device("cpu"))
    for step in range(10):
        moves.zero_grad()
        model(*batch(step)).backward()
        moves.step()
    seen = {}
    for number, block in enumerate(model.blocks):
        block.register_forward_hook(lambda _, __, output, number=number: seen.update({f"block {number}": output}))
    with torch.no_grad():
        logits = model(batch(99)[0])
    seen["logits"] = logits - logits.mean(dim=-1, keepdim=True)
    return {name: value.square().mean().sqrt().item() for name, value in seen.items()}


def spread(sizes: dict[int, dict[str, float]]) -> dict[str, float]:
    """The largest value by the smallest one, of each activation."""
    names = next(iter(sizes.values()))
    return {name: max(of[name] for of in sizes.values()) / min(of[name] for of in sizes.values()) for name in names}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_activations_stay_as_large_at_any_width(alone: None, optimizer: Any) -> None:
    found = {width: activations(model_of(width), optimizer, TunedAt(width=48)) for width in (48, 96, 192)}
    assert max(spread(found).values()) < 1.2, found
    found[192] = activations(model_of(192), optimizer, None)
    assert max(spread(found).values()) > 1.3, "without, they do not"


def test_activations_of_an_untied_model_stay_as_large_too() -> None:
    """Of its blocks: what its head makes of them at random falls as 1 / √width, and is half of ten steps' logits."""
    of_width = {width: activations(model_of(width, 2, LLAMA), "adamw", TunedAt(width=64)) for width in (128, 256, 512)}
    blocks = {width: {name: found[name] for name in ("block 0", "block 1")} for width, found in of_width.items()}
    assert max(spread(blocks).values()) < 1.1, blocks


def test_activations_stay_as_large_at_any_depth(alone: None) -> None:
    for optimizer in ("adamw", "muon"):
        found = {}
        for layers in (2, 4, 8):
            sizes = activations(model_of(64, layers), optimizer, TunedAt(width=64, layers=2))  # type: ignore[arg-type]
            found[layers] = {"last block": sizes[f"block {layers - 1}"], "logits": sizes["logits"]}
        assert max(spread(found).values()) < 1.2, (optimizer, found)
