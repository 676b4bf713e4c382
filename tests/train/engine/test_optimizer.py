"""Weight decay is decided by shape, and a loaded checkpoint's hyperparameters do not outlive the configuration's."""

import torch
from torch import nn

from train.config import TrainingConfig
from train.engine.optimizer import build_optimizer, decays, describe_groups, parameter_groups, set_hyperparameters
from train.rates.carry_over import Factors


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.norm = nn.LayerNorm(4)
        self.linear = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight


def training(**changes: object) -> TrainingConfig:
    values = {"steps": 10, "batch_size": 2, "micro_batch": 1, "learning_rate": 1e-3, "deepspeed": {}}
    return TrainingConfig.model_validate(values | changes)


def test_matrices_decay_and_gains_and_biases_do_not() -> None:
    model = Tied()
    decayed, kept = parameter_groups(model, training(weight_decay=0.1))
    assert {id(p) for p in decayed["params"]} == {id(model.embedding.weight), id(model.linear.weight)}
    assert {id(p) for p in kept["params"]} == {id(model.norm.weight), id(model.norm.bias), id(model.linear.bias)}
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)


def test_shape_decides() -> None:
    assert decays((3, 4))
    assert not decays((4,))
    assert not decays(())


def test_partitioned_parameters_are_judged_by_their_whole_shape() -> None:
    model = nn.Linear(3, 3)
    model.weight.data = torch.empty(0)
    model.weight.ds_shape, model.bias.ds_shape = torch.Size((3, 3)), torch.Size((3,))
    decayed, kept = parameter_groups(model, training(weight_decay=0.1))
    assert decayed["params"] == [model.weight]
    assert kept["params"] == [model.bias]


def test_a_step_decays_only_matrices() -> None:
    model = Tied()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = build_optimizer(model, training(weight_decay=0.5))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    after = dict(model.named_parameters())
    torch.testing.assert_close(after["linear.weight"], before["linear.weight"] * (1 - 1e-3 * 0.5))
    assert torch.equal(after["norm.weight"], before["norm.weight"])


def test_configuration_overrides_what_a_checkpoint_brought_along() -> None:
    optimizer = build_optimizer(Tied(), training())
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group |= {"lr": 9.0, "betas": (0.1, 0.2), "eps": 1.0, "weight_decay": 9.0}
    optimizer.load_state_dict(state)
    set_hyperparameters(optimizer, training(betas=(0.9, 0.99), weight_decay=0.2), 5e-4)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.0]
    assert all(group["betas"] == (0.9, 0.99) and group["lr"] == 5e-4 for group in optimizer.param_groups)
    assert all(group["eps"] == 1e-8 for group in optimizer.param_groups)


def test_settings_of_another_size_are_times_each_tensor_s_factors() -> None:
    """Over what a checkpoint brought along too; what is not decayed stays so."""
    model = Tied()
    factors = {"linear.weight": Factors(3.0, 0.25, 4.0, 0.5), "norm.weight": Factors(rate=0.5)}

    def of(name: str) -> Factors:
        return factors.get(name, Factors())

    optimizer = build_optimizer(model, training(weight_decay=0.1), of)
    for group in optimizer.param_groups:
        group |= {"lr": 9.0, "eps": 1.0, "weight_decay": 9.0}
    set_hyperparameters(optimizer, training(weight_decay=0.2), 4e-4)
    names = {parameter: name for name, parameter in model.named_parameters()}
    found = [
        ({names[p] for p in group["params"]}, group["lr"], group["weight_decay"], group["eps"])
        for group in optimizer.param_groups
    ]
    assert found == [
        ({"embedding.weight"}, 4e-4, 0.2, 1e-8),
        ({"linear.weight"}, 1e-4, 0.8, 5e-9),
        ({"norm.weight"}, 2e-4, 0.0, 1e-8),
        ({"norm.bias", "linear.bias"}, 4e-4, 0.0, 1e-8),
    ]
    assert "1 tensors (16 elements) at 0.1, rate × 0.25, decay × 4, 1 tensors" in describe_groups(model, training(), of)


def test_groups_are_described_for_people() -> None:
    assert (
        describe_groups(Tied(), training(weight_decay=0.1))
        == "weight decay: 2 tensors (44 elements) at 0.1, 3 tensors (12 elements) at 0.0"
    )
