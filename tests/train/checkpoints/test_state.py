"""What is saved at any number of ranks and ZeRO stage is loaded at any other, to the bit, on the real engine."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.launched.runs import run_script

CASES = [f"{stage}:fp32" for stage in range(4)] + [f"{stage}:bf16" for stage in range(1, 4)]
CASES += ["3:fp32:offload", "2:bf16:offload"]


def on_ranks(
    how: str, world_size: int, config_file: Path, folder: Path, cases: Sequence[str] = CASES
) -> dict[str, Any]:
    """Run tests/launched/elastic.py; returns what rank 0 wrote."""
    out = folder.parent / f"{how}{world_size}.json"
    run_script("elastic", how, config_file, folder, out, *cases, ranks=world_size)
    results: dict[str, Any] = json.loads(out.read_text())
    return results


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_any_stage_and_world_size_loads_what_any_other_saved(small_run: Callable[..., Path], tmp_path: Path) -> None:
    folder, config_file = tmp_path / "saved", small_run("elastic")
    saved = {name: facts for world in (1, 2) for name, facts in on_ranks("save", world, config_file, folder).items()}
    assert len(saved) == 2 * len(CASES)
    pairs = unchanged = 0
    for world in (1, 2):
        for case, loads in on_ranks("load", world, config_file, folder).items():
            assert len(loads) == sum(case.split(":")[1] in name for name in saved)
            for name, loaded in loads.items():
                where = f"{name} loaded at {world} ranks, {case}"
                pairs += 1
                assert loaded["state"] == saved[name]["state"], where
                assert loaded["optimizer step"] == saved[name]["optimizer step"] == 3, where
                assert loaded["low precision"] == saved[name]["low precision"], where
                if "after" in loaded:
                    assert loaded["after"] == pytest.approx(saved[name]["after"], rel=1e-6), where
                if name == f"{world}-{case.replace(':', '-')}":
                    unchanged += 1
                    assert loaded["after"] == saved[name]["after"], f"{where}: to the bit where nothing was changed"
    assert len({facts["state"] for facts in saved.values()}) >= 5, "the digests tell one state from another"
    assert (pairs, unchanged) == (2 * 5 * 10 + 2 * 4 * 8, 2 * len(CASES))


MUON_CASES = {1: ("0:fp32", "2:fp32", "3:bf16"), 2: ("1:fp32", "2:bf16:offload", "3:fp32:offload")}


def test_a_run_by_muon_goes_on_at_another_stage_and_on_other_ranks(
    small_run: Callable[..., Path], tmp_path: Path
) -> None:
    """Saved and loaded on one rank at some stages and on two at others, each of the same precision by each."""
    folder, config_file = tmp_path / "saved", small_run("elastic", optimizer="muon", batch_size=4)
    carried = "tuned_at: {width: 16, layers: 1}"  # so that matrices are in groups of several rates
    config_file.write_text(config_file.read_text().replace("training:", f"training:\n  {carried}"))
    saved: dict[str, Any] = {}
    for world, cases in MUON_CASES.items():
        saved |= on_ranks("save", world, config_file, folder, cases)
    for facts in saved.values():
        assert 0 < facts["bytes"] - facts["planned bytes"] < 16_384, (
            "8 bytes of what Muon trains, 12 of the rest, names"
        )
    pairs = 0
    for world, cases in MUON_CASES.items():
        for case, loads in on_ranks("load", world, config_file, folder, cases).items():
            for name, loaded in loads.items():
                where, pairs = f"{name} loaded at {world} ranks, {case}", pairs + 1
                assert loaded["state"] == saved[name]["state"], where
                assert loaded["optimizer step"] == saved[name]["optimizer step"] == 3, where
                assert loaded["low precision"] == saved[name]["low precision"], where
                unchanged = name == f"{world}-{case.replace(':', '-')}"
                if "after" in loaded:
                    assert loaded["after"] == pytest.approx(saved[name]["after"], rel=0 if unchanged else 1e-6), where
    assert pairs == 4 * 4 + 2 * 2
