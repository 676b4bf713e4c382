"""A block's halves compute the same kept whole, recomputed and compiled; what each way keeps for the backward pass."""

import gc
import weakref
from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.config import ModelConfig
from model.initialise import initialise
from model.memory import selective_block_bytes
from model.transformer import Transformer
from tests.models import YARN

SHAPE = {"layers": 4, "width": 64, "heads": 4, "vocabulary_size": 31, "sequence_length": 48}
BLOOM = SHAPE | {"positions": "alibi", "norm": "layernorm", "activation": "gelu", "embedding_norm": True, "bias": True}
MODERN = SHAPE | {
    "positions": "rope",
    "norm": "rmsnorm",
    "activation": "swiglu",
    "embedding_norm": False,
    "bias": False,
}
MODELS = {
    "bloom": BLOOM | {"tied": True, "query_key_norm": False, "query_key_layer_scaling": True},
    "modern": MODERN | {"tied": False, "query_key_norm": True, "key_value_heads": 2, "feed_forward_width": 160},
}
BOTH = pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS.keys())
POLICIES = [False, True, 2, 3, "selective"]
ROWS, TIME = 3, 48
DOCUMENTS = (torch.rand(ROWS, TIME, generator=torch.Generator().manual_seed(2)) < 0.1).cumsum(1)

# torch.compile looks at gradients of intermediate tensors by itself.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")


@pytest.fixture(autouse=True)
def _fresh_compiler():
    """Forget what other tests have compiled: a function is compiled for a few kinds of inputs at most."""
    torch._dynamo.reset()
    counters.clear()


def build(settings, **changes):
    model = Transformer(ModelConfig.model_validate(settings | changes))
    initialise(model, seed=1)
    return model


def step(model, documents=None, dropout=0.0):
    """Loss and gradients of a step, with the chance of one seed."""
    torch.manual_seed(3)
    tokens = torch.randint(31, (ROWS, TIME + 1), generator=torch.Generator().manual_seed(4))
    model.dropout = dropout
    loss = model(tokens[:, :-1], tokens[:, 1:], documents=documents)
    return [loss, *torch.autograd.grad(loss, list(model.parameters()))]


def assert_equal(ours, theirs):
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@BOTH
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("documents", [None, DOCUMENTS], ids=["whole", "documents"])
def test_recomputation_changes_no_bit(settings, policy, dropout, documents):
    model = build(settings)
    expected = step(model, documents, dropout)
    model.set_training(policy)
    assert_equal(step(model, documents, dropout), expected)


@BOTH
def test_every_kth_block_runs_twice(settings):
    model = build(settings)
    runs = [0] * 4
    for number, block in enumerate(model.blocks):
        block.register_forward_pre_hook(lambda *_, number=number: runs.__setitem__(number, runs[number] + 1))
    for policy, expected in ((False, [1, 1, 1, 1]), (True, [2, 2, 2, 2]), (2, [2, 1, 2, 1]), (3, [2, 1, 1, 2])):
        runs[:] = [0] * 4
        model.set_training(policy)
        step(model)
        assert runs == expected


class Alive(TorchDispatchMode):
    """Knows the memory that is still in use of all that was computed under it."""

    def __init__(self):
        super().__init__()
        self.storages = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.storages += [weakref.ref(x.untyped_storage()) for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        return result

    def bytes_besides(self, tensors):
        gc.collect()
        storages = [storage for reference in self.storages if (storage := reference()) is not None]
        sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
        return sum(size for place, size in sizes.items() if place not in {tensor.data_ptr() for tensor in tensors})


def kept_by_a_block(settings, policy):
    """Bytes that one more block keeps between the passes, in vectors of the model's width a token."""
    kept = []
    for layers in (4, 5):
        model = build(settings, layers=layers)
        model.set_training(policy)
        tokens = torch.zeros(ROWS, TIME, dtype=torch.int64)
        model.hidden_states(tokens)  # makes the tables that stay
        with Alive() as alive:
            hidden = model.hidden_states(tokens)
            kept.append(alive.bytes_besides([hidden, *model.parameters()]))
    return (kept[1] - kept[0]) / (ROWS * TIME * 64 * 4)


@pytest.mark.parametrize(
    ("name", "policy", "expected"),
    [
        # The inputs of both norms 2 and of the products after them 2; q, k and v 3, and q divided by the layer 1; what
        # attention made of them 1; the feed-forward layer's hidden values before and after GELU 8.
        ("bloom", False, 17),
        ("bloom", True, 1),
        # The block's input 1; q, k, v 3 and q divided 1; what attention made of them 1; outputs of products 1 + 4 + 1.
        ("bloom", "selective", 12),
        ("modern", True, 1),
        ("modern", "selective", 12.5),
    ],
)
def test_what_a_block_keeps_for_the_backward_pass(name, policy, expected):
    """Measured in float32 vectors of the model's width a token; statistics of norms and softmax come on top."""
    measured = kept_by_a_block(MODELS[name], policy)
    assert expected <= measured < expected + 0.15
    if policy == "selective":  # the plan's formula, statistics included
        config = build(MODELS[name]).config.model_copy(update={"sequence_length": TIME})
        assert selective_block_bytes(config, ROWS, "fp32") == pytest.approx(measured * ROWS * TIME * 64 * 4, rel=1e-3)


@BOTH
def test_compiled_equals_eager_and_each_half_is_compiled_once(settings):
    model = build(settings)
    expected = step(model, DOCUMENTS)
    for policy in (False, True):
        model.set_training(policy, compiled=True)
        for _ in range(2):
            assert_close(step(model, DOCUMENTS), expected)
    assert counters["stats"]["unique_graphs"] == 2, "the halves before attention and those after it, of all blocks"
    model.eval()
    counters.clear()
    step(model)
    assert not counters["stats"], "evaluation, whose lengths vary, is not compiled"


def test_layers_of_three_kinds_share_their_halves_but_for_the_rotation(monkeypatch):
    """One graph of the half before attention for layers that rotate, another for those that do not.

    They are made and counted; what a compiler makes of them is as in the tests around.
    """
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    kinds = {"layer_pattern": ["sliding", "full", "unrotated"], "sliding_window": 6, "layers": 3}
    olmo = {"norm_placement": "after", "query_key_norm": "all_heads", "rope_scaling": YARN, "head_width": 32}
    model, tokens = build(MODELS["modern"] | kinds | olmo), torch.arange(31)[None]
    with torch.no_grad():
        expected = model.hidden_states(tokens)
        model.set_training(compiled=True)
        torch.testing.assert_close(model.hidden_states(tokens), expected, rtol=1e-4, atol=1e-5)
    assert counters["stats"]["unique_graphs"] == 3


@BOTH
def test_compiled_and_selective_keeps_less_than_compiled(settings):
    model = build(settings)
    expected = step(model)
    kept = {}
    for policy in (False, "selective"):
        model.set_training(policy, compiled=True)
        sizes = {}
        own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

        def keep(x, sizes=sizes, own=own):
            storage = x.untyped_storage()
            sizes[storage.data_ptr()] = 0 if storage.data_ptr() in own else storage.nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            assert_close(step(model), expected)
        kept[policy] = sum(sizes.values())
    assert kept["selective"] < 0.75 * kept[False]


def test_dropout_in_compiled_blocks_repeats_with_the_seed_and_may_change():
    model = build(MODELS["bloom"])
    model.set_training(compiled=True)
    losses = [step(model, dropout=dropout)[0].item() for dropout in (0.0, 0.4, 0.4, 0.1, 0.0)]
    assert losses[1] == losses[2]
    assert losses[0] == losses[4]
    assert len(set(losses)) == 3
