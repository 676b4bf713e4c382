"""The decoder beside transformers' BLOOM, Llama and Qwen3: losses and gradients at odd lengths and with padding."""

import pytest
import torch
import torch.nn.functional as F
import transformers
from torch.overrides import TorchFunctionMode

from model.config import ModelConfig
from model.huggingface import FAMILIES, hugging_face_class, hugging_face_state
from model.huggingface_config import hugging_face_config
from model.loss import IGNORE
from tests.models import PUBLISHED

ROWS = 3
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-4}


class InFloat64(TorchFunctionMode):
    """Lifts the places where transformers computes in float32 whatever the weights are: norms, softmax, positions."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        def wide(value):
            return torch.float64 if value is torch.float32 else value

        if function is torch.Tensor.float:
            function = torch.Tensor.double
        return function(*map(wide, args), **{key: wide(value) for key, value in (kwargs or {}).items()})


def beside(model, dtype):
    """The same weights in the class that transformers has for them."""
    name = hugging_face_class(model.config)
    settings = hugging_face_config(model.config, str(dtype).removeprefix("torch."))
    config_class = getattr(transformers, name.replace("ForCausalLM", "Config"))
    theirs = getattr(transformers, name)(config_class(**settings)).to(dtype)
    missing, unexpected = theirs.load_state_dict(hugging_face_state(model.state_dict(), model.config), strict=False)
    assert not unexpected
    assert set(missing) <= {"lm_head.weight"}, "the tied head"
    for module in theirs.modules():
        if hasattr(module, "gelu_impl"):
            # It writes the square root of 2 / pi with eight digits; put the rest back.
            module.gelu_impl = torch.nn.GELU(approximate="tanh")
    return theirs.eval()


def compare(model, tokens, present, dtype, documents=None):
    """Logits, loss and every gradient, where `present` says what is text; the rest is padding."""
    tolerance = TOLERANCES[dtype]
    theirs = beside(model, dtype)
    inputs, targets = tokens[:, :-1], tokens[:, 1:].where(present[:, 1:] & present[:, :-1], IGNORE)
    logits = theirs(inputs, attention_mask=present[:, :-1].long()).logits
    ours = model(inputs, documents=documents)
    seen = present[:, :-1]
    assert logits[seen].std() > 0.5
    torch.testing.assert_close(ours[seen], logits[seen].to(ours.dtype), rtol=0, atol=tolerance)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE)
    loss = model(inputs, targets, documents=documents)
    torch.testing.assert_close(loss, expected.to(loss.dtype), rtol=0, atol=tolerance)
    expected.backward()
    loss.backward()
    # Gradients take the same way as weights, so one map serves both.
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    for name, gradient in hugging_face_state(gradients, model.config).items():
        torch.testing.assert_close(gradient, theirs.get_parameter(name).grad, rtol=0, atol=tolerance, msg=name)


def tokens_of(time):
    return torch.randint(61, (ROWS, time + 1), generator=torch.Generator().manual_seed(time))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("time", [1, 7, 33, 64])
@pytest.mark.parametrize("padding", ["none", "right", "left"])
def test_losses_and_gradients(family, random_model, dtype, time, padding):
    """Padding on the left is a document of its own, whose border attention does not cross."""
    model = random_model(family).to(dtype)
    lengths = torch.tensor([time + 1, max(2, time // 2), max(2, time // 3)])[:, None]
    places = torch.arange(time + 1)
    present = {
        "none": torch.ones(ROWS, time + 1, dtype=torch.bool),
        "right": places < lengths,
        "left": places > time - lengths,
    }[padding]
    documents = present[:, :-1].int() if padding == "left" else None
    if dtype == torch.float64:
        with InFloat64():
            compare(model, tokens_of(time), present, dtype, documents)
    else:
        compare(model, tokens_of(time), present, dtype, documents)


@pytest.mark.parametrize(("dtype", "padded"), [(torch.float64, False), (torch.float32, True)])
@pytest.mark.parametrize("settings", PUBLISHED.values(), ids=PUBLISHED.keys())
def test_losses_and_gradients_of_what_people_continue_from(settings, random_model, dtype, padded):
    """At five times their windows, and beyond what scaled rotations were made for."""
    model, time = random_model(settings).to(dtype), 37
    lengths = torch.tensor([38, 25, 3] if padded else [38, 38, 38])[:, None]
    present = torch.arange(time + 1) > time - lengths
    documents = present[:, :-1].int() if padded else None
    if dtype == torch.float64:
        with InFloat64():
            compare(model, tokens_of(time), present, dtype, documents)
    else:
        compare(model, tokens_of(time), present, dtype, documents)


def test_bfloat16_is_as_near_to_float64_as_theirs(family, random_model):
    """Losses of both in bfloat16, against the float64 ones of the same rounded weights: 0.03 nats off on average."""
    tokens = tokens_of(64)
    exact, ours = random_model(family).bfloat16().double(), random_model(family).bfloat16()
    theirs = beside(ours, torch.bfloat16)
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    with torch.no_grad():
        expected = exact(inputs, targets, reduction="none")
        our_error = (ours(inputs, targets, reduction="none").double() - expected).abs()
        their_logits = theirs(inputs).logits.double()
        their_losses = F.cross_entropy(their_logits.flatten(0, 1), targets.flatten(), reduction="none")
        their_error = (their_losses.view_as(expected) - expected).abs()
    assert our_error.mean() < 1.1 * their_error.mean()
    assert our_error.mean() < 0.03
    assert our_error.max() < 0.15


def test_every_kind_of_model_is_among_the_families(families):
    both = [*families.values(), *PUBLISHED.values()]
    classes = {hugging_face_class(ModelConfig.model_validate(settings)) for settings in both}
    assert classes == FAMILIES.keys()
    assert {settings.get("key_value_heads") for settings in families.values()} > {None, 1}
