"""Adapters in the real engine: what is trained, saved and gone on with, at every ZeRO stage, on one rank and on two."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.huggingface_folder import export_folder
from tests.launched.runs import run_script

CASES = {"bloom": ("2:bf16", "3:bf16"), "qwen3": ("0:fp32", "3:fp32")}
"""Stage 2 before stage 3, with which DeepSpeed replaces torch's product of matrices in the whole process."""
LORA: dict[str, dict[str, Any]] = {
    "bloom": {"rank": 4, "embeddings": "new", "tokens": [3], "dropout": 0.1},
    "qwen3": {"rank": 2, "embeddings": "all", "targets": ["attention"]},
}


@pytest.fixture
def adapted(small_run: Callable[..., Path], families: Any, random_model: Any, tmp_path: Path) -> Callable[..., Path]:
    """Writes the configuration of a run that adapts a random base: (family, settings of `lora`) → file."""

    def make(family: str, **lora: Any) -> Path:
        model = random_model(families[family] | {"vocabulary_size": 400, "sequence_length": 32, "layers": 1})
        base = tmp_path / f"base-{family}"
        export_folder(model.state_dict(), model.config, base, None, "<|endoftext|>")
        file = small_run(family, batch_size=4)
        content = json.loads(file.read_text())
        rows = 410 if lora.get("embeddings") == "new" else 400
        content |= {"init_from": str(base), "lora": lora}
        content["model"] = {"from_hugging_face": str(base), "vocabulary_size": rows}
        file.write_text(json.dumps(content))
        return file

    return make


def test_an_adapter_goes_on_to_the_bit_at_any_stage_and_on_other_ranks(
    adapted: Callable[..., Path], tmp_path: Path
) -> None:
    files = {family: adapted(family, **lora) for family, lora in LORA.items()}
    cases = [f"{file}:{case}" for family, file in files.items() for case in CASES[family]]
    for world in (1, 2):
        run_script("adapters", tmp_path / "saved", tmp_path / f"{world}.json", *cases, ranks=world)
    seen = {world: json.loads((tmp_path / f"{world}.json").read_text()) for world in (1, 2)}
    matched = 0
    for case in cases:
        one, two = seen[1][case], seen[2][case]
        assert one["bytes"] == two["bytes"] == 12 * sum(map(len, one["weights"].values()))
        assert one["without gradient"]
        assert two["without gradient"]
        assert one["after"][-1] < one["before"][0], "it learns"
        exact = case.endswith("bf16")
        reference = seen[1][cases[0]] if exact else seen[1][cases[2]]
        for result in (one, two):  # at stage 3 weights as small as these stay whole on every rank
            assert ":3:" in case or result["tensors"] == pytest.approx(result["planned"], rel=0.02), case
        for result in (one, two, *two["loaded"].values()):
            close = 0 if exact else 1e-5
            assert result["after"] == pytest.approx(reference["after"], rel=close, abs=0), case
            for name, weights in reference["weights"].items():
                assert result["weights"][name] == pytest.approx(weights, rel=close, abs=close), f"{case}: {name}"
            matched += 1
    assert matched == 4 * (2 + 2), "each of two earlier saves is gone on with by each case"
