"""Reads a run's configuration: the YAML file, the preset and the DeepSpeed file that it names, and overrides.

Precedence: defaults < file < `section.key=value`, nothing else. Each mistake is one line: where, what, what is right.
"""

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from data.addresses import without_secrets
from train.config import CHECKOUT, RunConfig

AUTO = "auto"
"""In the place of training.micro_batch: as many rows as the plan says fit."""


class ConfigError(Exception):
    """A configuration that cannot be run; the message has one line for each thing that is wrong, without secrets."""

    def __init__(self, message: str) -> None:
        super().__init__(without_secrets(message))


IN_ANOTHER_BASE = re.compile(r"[-+]?(0[0-9_]+$|[0-9_.]+:)")
"""Integers and numbers of YAML 1.1 that people read as decimal: 0500 is 320, 1:30 is 90."""


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader; what it would lose or take for another number (a key given twice, 0500) is refused."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict | set):
                raise ConfigError(f"line {key_node.start_mark.line + 1}: a key must be one word, not {key}")
            if key in seen:
                raise ConfigError(f"line {key_node.start_mark.line + 1}: key given twice: {key}")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node.tag.endswith((":int", ":float")) and IN_ANOTHER_BASE.match(node.value):
            raise ConfigError(
                f"line {node.start_mark.line + 1}: {node.value} is octal or of base 60 in YAML 1.1: write the number "
                "that is meant without leading zeros and colons, or a text in quotes"
            )
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:  # 2019-06-31, !!bool x, !!timestamp x
            raise ConfigError(f"line {node.start_mark.line + 1}: {node.value} cannot be read: {error}") from None


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read, complete and check the configuration of a run.

    Args:
        path: the YAML file. The config.yaml that a run keeps in its folder is of that folder, wherever it was moved to.
        overrides: `section.key=value` strings; values are read as YAML.

    Raises:
        ConfigError: anything is missing, unknown, of the wrong type or contradictory; one line for each.
    """
    path = Path(path)
    content = _read(path, overrides)
    if _micro_batch(content) == AUTO:
        raise ConfigError(
            f"{path}: training.micro_batch: {AUTO} is a number that `domainlm train` and `domainlm submit` find before "
            "they start the ranks: begin with one of them, or set the number that `domainlm plan` shows; the folder of "
            "a run that has begun has it"
        )
    _resolve_model(path, content)
    _resolve_deepspeed(path, content)
    try:
        config = RunConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in _lines(error))) from None
    if numbers := taken_for_numbers(content, config.model_dump()):
        raise ConfigError("\n".join(f"{path}: {where}: should be a number (got {value})" for where, value in numbers))
    return config


def asks_for_auto(path: str | Path, overrides: Sequence[str] = ()) -> bool:
    """Whether training.micro_batch is left to the plan. Raises ConfigError: the file cannot be read."""
    return bool(_micro_batch(_read(Path(path), overrides)) == AUTO)


def _micro_batch(content: dict[str, Any]) -> Any:
    training = content.get("training")
    return training.get("micro_batch") if isinstance(training, dict) else None


def _read(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """The file with its overrides; presets are not looked at yet."""
    content = _read_yaml(path)
    _resolve_folder(path, content)
    for override in overrides:
        _apply_override(content, override)
    return content


def parse_yaml(text: str) -> Any:
    """What YAML says. Raises ConfigError: a key is given twice; yaml.YAMLError: it is none."""
    return yaml.load(text, Loader=_StrictLoader)


def taken_for_numbers(given: Any, taken: Any, where: str = "") -> list[tuple[str, bool]]:
    """Where pydantic, which makes numbers of them, was given true or false (in YAML also yes, no, on, off)."""
    if isinstance(given, bool):
        return [] if isinstance(taken, bool) else [(where, given)]
    if isinstance(given, dict) and isinstance(taken, dict):
        pairs = [(key, given[key], taken[key]) for key in given if key in taken]
    elif isinstance(given, list) and isinstance(taken, list | tuple):
        pairs = [(number, item, kept) for number, (item, kept) in enumerate(zip(given, taken, strict=False))]
    else:
        pairs = []
    return [found for key, *pair in pairs for found in taken_for_numbers(pair[0], pair[1], f"{where}.{key}".strip("."))]


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Keys whose values differ between two resolved configurations: {dotted key: (old, new)}."""
    found: dict[str, tuple[Any, Any]] = {}
    for key in sorted(old.keys() | new.keys(), key=str):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found |= differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found[f"{prefix}{key}"] = (before, after)
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = parse_yaml(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder: name the run's YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected sections such as `data:` and `model:`, found {type(content).__name__}")
    return content


def _apply_override(content: dict[str, Any], override: str) -> None:
    dotted, equals, text = override.partition("=")
    keys = dotted.split(".")
    if not equals or not all(keys):
        raise ConfigError(f"override {override!r} is not of the form section.key=value")
    try:
        value = parse_yaml(text)
    except (yaml.YAMLError, ConfigError) as error:
        said = f": {error}" if isinstance(error, ConfigError) else ""
        raise ConfigError(f"override {override!r}: the value is not valid YAML{said}") from None
    section: Any = content
    for key in keys[:-1]:
        section = section[_index(section, key, override)] if isinstance(section, list) else section.setdefault(key, {})
        if not isinstance(section, dict | list):
            raise ConfigError(f"override {override!r}: `{key}` is not a section")
    section[_index(section, keys[-1], override) if isinstance(section, list) else keys[-1]] = value


def _index(section: list[Any], key: str, override: str) -> int:
    """Position of a list's item named by its number or by its `name`, as in data.sources.wikipedia.weight=0.2."""
    for position, item in enumerate(section):
        if key == str(position) or (isinstance(item, dict) and item.get("name") == key):
            return position
    raise ConfigError(f"override {override!r}: nothing there is called {key!r}")


def _resolve_folder(path: Path, content: dict[str, Any]) -> None:
    """A run that was moved, or copied, is where its config.yaml lies beside its journal, not where it was begun."""
    lies = path.parent
    is_own = path.name == "config.yaml" and (lies / "journal.jsonl").exists()
    if is_own and _folder_of(content).resolve() != lies.resolve():
        content["folder"] = str(lies)


def _folder_of(content: dict[str, Any]) -> Path:
    return Path(content.get("folder") or f"runs/{content.get('name')}")


def recorded_folder(path: Path) -> Path:
    """What the config.yaml of a run calls the run's folder, wherever that lies now. Raises ConfigError: unreadable."""
    return _folder_of(_read_yaml(path))


def _resolve_model(path: Path, content: dict[str, Any]) -> None:
    """Complete the architecture by a preset, or by the config.json of a Hugging Face folder."""
    model = content.get("model")
    if not isinstance(model, dict):
        return
    if "preset" in model:
        preset = model.pop("preset")
        folder = CHECKOUT / "configs" / "model"
        known = sorted(file.stem for file in folder.glob("*.yaml"))
        if preset not in known:
            raise ConfigError(f"{path}: model.preset: {_unknown(str(preset), known)}")
        model = _read_yaml(folder / f"{preset}.yaml") | model
    if "from_hugging_face" in model:
        from model.pretrained import read_architecture  # loads torch

        named = model.pop("from_hugging_face")
        try:
            model = read_architecture(Path(named)) | model
        except ValueError as error:
            raise ConfigError(f"{path}: model.from_hugging_face: {error}") from None
    content["model"] = model


def _resolve_deepspeed(path: Path, content: dict[str, Any]) -> None:
    training = content.get("training")
    if not isinstance(training, dict) or not isinstance(training.get("deepspeed"), str):
        return
    named = Path(training["deepspeed"])
    file = named if named.is_absolute() or named.exists() else CHECKOUT / named
    try:
        training["deepspeed"] = json.loads(file.read_text("utf-8"), object_pairs_hook=_no_key_twice)
    except OSError:
        raise ConfigError(f"{path}: training.deepspeed: no such file: {named}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: training.deepspeed: {named} is not valid JSON: {error}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, of which `json` would take the last of equal keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key given twice: {next(key for key in keys if keys.count(key) > 1)}")
    return found


def _lines(error: ValidationError) -> list[str]:
    """One line for each place that is wrong: dotted key, what is wrong, what would be right."""
    lines = []
    wrong: dict[str, list[Any]] = {}
    for problem in error.errors():
        wrong.setdefault(".".join(_location(problem)), []).append(problem)
    for where, problems in wrong.items():
        kinds, first = {problem["type"] for problem in problems}, problems[0]
        if any(other.startswith(f"{where}.") for other in wrong if where):
            continue  # a list whose only entry is wrong, or another form of the section that one is in
        if "extra_forbidden" in kinds:
            location = _location(first)
            fields = _fields_at(RunConfig, location[:-1])
            lines.append(f"{where}: {_unknown(location[-1], fields, _sections_with(location[-1]))}")
        elif "missing" in kinds:
            lines.append(f"{where}: this key is required")
        elif "value_error" in kinds:
            said = [problem["msg"].removeprefix("Value error, ") for problem in problems]
            lines += [f"{where}: {message}" if where else message for message in said]
        else:
            forms = [_form(problem["msg"]) for problem in problems] + [AUTO] * (where == "training.micro_batch")
            lines.append(f"{where}: {_either(forms)} (got {first['input']!r})")
    return list(dict.fromkeys(lines))


def _location(problem: Any) -> list[str]:
    """The keys down to a problem, without pydantic's names for the forms that a value may have."""
    return [
        str(part) for part in problem["loc"] if not re.fullmatch(r"bool|(constrained-)?(int|str)|.*\[.*\]", str(part))
    ]


def _form(message: str) -> str:
    """What pydantic says that a value should be, in the words of a file."""
    plain = re.sub(r", (unable|got) .*", "", f"{message[0].lower()}{message[1:]}").replace("tuple", "list")
    return re.sub(r"valid dictionary( or instance of \w+)?", "section of keys with values", plain)


def _either(forms: Sequence[str]) -> str:
    first, *others = dict.fromkeys(forms)
    return " or ".join((first, *(form.removeprefix("input should be ") for form in others)))


def _fields_at(model: type[BaseModel], location: Sequence[str]) -> list[str]:
    """Names of the keys allowed in the section at `location`."""
    for part in location:
        if part.isdigit():
            continue
        annotation = model.model_fields[part].annotation
        inner = [item for item in (annotation, *get_args(annotation)) if isinstance(item, type)]
        model = next(item for item in inner if issubclass(item, BaseModel))
    return list(model.model_fields)


def _sections_with(key: str) -> list[str]:
    """The key under each section that has it."""
    sections = [
        name for name, field in RunConfig.model_fields.items() if BaseModel in getattr(field.annotation, "__mro__", ())
    ]
    return [f"{name}.{key}" for name in sections if key in _fields_at(RunConfig, [name])]


def _unknown(name: str, known: Sequence[str], elsewhere: Sequence[str] = ()) -> str:
    close = elsewhere or difflib.get_close_matches(name, known, n=1)
    meant = " or ".join(f"`{key}`" for key in close)
    return f"unknown key; did you mean {meant}?" if close else f"unknown key; known are {', '.join(known)}"
