"""ALiBi slopes and rotations against the published values; where documents begin in a packed row."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.positions import alibi_mask, alibi_slopes, document_starts, rotary_angles, rotate

CPU = torch.device("cpu")


def test_slopes_of_powers_of_two_and_of_bloomberggpt():
    assert alibi_slopes(1) == [2**-8]
    assert alibi_slopes(8) == [2.0**-k for k in range(1, 9)]
    slopes = alibi_slopes(40)
    assert slopes[:32] == pytest.approx([2 ** (-k / 4) for k in range(1, 33)], rel=1e-15)
    assert slopes[32:] == pytest.approx([2 ** (-(k - 0.5) / 4) for k in range(1, 9)], rel=1e-15)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300))
def test_slopes_are_distinct_and_lie_between_the_published_ends(heads):
    slopes = alibi_slopes(heads)
    assert len(set(slopes)) == heads
    assert min(slopes) >= 2**-8
    assert max(slopes) < 1


def test_the_mask_holds_slope_times_distance_rounded_once():
    mask = alibi_mask(2, 0, 400, torch.bfloat16, CPU)
    assert mask.shape == (1, 2, 400, 400)
    assert mask.dtype == torch.bfloat16
    # Positions from 257 on have nine bits: differences of bfloat16 positions would be wrong.
    distance = torch.arange(400)[None, :] - torch.arange(400)[:, None]
    for head, slope in enumerate((2**-4, 2**-8)):
        expected = (slope * distance.double()).masked_fill(distance > 0, -torch.inf).to(torch.bfloat16)
        assert torch.equal(mask[0, head], expected)


def test_rotary_angles_stay_exact_in_bfloat16():
    cosine, sine = rotary_angles(8, 10_000.0, 2000, 3, torch.bfloat16, CPU)
    assert cosine.shape == (3, 1, 4)
    for row, position in enumerate((2000, 2001, 2002)):
        for i in range(4):
            angle = position * 10_000.0 ** (-2 * i / 8)
            assert cosine[row, 0, i].item() == pytest.approx(math.cos(angle), abs=2**-8)
            assert sine[row, 0, i].item() == pytest.approx(math.sin(angle), abs=2**-8)


def test_rotation_keeps_lengths_and_is_nothing_at_position_zero():
    x = torch.randn(1, 5, 2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rotated = rotate(x, *rotary_angles(8, 500.0, 0, 5, torch.float64, CPU))
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1), rtol=0, atol=1e-12)
    assert torch.equal(rotated[:, 0], x[:, 0])


def test_tables_are_kept_and_follow_length_dtype_and_device():
    first = alibi_mask(3, 0, 5, torch.float32, CPU)
    assert alibi_mask(3, 0, 5, torch.float32, CPU) is first
    assert alibi_mask(3, 0, 50, torch.float32, CPU).shape[-1] == 50
    assert alibi_mask(3, 0, 5, torch.float64, CPU).dtype == torch.float64
    assert alibi_mask(3, 0, 5, torch.float32, torch.device("meta")).is_meta
    assert torch.equal(alibi_mask(3, 0, 5, torch.float32, CPU), first)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 3), min_size=6, max_size=6), min_size=1, max_size=3))
def test_a_document_begins_where_its_number_differs_from_the_one_before(rows):
    starts = document_starts(torch.tensor(rows, dtype=torch.int32)).tolist()
    for row, found in zip(rows, starts, strict=True):
        for place, start in enumerate(found):
            assert len(set(row[start : place + 1])) == 1
            assert start == 0 or row[start - 1] != row[place]
