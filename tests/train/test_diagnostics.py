"""Copies of the weights that differ are found and named; what a line of diagnostics.jsonl has is in test_spikes.py."""

import json
from collections.abc import Callable
from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.launched.runs import run_script
from train.diagnostics import checksum


@given(st.sampled_from([torch.float32, torch.bfloat16]), st.integers(0, 99), st.integers(0, 15), st.integers(0, 2**32))
def test_any_flipped_bit_changes_the_checksum(dtype: torch.dtype, place: int, bit: int, seed: int) -> None:
    tensor = torch.randn(10, 10, generator=torch.Generator().manual_seed(seed)).to(dtype)
    before = checksum(tensor)
    assert checksum(tensor.t()) == before, "whatever its strides"
    integers = tensor.view(torch.int32 if dtype == torch.float32 else torch.int16).view(-1)
    integers[place] ^= torch.tensor(1 << bit, dtype=torch.int64).to(integers.dtype)
    assert checksum(tensor) != before


def test_a_rank_whose_weights_differ_is_named(small_run: Callable[..., Path], tmp_path: Path) -> None:
    run_script("flipped_bit", small_run("flipped", batch_size=6), tmp_path / "found.json", ranks=3)
    assert json.loads((tmp_path / "found.json").read_text()) == {
        "0": [
            "alike",
            "the ranks' copies of the weights are not the same: rank 1 differs, first in "
            "blocks.1.attention.output.weight; a device or a link is faulty",
        ],
        "3": ["alike", "alike"],
    }
