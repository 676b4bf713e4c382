"""The shape of the project: imports point one way, rooms and functions stay small, nothing is left half-said."""

import ast
import functools
import graphlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What each package may import beside itself.
BELOW = {
    "model": (),
    "data": (),
    "evaluation": ("data",),
    "train": ("evaluation", "data", "model"),
    "domainlm": ("train", "evaluation", "data", "model"),
}
# The way of a text: each room imports those before it.
WAY = (
    "data",
    "data/readers",
    "data/sources",
    "data/cleaning",
    "data/corpus",
    "data/tokenizer",
    "data/shards",
    "data/stream",
    "data/retrieval",
    "data/examples",
)
# Their own modules, a step of the run or a command each, stand between their rooms; those of the others are one room.
STAIRS = ("train", "domainlm")
CONFINED = {"deepspeed": {"train/engine/engine.py"}, "wandb": {"train/records/mirror.py"}}
MAXIMUM_MODULES = 20
MAXIMUM_MODULE_LINES = 400
MAXIMUM_FUNCTION_LINES = 60

MODULES = sorted(path for package in BELOW for path in (ROOT / package).rglob("*.py"))
FOLDERS = sorted({path.parent for path in MODULES})


def name_of(path: Path) -> str:
    """data/cleaning/clean for the module, data/corpus for the folder's own __init__.py."""
    return str(path.relative_to(ROOT).with_suffix("")).removesuffix("/__init__")


NAMES = {name_of(path) for path in MODULES}


def imported_modules(tree: ast.AST) -> set[str]:
    """Everything that is imported at any place, by dotted name."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            assert node.module
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            inner = {part for part in parts if part.replace(".", "/") in NAMES}
            names |= inner or {node.module}
    return names


def own_imports(path: Path) -> set[str]:
    found = {name.replace(".", "/") for name in imported_modules(ast.parse(path.read_text("utf-8")))}
    return {name for name in found if name.partition("/")[0] in BELOW}


@functools.cache
def room_of(module: str) -> str:
    folder = module if (ROOT / module).is_dir() else module.rpartition("/")[0]
    return module if folder in STAIRS else folder


def arrows(imports: Mapping[str, Iterable[str]]) -> set[tuple[str, str]]:
    """Which room imports which other one."""
    pairs = {(room_of(module), room_of(other)) for module, others in imports.items() for other in others}
    return {(room, other) for room, other in pairs if room != other}


def faults(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """What of these imports, a module's each, points the wrong way."""
    found = []
    for module, others in imports.items():
        package = module.partition("/")[0]
        for other in others:
            if other.partition("/")[0] not in (package, *BELOW[package]):
                found.append(f"{module} imports {other}: {package} may import {BELOW[package]}")
            here, there = room_of(module), room_of(other)
            if here in WAY and there in WAY and WAY.index(there) > WAY.index(here):
                found.append(f"{module} imports {other}: {there} comes after {here}")
    needed_by_room: dict[str, set[str]] = {}
    for room, other in arrows(imports):
        needed_by_room.setdefault(room, set()).add(other)
    for needs in (imports, needed_by_room):
        try:
            graphlib.TopologicalSorter(needs).prepare()
        except graphlib.CycleError as error:
            found.append(f"a circle: {' → '.join(reversed(error.args[1]))}")
    return found


IMPORTS = {name_of(path): own_imports(path) for path in MODULES}


def test_imports_point_one_way() -> None:
    assert faults(IMPORTS) == []
    assert {room_of(module) for module in IMPORTS if module.startswith("data/")} | {"data"} == set(WAY)


@pytest.mark.parametrize(("room", "other"), sorted(arrows(IMPORTS)), ids=lambda name: name)
def test_an_arrow_turned_round_is_found(room: str, other: str) -> None:
    """For each pair of neighbouring rooms: some module of the lower one imports one of the upper."""
    lower = next(module for module in IMPORTS if room_of(module) == other)
    upper = next(module for module in IMPORTS if room_of(module) == room)
    assert faults(IMPORTS | {lower: {*IMPORTS[lower], upper}})


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_module_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    packages = {name.partition(".")[0] for name in imported_modules(tree)}
    for dependency, homes in CONFINED.items():
        assert dependency not in packages or str(path.relative_to(ROOT)) in homes
    assert not (name_of(path).startswith("data") and "torch" in packages), "data is numpy"
    hidden = {"importlib", "runpy", "pkgutil"} & imported_modules(tree)
    assert not hidden, "what is loaded by name hides the direction"
    assert "__import__" not in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert packages.isdisjoint({"tests", "benchmarks"})
    assert ast.get_docstring(tree), "the first line says what the module is for"
    assert len(text.splitlines()) <= MAXIMUM_MODULE_LINES
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MAXIMUM_FUNCTION_LINES
    ]
    assert not long, f"functions over {MAXIMUM_FUNCTION_LINES} lines: {long}"


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_room_says_what_comes_in_what_goes_out_and_where_to_begin(folder: Path) -> None:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MAXIMUM_MODULES
    tree = ast.parse((folder / "__init__.py").read_text("utf-8"))
    assert len(tree.body) == 1 or name_of(folder) == "data", "to import a module is to import nothing but it"
    words = ast.get_docstring(tree) or ""
    assert re.search(r"\bIn: .*\bOut: .*\bRead\s+\w+\.py\s+first", words, re.S)
    for name in re.findall(r"\w+\.py\b", words):
        assert (folder / name).exists(), f"{name_of(folder)}/__init__.py speaks of {name}"


def test_names_do_not_repeat_their_room() -> None:
    """But for the module of the very thing that a room is named after."""
    for path in MODULES:
        room, name = path.parent.name, path.stem
        assert name == room or not name.startswith((f"{room}_", f"{room.removesuffix('s')}_")), path


ELSEWHERE = {
    "data/readers/dates": "data/readers/test_html",
    "data/readers/encodings": "data/readers/test_html",
    "data/readers/http_message": "data/readers/test_warc",
    "data/readers/main_text": "data/readers/test_html",
    "data/readers/numbering": "data/readers/test_docx",
    "data/readers/page_layout": "data/readers/test_pdf",
    "domainlm/arguments": "domainlm/test_main",
    "domainlm/option_values": "domainlm/test_main",
    "domainlm/configuration": "domainlm/test_paths",
    "domainlm/serve/answers": "domainlm/serve/test_api",
    "domainlm/serve/requests": "domainlm/serve/test_api",
    "domainlm/serve/worker": "domainlm/serve/test_api",
    "data/retrieval/config": "domainlm/retrieval/test_index",
    "data/readers/rows": "data/sources/test_formats",
    "data/format_config": "data/test_source_config",
    "data/sources/dates": "data/sources/test_documents",
    "data/examples/config": "data/examples/test_records",
    "data/examples/marks": "data/examples/test_chat",
    "domainlm/commands": "domainlm/test_main",
    "domainlm/result": "domainlm/test_main",
    "domainlm/ladder/arguments": "domainlm/test_main",
    "domainlm/slurm/arguments": "domainlm/test_main",
    "domainlm/measure/arguments": "domainlm/test_main",
    "domainlm/measure/commands": "domainlm/test_main",
    "domainlm/measure/compare": "domainlm/test_stages",
    "domainlm/measure/named_model": "domainlm/test_stages",
    "domainlm/doctor/collectives": "domainlm/doctor/test_examine",
    "domainlm/doctor/steps": "domainlm/doctor/test_gradients",
    "domainlm/export": "domainlm/test_stages",
    "evaluation/config": "train/test_config_file",
    "evaluation/language_model": "evaluation/test_general_model",
    "domainlm/retrieval/open_book": "domainlm/test_conversation",
    "domainlm/measure/questions": "domainlm/test_stages",
    "evaluation/general_prefix": "evaluation/test_continuations",
    "evaluation/tasks/answers": "evaluation/tasks/test_harness",
    "evaluation/tasks/contamination": "evaluation/tasks/test_harness",
    "evaluation/tasks/figures": "evaluation/tasks/test_harness",
    "evaluation/tasks/records": "evaluation/tasks/test_harness",
    "evaluation/tasks/scoring": "evaluation/tasks/test_harness",
    "model/prefix": "evaluation/test_continuations",
    "train/checkpoints/trained": "domainlm/test_stages",
    "train/config": "train/test_config_file",
    "train/engine/engine": "train/test_training",
    "domainlm/ladder/small_runs": "domainlm/mixture/test_build",
    "domainlm/mixture/arguments": "domainlm/mixture/test_build",
    "train/engine/hidden_matrices": "train/engine/test_muon",
    "train/engine/layout": "train/checkpoints/test_state",
    "train/engine/placement": "domainlm/plan/test_placement",
    "train/engine/sharing": "train/engine/test_muon",
    "train/gradient": "train/spikes/test_spikes",
    "train/held_out": "train/test_failures",
    "train/rates/settings": "train/test_config_file",
    "train/records/text_read": "train/engine/test_initial_weights",
    "train/loop": "train/test_training",
    "train/earlier_steps": "train/spikes/test_spikes",
    "train/ranks": "train/test_training",
    "train/run": "train/test_training",
    "train/spikes/evidence": "train/spikes/test_spikes",
    "train/spikes/skip_rules": "train/spikes/test_spikes",
    "train/outliers": "train/spikes/test_spikes",
    "train/start": "train/test_training",
    "train/step": "train/spikes/test_spikes",
}
"""Modules whose content the tests of others drive, and where."""


def test_every_module_has_its_tests_in_the_same_place() -> None:
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            module = path.relative_to(ROOT).with_suffix("")
            place = ELSEWHERE.get(str(module), f"{module.parent}/test_{module.name}")
            assert (ROOT / "tests" / f"{place}.py").exists(), f"{module}.py has no test file"
    assert {f"{name}.py" for name in ELSEWHERE} <= {str(path.relative_to(ROOT)) for path in MODULES}
