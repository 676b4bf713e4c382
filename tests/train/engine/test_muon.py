"""Muon's step is that of its formulas in float64, however its matrices lie and whoever works on them."""

from collections.abc import Iterator
from math import sqrt

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st

from model.config import ModelConfig
from model.sizes import hidden_matrix_parameters
from model.transformer import Transformer
from tests.models import LLAMA, shape
from tests.train.engine.test_orthogonal import by_polynomials
from train.config import TrainingConfig
from train.config_file import load_config
from train.engine import sharing
from train.engine.hidden_matrices import HiddenMatrix, hidden_matrices, is_hidden
from train.engine.layout import Place
from train.engine.muon import Muon
from train.engine.optimizer import build_optimizer, describe_groups, parameter_groups, set_hyperparameters
from train.engine.sharing import cost, rounds, slices

SHAPE = shape(layers=2, width=24, heads=3, vocabulary_size=50, sequence_length=16) | LLAMA
SHAPE |= {"key_value_heads": 1, "feed_forward_width": 72}


def training(**changes: object) -> TrainingConfig:
    values = {"steps": 10, "batch_size": 2, "micro_batch": 1, "learning_rate": 1e-3, "deepspeed": {}}
    return TrainingConfig.model_validate(values | {"optimizer": "muon"} | changes)


@pytest.fixture
def alone() -> Iterator[None]:
    """A group of one rank."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def matrices_of(model: Transformer) -> list[HiddenMatrix]:
    parameters = model.named_parameters()
    shapes = {name: (value.shape[0], value.shape[1]) for name, value in parameters if is_hidden(name, value.shape)}
    return [matrix for name, shape in shapes.items() for matrix in hidden_matrices(model.config, name, shape)]


@pytest.mark.parametrize("name", ["bloomberggpt-50b", "bbg-1.3b", "demo"])
def test_hidden_matrices_are_those_of_the_blocks(name: str) -> None:
    config = load_config(f"configs/{name}.yaml").model
    with torch.device("meta"):
        model = Transformer(config.model_copy(update={"layers": 1, "layer_pattern": ("full",)}))
    found = matrices_of(model)
    assert sum(matrix.elements for matrix in found) == hidden_matrix_parameters(config) // config.layers
    assert all(matrix.rows % config.head_width == 0 for matrix in found)


def test_packed_matrices_are_taken_apart() -> None:
    with torch.device("meta"):
        model = Transformer(ModelConfig.model_validate(SHAPE))
    first = [matrix for matrix in matrices_of(model) if matrix.name.startswith("blocks.0.")]
    assert [(matrix.rows, matrix.columns) for matrix in first] == [
        (24, 24), (8, 24), (8, 24), (24, 24), (72, 24), (72, 24), (24, 72),
    ]  # fmt: skip
    assert [matrix.start for matrix in first[:3]] == [0, 24 * 24, 32 * 24]
    names = {matrix.name for matrix in matrices_of(model)}
    assert not any("embedding" in name or "head.weight" in name or "norm" in name for name in names)


def test_a_step_is_that_of_the_formulas_in_float64(alone: None) -> None:
    """Two steps on whole tensors, and on one flat tensor that holds them behind one another, as at ZeRO 1 to 3."""
    torch.manual_seed(0)
    model = Transformer(ModelConfig.model_validate(SHAPE))
    names = [name for name, value in model.named_parameters() if is_hidden(name, value.shape)]
    values = {name: torch.randn_like(model.get_parameter(name)) for name in names}
    gradients = [{name: torch.randn_like(values[name]) for name in names} for _ in range(2)]
    rate, decay, share = 0.02, 0.1, 0.95
    wanted = {}
    for matrix in matrices_of(model):
        rows = slice(matrix.start // matrix.columns, matrix.start // matrix.columns + matrix.rows)
        weight, momentum = values[matrix.name][rows].double(), torch.zeros(matrix.rows, matrix.columns).double()
        for of_step in gradients:
            gradient = of_step[matrix.name][rows].double()
            momentum = share * momentum + (1 - share) * gradient
            direction = by_polynomials(share * momentum + (1 - share) * gradient)
            scale = sqrt(max(1, matrix.rows / matrix.columns))
            weight = weight * (1 - rate * decay) - rate * scale * direction
        wanted[matrix.name, matrix.start] = weight
    for replicated in (True, False):
        flat = torch.cat([values[name].flatten() for name in names])
        masters = [values[name].clone() for name in names] if replicated else [flat]
        starts = [sum(values[name].numel() for name in names[:number]) for number in range(len(names))]
        places = [
            Place(name, tuple(values[name].shape), 0, values[name].numel(), *((n, 0) if replicated else (0, start)))
            for n, (name, start) in enumerate(zip(names, starts, strict=True))
        ]
        group = {"params": [torch.nn.Parameter(master) for master in masters], "momentum": share, "weight_decay": decay}
        optimizer = Muon([group], lr=rate)
        optimizer.share(matrices_of(model), group["params"], places, replicated, torch.device("cpu"))
        for of_step in gradients:
            given = [of_step[name].clone() for name in names]
            for master, gradient in zip(
                group["params"], given if replicated else [torch.cat([g.flatten() for g in given])], strict=True
            ):
                master.grad = gradient
            optimizer.step()
        for matrix in matrices_of(model):
            place = places[names.index(matrix.name)]
            found = group["params"][place.master].detach().flatten()[place.offset + matrix.start :][: matrix.elements]
            expected = wanted[matrix.name, matrix.start].flatten()
            assert (found - expected).abs().max() < 2e-6, matrix


@given(
    shapes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 288), min_size=0, max_size=4).map(sorted),
    at_once=st.sampled_from([1, 40, 1000]),
)
def test_every_element_goes_to_one_owner_and_back(shapes: list[tuple[int, int]], cuts: list[int], at_once: int) -> None:
    matrices = [HiddenMatrix(str(number), 0, *shape) for number, shape in enumerate(shapes)]
    total, held = sum(matrix.elements for matrix in matrices), []
    for low, high in zip([0, *cuts], [*cuts, total], strict=True):
        places, offset = [], 0
        for number, matrix in enumerate(matrices):
            start, stop = max(low - offset, 0), min(high - offset, matrix.elements)
            if start < stop:
                places.append(Place(str(number), (matrix.rows, matrix.columns), start, stop, 0, offset + start - low))
            offset += matrix.elements
        held.append(slices(matrices, places))
    ranks = len(held)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sharing, "ROUND_ELEMENTS", at_once)
        planned = [rounds(matrices, range(len(matrices)), held, rank) for rank in range(ranks)]
    assert sorted(n for of_rank in planned for each in of_rank for n in each.own) == list(range(len(matrices)))
    for together in zip(*planned, strict=True):
        for rank, here in enumerate(together):
            assert here.sent == tuple(there.received[rank] for there in together)
            assert sum(here.sent) == sum(part.elements for part in here.outgoing)
            arriving = sorted((part.matrix, part.start, part.stop) for part in here.incoming)
            covered = {n: [(first, stop) for m, first, stop in arriving if m == n] for n in here.own}
            for number, pieces in covered.items():
                ends = [0, *(stop for _, stop in pieces)]
                assert [first for first, _ in pieces] == ends[:-1]
                assert ends[-1] == matrices[number].elements
            # In the order in which they are sent: rank after rank, each in its own order.
            sent = [
                part
                for there in together
                for part in there.outgoing
                if part.matrix in here.own
            ]  # fmt: skip
            assert list(here.incoming) == sent


def test_ranks_share_the_work_evenly() -> None:
    config = load_config("configs/bbg-1.3b.yaml").model
    with torch.device("meta"):
        model = Transformer(config)
    matrices = matrices_of(model)
    places = [Place(name, tuple(p.shape), 0, p.numel(), 0, 0) for name, p in model.named_parameters()]
    whole = slices(matrices, places)
    for ranks in (2, 8):
        planned = [rounds(matrices, range(len(matrices)), [whole] * ranks, rank) for rank in range(ranks)]
        costs = [sum(cost(matrices[number]) for each in of_rank for number in each.own) for of_rank in planned]
        assert max(costs) < 1.1 * sum(costs) / ranks


def test_groups_and_rates() -> None:
    model = Transformer(ModelConfig.model_validate(SHAPE))
    config = training(weight_decay=0.2, muon={"learning_rate": 0.04, "momentum": 0.9})
    optimizer = build_optimizer(model, config)
    assert isinstance(optimizer, Muon)
    set_hyperparameters(optimizer, config, 5e-4)
    found = [(group["lr"], group["weight_decay"], group.get("momentum")) for group in optimizer.param_groups]
    assert found == [(5e-4, 0.2, None), (5e-4, 0.0, None), (0.02, 0.2, 0.9)]
    hidden = parameter_groups(model, config)[2]["params"]
    assert {id(p) for p in hidden} == {id(model.get_parameter(matrix.name)) for matrix in matrices_of(model)}
    assert "8 tensors (13,440 elements) at 0.2, moved by Muon at a rate of 0.04" in describe_groups(model, config)


def test_what_muon_does_not_go_with_is_refused_by_name() -> None:
    zero = {"stage": 3, "offload_optimizer": {"device": "cpu", "ratio": 0.5}}
    with pytest.raises(ValueError, match=r"offload_optimizer.ratio 0.5 would have part of the matrices updated by Ada"):
        training(deepspeed={"zero_optimization": zero})
    training(deepspeed={"zero_optimization": zero}, optimizer="adamw")
