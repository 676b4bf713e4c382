"""Small parts are read together: by a rule that looks at each part and the one before it alone."""

import itertools
import random

import pytest

from data.sources import parts
from data.sources.parts import GROUP_BYTES, Part, grouped


def names_of(sizes: dict[str, int | None]) -> set[tuple[tuple[str, int | None], ...]]:
    return {tuple((part.name, part.size) for part in group) for group in grouped(parts_of(sizes))}


def parts_of(sizes: dict[str, int | None]) -> list[Part]:
    return [Part(name, f"/data/{name}", [], size) for name, size in sizes.items()]


@pytest.fixture
def sizes() -> dict[str, int | None]:
    chance = random.Random(1)
    return {f"{number:05d}.txt": int(chance.lognormvariate(8, 1.5)) for number in range(20_000)}


def test_groups_are_of_some_megabytes_and_keep_the_order(sizes: dict[str, int | None]) -> None:
    found = grouped(parts_of(sizes))
    assert list(itertools.chain.from_iterable(found)) == parts_of(sizes)
    total = sum(size + parts.FILE_BYTES for size in sizes.values() if size is not None)
    assert total / GROUP_BYTES / 2 < len(found) < total / GROUP_BYTES * 2


def test_large_parts_and_those_of_unknown_size_stand_alone() -> None:
    sizes: dict[str, int | None] = {"a": 10, "b": GROUP_BYTES, "c": 0, "d": 10, "e": None, "f": None, "g": 5}
    assert [[part.name for part in group] for group in grouped(parts_of(sizes))] == [
        ["a"],
        ["b"],
        ["c", "d"],
        ["e"],
        ["f"],
        ["g"],
    ]
    assert grouped([]) == []


@pytest.mark.parametrize("change", ["added", "removed", "grown"])
def test_a_change_stays_in_its_group(sizes: dict[str, int | None], change: str) -> None:
    before = names_of(sizes)
    chance = random.Random(change)
    for _ in range(8):
        name = chance.choice(list(sizes))
        changed = dict(sizes)
        match change:
            case "added":
                changed[f"{name}-again"] = 5_000
            case "removed":
                del changed[name]
            case "grown":
                changed[name] = 3_000_000
        after = names_of(dict(sorted(changed.items())))
        assert len(before - after) <= 2
        assert len(after - before) <= 2
