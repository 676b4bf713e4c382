"""Initial weights: the published deviations, and independence of everything but seed and name."""

from contextlib import contextmanager

import pytest
import torch

from model.config import ModelConfig
from model.initialise import initial_std, initialise, mean_row, mean_rows
from model.transformer import Transformer


def config(**changes):
    settings = {"layers": 3, "width": 96, "heads": 4, "vocabulary_size": 200, "sequence_length": 16}
    settings |= {"positions": "alibi", "norm": "layernorm", "activation": "gelu"}
    settings |= {"embedding_norm": True, "bias": True, "tied": True, "query_key_norm": False}
    return ModelConfig.model_validate(settings | changes)


def initialised(settings, seed=0):
    model = Transformer(settings)
    initialise(model, seed)
    return model


def test_the_published_deviations_of_bloomberggpt():
    shape = config(layers=70, width=7680, heads=40)
    for name in (
        "embedding.weight",
        "blocks.0.attention.query_key_value.weight",
        "blocks.9.feed_forward.expand.weight",
    ):
        assert round(initial_std(shape, name), 6) == 0.006588
    for name in ("blocks.0.attention.output.weight", "blocks.69.feed_forward.output.weight"):
        assert round(initial_std(shape, name), 6) == 0.000557


@pytest.mark.parametrize("changes", [{}, {"tied": False, "query_key_norm": True, "activation": "swiglu"}])
def test_every_parameter_follows_the_table(changes):
    model = initialised(config(**changes))
    residual = [name for name, p in model.named_parameters() if p.ndim == 2 and p.std() < 0.04]
    assert residual == [f"blocks.{i}.{part}.output.weight" for i in range(3) for part in ("attention", "feed_forward")]
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            # Five standard errors of a sample deviation.
            expected = initial_std(model.config, name)
            assert parameter.std().item() == pytest.approx(expected, rel=5 / (2 * parameter.numel()) ** 0.5)
            assert abs(parameter.mean().item()) < 5 * expected / parameter.numel() ** 0.5
        elif name.endswith("bias"):
            assert torch.equal(parameter, torch.zeros_like(parameter))
        else:
            assert "norm" in name
            assert torch.equal(parameter, torch.ones_like(parameter))


def test_a_tensor_depends_on_seed_and_name_only():
    first, again, other = initialised(config()), initialised(config()), initialised(config(), seed=1)
    larger = initialised(config(vocabulary_size=300, tied=False, query_key_norm=True))
    name = "blocks.1.attention.query_key_value.weight"
    tensor = first.get_parameter(name)
    assert torch.equal(tensor, again.get_parameter(name))
    assert torch.equal(tensor, larger.get_parameter(name))
    assert not torch.equal(tensor, other.get_parameter(name))
    assert not torch.equal(tensor, first.get_parameter("blocks.2.attention.query_key_value.weight"))


def test_initial_values_never_change_between_releases():
    weight = initialised(config(), seed=7).embedding.weight
    expected = torch.tensor([0.05792665, -0.01505630, -0.04028689, -0.005226552])
    torch.testing.assert_close(weight[0, :4], expected, rtol=1e-5, atol=0)


def test_sharded_parameters_are_written_while_gathered():
    model, expected = Transformer(config()), initialised(config())
    whole = {p: p.data for p in model.parameters()}
    for parameter in model.parameters():
        parameter.data = torch.empty(0)

    @contextmanager
    def gather(parameters):
        for parameter in parameters:
            parameter.data = whole[parameter]
        yield
        for parameter in parameters:
            parameter.data = torch.empty(0)

    initialise(model, 0, gather)
    assert all(p.numel() == 0 for p in model.parameters())
    for parameter, name in zip(model.parameters(), dict(expected.named_parameters()), strict=True):
        assert torch.equal(whole[parameter], expected.get_parameter(name))


def test_bfloat16_weights_are_the_float32_ones_rounded():
    narrow = Transformer(config()).to(torch.bfloat16)
    initialise(narrow, 0)
    for name, parameter in initialised(config()).named_parameters():
        assert torch.equal(narrow.get_parameter(name), parameter.to(torch.bfloat16))


def test_a_new_row_is_the_mean_of_those_that_spelled_it() -> None:
    weight = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    rows = mean_rows(weight, {6: (1, 1, 4), 8: (0, 5)})
    assert torch.equal(rows, torch.stack([(weight[1] + weight[1] + weight[4]) / 3, (weight[0] + weight[5]) / 2]))


def test_means_are_made_in_float32() -> None:
    weight = torch.tensor([[256.0], [1.0], [1.0]]).bfloat16()
    assert mean_row(weight, [0, 1, 2]).item() == 86.0, "in bfloat16 256 + 1 is 256"


def test_a_row_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="the tokenizer has the id 7, and the vocabulary only 6 rows"):
        mean_rows(torch.zeros(6, 5), {8: (0, 7)})
