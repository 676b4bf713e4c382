"""The files of a checkpoint: safetensors that any program reads, an index that finds any part, named faults."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from train.checkpoints.folders import CheckpointError
from train.checkpoints.fragments import (
    ADAMW_STATE,
    MUON_STATE,
    WEIGHT,
    Fragment,
    Reader,
    all_written,
    in_file,
    merge_records,
    rank_file,
    record_file,
    write_rank,
)

SHAPES = {"head.weight": (7, 5), "norm.weight": (3,), "scalar": ()}
KINDS = (WEIGHT, *ADAMW_STATE)


def values(name: str, kind: str) -> np.ndarray:
    """Every element tells which one it is."""
    size = int(np.prod(SHAPES[name]))
    return np.arange(size, dtype=np.float32) + 1000 * KINDS.index(kind) + 100 * list(SHAPES).index(name)


def write(folder: Path, rank: int, fragments: list[Fragment], step: int = 9) -> None:
    arrays = [values(part.name, kind)[part.start : part.stop] for kind in KINDS for part in fragments]
    write_rank(folder, rank, fragments, arrays, step)


def divided(cuts: list[int]) -> list[list[Fragment]]:
    """All parameters, end to end, cut into one run of elements for each rank, as ZeRO 1 does."""
    ranks: list[list[Fragment]] = []
    total = sum(int(np.prod(shape)) for shape in SHAPES.values())
    for low, high in zip([0, *cuts], [*cuts, total], strict=True):
        held, offset = [], 0
        for name, shape in SHAPES.items():
            size = int(np.prod(shape))
            start, stop = max(low - offset, 0), min(high - offset, size)
            if start < stop:
                held.append(Fragment(name, shape, start, stop))
            offset += size
        ranks.append(held)
    return ranks


@given(cuts=st.lists(st.integers(0, 39), min_size=0, max_size=5).map(sorted), data=st.data())
def test_any_part_is_found_however_it_was_divided(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("any")
    ranks = divided(cuts)
    for rank, fragments in enumerate(ranks):
        assert not all_written(folder, len(ranks))
        write(folder, rank, fragments)
    assert all_written(folder, len(ranks))
    files, step = merge_records(folder, len(ranks))
    assert step == 9
    assert sorted(files) == [rank_file(rank) for rank in range(len(ranks))]
    assert sorted(path.name for path in folder.iterdir()) == ["index.json", *sorted(files)]
    reader = Reader(folder)
    assert reader.shapes == SHAPES
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        start = data.draw(st.integers(0, size))
        stop = data.draw(st.integers(start, size))
        for kind in KINDS:
            found = reader.read(kind, Fragment(name, shape, start, stop))
            assert found.dtype == np.float32
            assert found.tolist() == values(name, kind)[start:stop].tolist()


def test_a_rank_file_is_plain_safetensors(tmp_path: Path) -> None:
    write(tmp_path, 0, [Fragment("head.weight", (7, 5), 3, 20)])
    tensors = load_file(tmp_path / rank_file(0))
    assert sorted(tensors) == ["exp_avg.head.weight", "exp_avg_sq.head.weight", "weight.head.weight"]
    assert tensors["exp_avg.head.weight"].tolist() == values("head.weight", "exp_avg")[3:20].tolist()
    header = int.from_bytes((tmp_path / rank_file(0)).read_bytes()[:8], "little")
    assert header % 8 == 0, "values are aligned"
    assert (tmp_path / rank_file(0)).stat().st_size == 8 + header + 12 * 17, "12 bytes an element"


def test_of_each_parameter_is_kept_what_its_optimizer_keeps(tmp_path: Path) -> None:
    kept = {"head.weight": (WEIGHT, *MUON_STATE), "norm.weight": KINDS}
    fragments = [Fragment(name, SHAPES[name], 0, int(np.prod(SHAPES[name])), kinds) for name, kinds in kept.items()]
    given = {(part.name, kind): np.full(part.stop, 10 * i + j) for i, part in enumerate(fragments)
             for j, kind in enumerate(part.kinds)}  # fmt: skip
    write_rank(tmp_path, 0, fragments, [given[fragments[n].name, kind] for n, kind in in_file(fragments)], 9)
    assert (tmp_path / rank_file(0)).stat().st_size < 8 * 35 + 12 * 3 + 1000
    merge_records(tmp_path, 1)
    reader = Reader(tmp_path)
    assert {name: tuple(kinds) for name, kinds in reader.kinds.items()} == kept
    for part in fragments:
        for kind in part.kinds:
            assert reader.read(kind, part).tolist() == given[part.name, kind].tolist()


def test_an_index_of_before_there_was_a_choice_is_of_adamw(tmp_path: Path) -> None:
    write(tmp_path, 0, [Fragment("norm.weight", (3,), 0, 3)])
    merge_records(tmp_path, 1)
    index = json.loads((tmp_path / "index.json").read_text())
    del index["parameters"]["norm.weight"]["kinds"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    assert tuple(Reader(tmp_path).kinds["norm.weight"]) == KINDS


def test_parts_that_are_missing_or_twice_there_are_refused(tmp_path: Path) -> None:
    for name, second in (("gap", 11), ("overlap", 9)):
        write(tmp_path / name, 0, [Fragment("head.weight", (7, 5), 0, 10)])
        write(tmp_path / name, 1, [Fragment("head.weight", (7, 5), second, 35)])
        with pytest.raises(CheckpointError, match=r"of the 35 elements of head.weight the ranks wrote"):
            merge_records(tmp_path / name, 2)


def test_ranks_of_different_steps_are_refused(tmp_path: Path) -> None:
    write(tmp_path, 0, [Fragment("norm.weight", (3,), 0, 2)], step=9)
    write(tmp_path, 1, [Fragment("norm.weight", (3,), 2, 3)], step=8)
    with pytest.raises(CheckpointError, match=r"optimizers are at different steps: \[8, 9\]"):
        merge_records(tmp_path, 2)


def test_what_does_not_fit_the_model_is_named(tmp_path: Path) -> None:
    write(tmp_path, 0, [Fragment("norm.weight", (3,), 0, 3)])
    merge_records(tmp_path, 1)
    reader = Reader(tmp_path)
    with pytest.raises(CheckpointError, match=r"parameter norm.weight has shape \[3\], the model wants \[4\]"):
        reader.read("weight", Fragment("norm.weight", (4,), 0, 4))
    with pytest.raises(CheckpointError, match=r"parameter bias is missing, the model wants \[3\]"):
        reader.read("weight", Fragment("bias", (3,), 0, 3))


def test_damage_is_named(tmp_path: Path) -> None:
    write(tmp_path, 0, [Fragment("norm.weight", (3,), 0, 3)])
    merge_records(tmp_path, 1)
    whole = Fragment("norm.weight", (3,), 0, 3)
    (tmp_path / rank_file(0)).write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match=r"rank_00000.safetensors cannot be read .*: the checkpoint is damaged"):
        Reader(tmp_path).read("weight", whole)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"index.json cannot be read"):
        Reader(tmp_path)


def test_an_array_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"an array of shape \(2,\) stands for 3 elements"):
        write_rank(tmp_path, 0, [Fragment("norm.weight", (3,), 0, 3)], [np.zeros(2, np.float32)], 0)
    assert not (tmp_path / record_file(0)).exists()


def test_a_record_says_what_the_file_holds(tmp_path: Path) -> None:
    write(tmp_path, 3, [Fragment("norm.weight", (3,), 1, 3)])
    record = json.loads((tmp_path / record_file(3)).read_text())
    assert record["fragments"] == [["norm.weight", [3], 1, 3, list(KINDS)]]
    assert record["bytes"] == (tmp_path / rank_file(3)).stat().st_size
