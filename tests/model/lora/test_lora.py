"""The arithmetic of an adapter: what it computes, what it trains, and the plain model that both amount to."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from model.config import ModelConfig
from model.lora.config import LoraConfig
from model.lora.lora import LoraLinear, add_lora, check_rank, merge
from model.transformer import Transformer

TOKENS = torch.randint(0, 61, (2, 24), generator=torch.Generator().manual_seed(0))
LORAS = {
    "matrices": LoraConfig(rank=3, alpha=5),
    "feed-forward, rank-stabilised": LoraConfig(rank=4, alpha=3, targets=("feed_forward",), rank_stabilised=True),
    "rows": LoraConfig(rank=2, tokens=(3, 60)),
    "vocabulary": LoraConfig(rank=2, targets=("attention",), embeddings="all"),
}


def adapt(model: Transformer, lora: LoraConfig) -> dict[str, torch.Tensor]:
    """Put an adapter into a model and train it a little, by hand; returns what is trained."""
    add_lora(model, lora, lora.trained_rows(61, 61), seed=1)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=3e-2)
    for _ in range(4):
        model(TOKENS[:, :-1], TOKENS[:, 1:]).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name: parameter.detach() for name, parameter in trained.items()}


@pytest.fixture(params=LORAS.values(), ids=LORAS.keys())
def lora(request: pytest.FixtureRequest) -> LoraConfig:
    settings: LoraConfig = request.param
    return settings


def test_merged_weights_compute_what_the_adapter_computes(
    family: dict[str, Any], random_model: Callable[..., Transformer], lora: LoraConfig
) -> None:
    """In float64, to its rounding; before the first step an adapter changes nothing, in any bit."""
    model, plain = random_model(family).double(), random_model(family).double()
    before = model(TOKENS)
    add_lora(model, lora, lora.trained_rows(61, 61), seed=1)
    assert torch.equal(model(TOKENS), before)
    model = random_model(family).double()
    trained = adapt(model, lora)
    adapted = model(TOKENS)
    assert (adapted - before).abs().max() > 0.1
    merge(plain, trained, lora, lora.trained_rows(61, 61))
    assert torch.allclose(plain(TOKENS), adapted, rtol=0, atol=1e-10)


def test_nothing_but_the_adapter_has_a_gradient_and_it_is_that_of_the_merged_weights(
    family: dict[str, Any], random_model: Callable[..., Transformer]
) -> None:
    """d loss / d B = scale (d loss / d W) A^T, and d loss / d A = scale B^T (d loss / d W), part by part."""
    lora, ids = LoraConfig(rank=2, alpha=3, tokens=(3, 60)), (3, 60)
    model, plain = random_model(family).double(), random_model(family).double()
    trained = adapt(model, lora)
    merge(plain, trained, lora, ids)
    for each in (model, plain):
        each(TOKENS[:, :-1], TOKENS[:, 1:]).backward()
    for name, module in model.named_modules():
        if isinstance(module, LoraLinear):
            whole = plain.get_parameter(f"{name}.weight").grad
            assert whole is not None
            parts = [torch.split(each, module.rows) for each in (module.lora_b, module.lora_b.grad, whole)]
            downs = [torch.split(each, 2) for each in (module.lora_a, module.lora_a.grad)]
            for b, b_gradient, gradient, a, a_gradient in zip(*parts, *downs, strict=True):
                assert torch.allclose(b_gradient, 1.5 * gradient @ a.T, atol=1e-12)
                assert torch.allclose(a_gradient, 1.5 * b.T @ gradient, atol=1e-12)
    rows = plain.embedding.weight.grad
    assert rows is not None
    assert torch.allclose(model.get_parameter("embedding.lora_rows").grad, rows[list(ids)], atol=1e-12)
    assert all(parameter.grad is None for parameter in model.parameters() if not parameter.requires_grad)


def test_a_recomputed_block_drops_the_same(family: dict[str, Any], random_model: Callable[..., Transformer]) -> None:
    gradients = []
    for recompute in (False, True, "selective"):
        model = random_model(family).train()
        add_lora(model, LoraConfig(rank=2, dropout=0.5), (), seed=1)
        model.set_training(recompute)
        torch.manual_seed(5)
        model(TOKENS[:, :-1], TOKENS[:, 1:]).backward()
        gradients.append(model.get_parameter("blocks.0.feed_forward.expand.lora_b").grad)
    assert all(torch.allclose(gradients[0], other, atol=1e-6) for other in gradients[1:])
    assert gradients[0].abs().max() > 1e-3


def test_more_rank_than_a_matrix_has_is_refused(families: dict[str, dict[str, Any]]) -> None:
    grouped = ModelConfig.model_validate(families["llama-tied-grouped"])  # two key heads of 8
    check_rank(grouped, LoraConfig(rank=16))
    check_rank(grouped, LoraConfig(rank=48, targets=("feed_forward",)))
    with pytest.raises(ValueError, match=r"lora.rank is 17, and a part of attention.query_key_value has 16 rows"):
        check_rank(grouped, LoraConfig(rank=17))
