"""Tensors in one file or several, and what is wrong with a folder said in one line."""

import json

import pytest
import torch

from model.weight_files import INDEX, SINGLE_FILE, open_weights, write_weights

WEIGHTS = {f"w{i}": torch.arange(100.0).view(10, 10) + i for i in range(5)}


@pytest.mark.parametrize(("limit", "files"), [(10_000, 1), (1000, 3), (10, 5)])
def test_tensors_come_back_from_any_number_of_files(tmp_path, limit, files):
    progress = []
    write_weights(WEIGHTS, tmp_path, torch.float32, limit, lambda done, total: progress.append((done, total)))
    assert len(list(tmp_path.glob("*.safetensors"))) == files == len(progress)
    assert progress[-1] == (2000, 2000)
    assert (tmp_path / INDEX).exists() == (files > 1)
    assert (tmp_path / SINGLE_FILE).exists() == (files == 1)
    opened = open_weights(tmp_path)
    assert opened.files.keys() == WEIGHTS.keys()
    for name, tensor in WEIGHTS.items():
        assert torch.equal(opened.read(name), tensor)


def test_the_limit_counts_what_is_written(tmp_path):
    write_weights(WEIGHTS, tmp_path, torch.bfloat16, 1000)
    assert [open_weights(tmp_path).read(name).dtype for name in WEIGHTS] == [torch.bfloat16] * 5
    assert (tmp_path / SINGLE_FILE).exists()


def test_parts_of_one_tensor_are_written_apart(tmp_path):
    fused = torch.arange(40.0).view(8, 5)
    write_weights(dict(zip("abc", fused.split([4, 2, 2]), strict=True)), tmp_path, torch.float32, 10_000)
    opened = open_weights(tmp_path)
    assert torch.equal(torch.cat([opened.read(name) for name in "abc"]), fused)
    assert (tmp_path / SINGLE_FILE).stat().st_size < 160 + 1000


def test_what_is_wrong_with_a_folder_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"has neither model.safetensors nor .*index.json: .* no code comes with them"):
        open_weights(tmp_path)
    (tmp_path / SINGLE_FILE).write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match=r"its weights cannot be read .*fetch them again"):
        open_weights(tmp_path)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"w0": "model-00001-of-00001.safetensors"}}))
    with pytest.raises(ValueError, match=r"names model-00001-of-00001.safetensors, which is not there"):
        open_weights(tmp_path)
    (tmp_path / INDEX).write_text("{}")
    with pytest.raises(ValueError, match="its weights cannot be read"):
        open_weights(tmp_path)
