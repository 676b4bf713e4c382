"""The shape of the project: imports point one way, modules and functions stay small, nothing is left half-said."""

import ast
import graphlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("model", "data", "evaluation", "train")
ALLOWED = {
    "model": {"model"},
    "data": {"data"},
    "evaluation": {"evaluation", "data", "model"},
    "train": {"train", "evaluation", "data", "model"},
}
CONFINED = {"deepspeed": {"train/engine/engine.py"}, "wandb": {"train/records/mirror.py"}}
MAXIMUM_MODULE_LINES = 320
MAXIMUM_FUNCTION_LINES = 60

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the direction"
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_keeps_the_house_rules(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    package = path.relative_to(ROOT).parts[0]
    names = imported(tree)
    assert names & set(PACKAGES) <= ALLOWED[package], "imports point one way: train → evaluation → data, model"
    for dependency, homes in CONFINED.items():
        assert dependency not in names or str(path.relative_to(ROOT)) in homes
    assert package != "data" or "torch" not in names, "data is numpy"
    assert ast.get_docstring(tree), "the first line says what the module is for"
    assert len(text.splitlines()) <= MAXIMUM_MODULE_LINES
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MAXIMUM_FUNCTION_LINES
    ]
    assert not long, f"functions over {MAXIMUM_FUNCTION_LINES} lines: {long}"


def test_no_module_imports_itself_by_a_detour() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES}
    needs: dict[str, set[str]] = {}
    for name, path in names.items():
        lines = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
        needs[name] = {line.module for line in lines if line.module in names}
        needs[name] |= {f"{line.module}.{part.name}" for line in lines for part in line.names} & names.keys()
    list(graphlib.TopologicalSorter(needs).static_order())  # a circle is an error that names its modules


def test_every_module_has_a_test_file() -> None:
    """Modules whose whole content is driven by another file's tests are listed with that file."""
    elsewhere = {
        "train/engine": "test_training",
        "train/loop": "test_training",
        "train/run": "test_training",
        "train/step": "test_spikes",
        "train/gradient": "test_spikes",
        "train/evidence": "test_spikes",
        "train/start": "test_training",
        "train/held_out": "test_failures",
        "train/launcher": "test_training",
        "train/collectives": "test_doctor",
        "train/trained": "test_pipeline",
        "train/commands": "test_main",
        "train/config": "test_config_file",
        "train/export": "test_pipeline",
        "data/errors": "test_documents",
        "evaluation/baselines": "test_compressors",
    }
    tests = {path.stem for path in (ROOT / "tests").glob("test_*.py")}
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            place = f"{path.parent.name}/{path.stem}"
            wanted = {elsewhere.get(place, f"test_{path.stem}"), f"test_{path.parent.name}_{path.stem}"}
            assert wanted & tests, f"{place}.py has no test file"
