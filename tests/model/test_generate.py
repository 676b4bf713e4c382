"""Generation against recomputing the whole sequence for every token."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.attention import LayerCache
from model.config import ModelConfig
from model.generate import generate
from model.initialise import initialise
from model.transformer import Transformer

VOCABULARY = 23


def build(positions="alibi", **changes):
    shape = {"layers": 2, "width": 24, "heads": 6, "key_value_heads": 2, "sequence_length": 16}
    switches = {"norm": "rmsnorm", "activation": "gelu", "embedding_norm": False, "bias": True, "tied": False}
    config = ModelConfig.model_validate(
        shape | switches | {"vocabulary_size": VOCABULARY, "query_key_norm": True, "positions": positions} | changes
    )
    model = Transformer(config)
    initialise(model, seed=5)
    with torch.no_grad():
        # Sharp enough for the likeliest token to change from place to place.
        model.head.weight *= 20
    return model.double()


WINDOWS = {"sliding_window": 4, "layer_pattern": ["sliding", "full", "unrotated"], "layers": 3}
MODELS = {"alibi": build(), "rope": build("rope"), "windows": build("rope", **WINDOWS)}
BOTH = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())


def recomputed(model, prompt, count):
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(model(torch.tensor([tokens]))[0, -1].argmax().item())
    return tokens[len(prompt) :]


@BOTH
def test_greedy_generation_equals_full_recomputation(model):
    prompts = [[1, 2, 3], [4], [5, 6, 7], [8, 9, 10, 11, 12], [3]]
    expected = [recomputed(model, prompt, 8) for prompt in prompts]
    assert generate(model, prompts, 8) == expected
    assert len({token for row in expected for token in row}) > 5


@settings(max_examples=15, deadline=None)
@given(
    prompts=st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=5), min_size=1, max_size=4),
    temperature=st.sampled_from([0.0, 0.7, 3.0]),
    seed=st.integers(0, 2**31),
)
def test_a_continuation_depends_on_its_place_only(prompts, temperature, seed):
    model = MODELS["alibi"]
    together = generate(model, prompts, 5, temperature=temperature, seed=seed)
    others = [[0] * 6, *prompts[1:]]
    assert generate(model, others, 5, temperature=temperature, seed=seed)[1:] == together[1:]
    assert generate(model, prompts[:1], 5, temperature=temperature, seed=seed) == together[:1]


def test_sampling_follows_the_model_probabilities():
    model, prompt, draws = MODELS["rope"], [1, 2], 3000
    probabilities = (model(torch.tensor([prompt]))[0, -1] / 2.0).softmax(-1)
    sampled = generate(model, [prompt] * draws, 1, temperature=2.0, seed=1)
    frequencies = torch.bincount(torch.tensor(sampled)[:, 0], minlength=VOCABULARY) / draws
    deviation = (probabilities * (1 - probabilities) / draws).sqrt()
    assert ((frequencies - probabilities).abs() < 5 * deviation + 1 / draws).all()


@pytest.mark.parametrize("cut", [{"top_k": 3}, {"top_p": 0.6}, {"top_k": 4, "top_p": 0.9}])
def test_only_the_likeliest_tokens_are_sampled(cut):
    model, prompt = MODELS["alibi"], [1, 2]
    scores, order = model(torch.tensor([prompt]))[0, -1].sort(descending=True)
    probabilities = scores[: cut.get("top_k")].mul(0.1).softmax(-1)
    nucleus = int((probabilities.cumsum(0) - probabilities < cut.get("top_p", 1.0)).sum())
    assert 1 < nucleus < VOCABULARY
    sampled = generate(model, [prompt] * 1500, 1, temperature=10.0, seed=2, **cut)
    assert {token for (token,) in sampled} == set(order[:nucleus].tolist())


def test_the_narrowest_cuts_are_greedy():
    model, prompts = MODELS["alibi"], [[1], [2, 3]]
    greedy = generate(model, prompts, 6)
    assert generate(model, prompts, 6, temperature=5.0, top_k=1) == greedy
    assert generate(model, prompts, 6, temperature=5.0, top_p=1e-12) == greedy


def test_seeds_give_different_samples_and_the_same_again():
    model, prompts = MODELS["alibi"], [[1], [1]]
    first = generate(model, prompts, 12, temperature=10.0, seed=1)
    assert first == generate(model, prompts, 12, temperature=10.0, seed=1)
    second = generate(model, prompts, 12, temperature=10.0, seed=2)
    assert len({tuple(row) for row in first + second}) == 4


@BOTH
def test_the_stop_token_ends_one_row_and_not_the_others(model):
    prompts = [[1, 2, 3], [4, 5, 6], [7]]
    free = generate(model, prompts, 9)
    stop = free[0][4]
    expected = [row[: row.index(stop)] if stop in row else row for row in free]
    assert generate(model, prompts, 9, stop_token=stop) == expected
    assert any(len(row) < 9 for row in expected)


def test_alibi_goes_beyond_the_training_length_and_rope_refuses():
    assert len(generate(MODELS["alibi"], [[1] * 10], 20)[0]) == 20
    assert len(generate(MODELS["rope"], [[1] * 10], 6)[0]) == 6
    with pytest.raises(ValueError, match=r"10 tokens and 7 more .* 16 positions of its sequence_length"):
        generate(MODELS["rope"], [[1] * 10], 7)


def test_nothing_asked_is_nothing_given():
    assert generate(MODELS["alibi"], [], 5) == []
    assert generate(MODELS["alibi"], [[1]], 0) == [[]]


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(training):
    model = build(dropout=0.5).train(training)
    assert generate(model, [[1]], 5) == generate(model, [[1]], 5)
    assert model.training == training


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prompts": [[1], []]}, "prompt 1 is empty"),
        ({"prompts": [[VOCABULARY]]}, r"outside 0 \.\.\. 22"),
        ({"prompts": [[-1]]}, "prompt 0 holds a token id"),
        ({"max_new_tokens": -1}, "max_new_tokens=-1"),
        ({"temperature": -0.1}, "temperature=-0.1"),
        ({"top_k": 0}, "top_k=0"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"top_p": 1.1}, "top_p=1.1"),
    ],
)
def test_bad_settings_are_refused_by_name(arguments, words):
    with pytest.raises(ValueError, match=words):
        generate(MODELS["alibi"], **({"prompts": [[1]], "max_new_tokens": 2} | arguments))


def test_each_token_is_told_as_it_comes_and_any_can_be_the_last():
    model, prompts, told = MODELS["alibi"], [[1, 2, 3], [4, 5, 6], [7]], []
    free = generate(model, prompts, 9)

    def on_token(place, token):
        told.append((place, token))
        return place == 1 and len([p for p, _ in told if p == 1]) == 4

    stopped = generate(model, prompts, 9, on_token=on_token)
    assert stopped == [free[0], free[1][:4], free[2]]
    for place in range(3):
        assert [token for p, token in told if p == place] == stopped[place]
    assert told[:3] == [(2, free[2][0]), (2, free[2][1]), (2, free[2][2])], "the shortest prompt comes first"


def test_nothing_is_computed_when_all_have_ended(monkeypatch):
    model, passes = MODELS["alibi"], []
    hidden_states = model.hidden_states
    monkeypatch.setattr(model, "hidden_states", lambda *a: passes.append(1) or hidden_states(*a))
    generate(model, [[1], [2]], 9, on_token=lambda place, token: True)
    assert len(passes) == 1


@given(
    capacity=st.integers(0, 12),
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=6),
)
def test_a_cache_holds_what_was_put_into_it(capacity, lengths):
    cache = LayerCache(capacity)
    keys = [torch.randn(2, 3, length, 4) for length in lengths]
    values = [torch.randn(2, 3, length, 4) for length in lengths]
    for place in range(len(lengths)):
        held = cache.extend(keys[place], values[place])
        assert cache.length == sum(lengths[: place + 1])
        for part, new in zip(held, (keys, values), strict=True):
            assert torch.equal(part, torch.cat(new[: place + 1], dim=2))
    if sum(lengths) <= capacity:
        assert cache.nbytes == 2 * 4 * 2 * 3 * capacity * 4, "no more memory than was asked for"


def test_a_cache_with_room_does_not_move():
    cache = LayerCache(8)
    first, _ = cache.extend(torch.ones(1, 1, 3, 2), torch.ones(1, 1, 3, 2))
    later, _ = cache.extend(torch.zeros(1, 1, 5, 2), torch.zeros(1, 1, 5, 2))
    assert first.data_ptr() == later.data_ptr()


@pytest.mark.parametrize("cut", [{}, {"top_k": 50}, {"top_p": 0.999999}])
def test_a_token_without_probability_is_never_drawn(cut):
    """At the ends and in the middle of the vocabulary, whatever the draws are."""
    model = build()

    class Head(torch.nn.Module):
        def forward(self, hidden):
            allowed = torch.tensor([token in (1, 2, 11, 21) for token in range(VOCABULARY)])
            return torch.zeros(len(hidden), 1, VOCABULARY).masked_fill(~allowed, -torch.inf)

    model.head = Head()
    draws = generate(model, [[1]] * 2000, 1, temperature=1.0, seed=3, **cut)
    assert {token for (token,) in draws} == {1, 2, 11, 21}
