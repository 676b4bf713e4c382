"""The attention kernels against the formula: exact in float64, within bounds in float32 and bfloat16."""

from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from model import kernels
from model.config import ModelConfig
from model.kernels import choose_kernel, flex_kernel, flex_pays
from model.positions import alibi_slopes, document_starts

CPU = torch.device("cpu")
ROWS = 3


def config(**changes):
    shape = {"layers": 3, "width": 128, "heads": 4, "vocabulary_size": 8, "sequence_length": 8}
    switches = {"positions": "alibi", "norm": "layernorm", "activation": "gelu", "embedding_norm": False}
    return ModelConfig.model_validate(
        shape | switches | {"bias": True, "tied": True, "query_key_norm": False} | changes
    )


VARIANTS = {
    "alibi": config(),
    "alibi-grouped": config(key_value_heads=2),
    "rope": config(positions="rope"),
    "rope-grouped": config(positions="rope", key_value_heads=1),
}
ALL = pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS.keys())


def inputs(settings, time, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(ROWS, heads, time, settings.head_width, generator=generator, dtype=torch.float64).to(dtype)
        for heads in (settings.heads, settings.key_value_heads, settings.key_value_heads)
    ]


def documents_of(time, seed=0):
    """Rows cut into documents of chance lengths; every row ends in padding."""
    generator = torch.Generator().manual_seed(seed)
    documents = (torch.rand(ROWS, time, generator=generator) < 0.06).cumsum(1).to(torch.int32)
    documents[:, -3:] = -1
    return documents


def formula(settings, q, k, v, factor=1, documents=None, rounded_to=torch.float64, window=None):
    """softmax(factor * q k / sqrt(d) + slope * (key - query)) v in float64, over what a token may see."""
    q, k, v = (x.double() for x in (q, k, v))
    k, v = (x.repeat_interleave(settings.heads // settings.key_value_heads, dim=1) for x in (k, v))
    places = torch.arange(q.shape[2])
    distance = places - places[:, None]
    logits = factor * q @ k.transpose(-1, -2) * settings.head_width**-0.5
    if settings.positions == "alibi":
        logits = logits + torch.tensor(alibi_slopes(settings.heads)).double()[:, None, None] * distance
    hidden = (distance > 0).expand(ROWS, -1, -1)
    if window is not None:
        hidden = hidden | (distance <= -window)
    if documents is not None:
        hidden = hidden | (documents[:, None, :] != documents[:, :, None])
    return logits.to(rounded_to).double().masked_fill(hidden[:, None], -torch.inf).softmax(-1) @ v


def gradients(output, tensors):
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.autograd.grad((output.double() * weights).sum(), tensors)


@ALL
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "documents"])
@pytest.mark.parametrize("device", ["cpu", "other"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("window", [None, 7, 36, 37])
def test_sdpa_is_the_formula_in_value_and_gradient(settings, masked, device, dtype, window):
    """On a CPU masked rows are taken document by document; elsewhere, where not by FlexAttention, with a mask."""
    q, k, v = (x.requires_grad_() for x in inputs(settings, 37, dtype))
    documents = documents_of(37) if masked else None
    hidden = torch.empty(ROWS, 37, dtype=dtype)
    if device == "other":
        bias = kernels.alibi_mask(4, 0, 37, dtype, CPU) if settings.positions == "alibi" else None
        if window is not None:
            band = kernels._band(0, 37, window, CPU)
            bias = band if bias is None else bias.masked_fill(~band, -torch.inf)
        mask = kernels._within_documents(document_starts(documents), bias) if masked else bias
        kernel = partial(kernels._sdpa, mask=mask, causal=mask is None, dropout=0.0)
    else:
        kernel = choose_kernel(settings, hidden, documents=documents, training=True, window=window)
        assert (kernel.func is kernels._each_document) == masked
    ours, theirs = kernel(q, k, v, 2), formula(settings, q, k, v, 2, documents, window=window)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance)
    for a, b in zip(gradients(ours, (q, k, v)), gradients(theirs, (q, k, v)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=10 * tolerance)


@ALL
@pytest.mark.parametrize("time", [1, 4])
@pytest.mark.parametrize("past", [3, 6, 7, 20])
def test_a_window_behind_a_cache_is_the_end_of_that_of_the_whole(settings, time, past):
    q, k, v = inputs(settings, past + time)
    kernel = choose_kernel(settings, torch.empty(ROWS, time, dtype=torch.float64), past, window=7)
    expected = formula(settings, q, k, v, window=7)[:, :, past:]
    torch.testing.assert_close(kernel(q[:, :, past:], k, v, 1), expected, rtol=0, atol=1e-12)


def test_a_window_as_long_as_what_is_there_costs_nothing():
    """Neither a mask for whole rows, nor for documents that are short enough, nor for one token behind a cache."""
    settings, hidden = VARIANTS["rope"], torch.empty(ROWS, 37)
    assert choose_kernel(settings, hidden, window=37).keywords["mask"] is None
    assert choose_kernel(settings, hidden, documents=documents_of(37), window=37).keywords["mask"] is None
    by_document = choose_kernel(settings, hidden, documents=documents_of(37), window=20)
    assert by_document.keywords["unmasked"] == 20
    behind = choose_kernel(settings, hidden[:, :1], past=99, window=20)
    assert behind.keywords["first"] == 80
    assert behind.keywords["kernel"].keywords["mask"] is None


@ALL
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "documents"])
def test_softmax_and_logits_are_in_float32_under_bfloat16(settings, masked):
    """The error is that of rounding the weights, the result and ALiBi's bias to bfloat16, 2^-9 each.

    Logits of this size have a spacing of 1/2 or more in bfloat16: had they been rounded, weights would be far off.
    """
    q, k, v = inputs(settings, 150, torch.bfloat16)
    q = q * 32
    documents = documents_of(150) if masked else None
    kernel = choose_kernel(settings, torch.empty(ROWS, 150, dtype=torch.bfloat16), documents=documents)
    ours = kernel(q, k, v, 1).double()
    bound = 2**-7 * v.abs().max()
    assert (ours - formula(settings, q, k, v, documents=documents)).abs().max() < bound
    coarse = formula(settings, q, k, v, documents=documents, rounded_to=torch.bfloat16)
    assert (ours - coarse).abs().max() > 4 * bound


@pytest.fixture
def fresh_compiler():
    """Forget what other tests have compiled: a function is compiled for a few kinds of inputs at most."""
    torch._dynamo.reset()
    counters.clear()


@pytest.mark.parametrize(
    ("name", "masked", "scaled", "window"),
    [
        ("alibi", False, False, None),
        ("alibi-grouped", True, True, 30),
        ("rope", True, False, None),
        ("rope-grouped", False, True, 30),
    ],
)
def test_flex_attention_is_the_formula(name, masked, scaled, window, fresh_compiler):
    """Its forward pass, compiled as for a GPU; the backward pass exists on GPUs only."""
    settings = VARIANTS[name].model_copy(update={"query_key_layer_scaling": scaled})
    time, factor = 200, 2 if scaled else 1
    documents = documents_of(time) if masked else None
    kernel = flex_kernel(settings, time, CPU, document_starts(documents) if masked else None, window)
    q, k, v = inputs(settings, time, torch.float32)
    with torch.no_grad():
        ours = kernel(q / factor, k, v, factor)
    expected = formula(settings, q, k, v, 1, documents, window=window)
    torch.testing.assert_close(ours.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "documents"])
@pytest.mark.parametrize("window", [1, 100, 128, 300])
def test_the_mask_of_flex_attention_is_the_window_and_leaves_blocks_out(masked, window):
    documents = documents_of(500) if masked else torch.zeros(ROWS, 500)
    starts = document_starts(documents) if masked else None
    mask = flex_kernel(VARIANTS["rope"], 500, CPU, starts, window).keywords["block_mask"]
    rows, places = torch.arange(ROWS)[:, None, None], torch.arange(500)
    seen = mask.mask_mod(rows, torch.tensor(0), places[:, None], places).expand(ROWS, -1, -1)
    distance = places[:, None] - places
    expected = (distance >= 0) & (distance < window) & (documents[:, None, :] == documents[:, :, None])
    assert torch.equal(seen, expected)
    if not masked:
        assert (mask.sparsity() > 50) == (window <= 128)


def test_flex_attention_is_compiled_once_for_all_layers_and_steps(fresh_compiler):
    settings = config(query_key_layer_scaling=True)
    q, k, v = inputs(settings, 130, torch.float32)
    for step in range(3):
        kernel = flex_kernel(settings, 130, CPU, document_starts(documents_of(130, seed=step)))
        for layer in range(1, settings.layers + 1):
            with torch.no_grad():
                kernel(q, k, v, layer)
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "documents"])
@pytest.mark.parametrize("window", [None, 100])
def test_flex_attention_is_prepared_without_waiting_for_the_device(masked, window):
    """On the meta device, which has no values to wait for."""
    starts = torch.zeros(ROWS, 300, dtype=torch.int64, device="meta") if masked else None
    kernel = flex_kernel(config(query_key_layer_scaling=True), 300, torch.device("meta"), starts, window)
    assert kernel.keywords["block_mask"].kv_indices.is_meta
    assert kernel.keywords["slopes"].is_meta


@pytest.mark.parametrize(
    ("settings", "masked", "dropout", "pays"),
    [
        (config(), False, 0.0, True),
        (config(positions="rope"), True, 0.0, True),
        (config(positions="rope"), False, 0.0, False),  # plain causal attention needs no mask
        (config(), True, 0.1, False),
        (config(heads=16), True, 0.0, False),  # heads of 8
    ],
)
def test_where_flex_attention_pays_on_a_gpu(settings, masked, dropout, pays):
    assert flex_pays(settings, masked, dropout) == pays


@ALL
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "documents"])
def test_weights_are_dropped_and_their_sum_is_kept_on_average(settings, masked):
    q, k, v = inputs(settings, 60, torch.float64)
    documents = documents_of(60) if masked else None
    hidden = torch.empty(ROWS, 60, dtype=torch.float64)
    kernel = choose_kernel(settings, hidden, documents=documents, training=True, dropout=0.5)
    torch.manual_seed(0)
    first, again = kernel(q, k, v, 1), kernel(q, k, v, 1)
    assert not torch.equal(first, again)
    mean = sum(kernel(q, k, torch.ones_like(v), 1).mean().item() for _ in range(30)) / 30
    assert mean == pytest.approx(1, abs=0.02)
