"""The guides: every link leads somewhere, every command shown is one that is taken, every setting named exists."""

import hashlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from domainlm.arguments import parse
from train.config import CHECKOUT
from train.config_file import load_config

PAGES = sorted(
    [
        CHECKOUT / "README.md",
        CHECKOUT / "CHANGELOG.md",
        *(CHECKOUT / "docs").rglob("*.md"),
        CHECKOUT / "findings" / "README.md",
    ]
)
COMMAND = re.compile(r"^(?:domainlm|deepspeed|sbatch|python -m train) .*$", re.M)


def commands(page: Path) -> list[list[str]]:
    """The commands of a page's code blocks and inline code, as words, without what stands behind a `#`."""
    text = page.read_text("utf-8").replace("\\\n", " ")  # a line that goes on
    blocks = re.findall(r"^```\n(.*?)^```", text, re.M | re.S)
    inline = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    lines = [line for part in [*blocks, *inline] for line in COMMAND.findall(part)]
    words = [shlex.split(line.replace("…", ""), comments=True) for line in lines]
    return [command for command in words if any(word.endswith(".yaml") for word in command)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_commands_are_taken(page: Path) -> None:
    for words in commands(page):
        if words[0] == "domainlm":
            arguments = parse(words[1:])
            config, overrides = arguments.config, arguments.overrides
        else:
            config = next(word for word in words if word.endswith(".yaml"))
            overrides = words[words.index(config) + 1 :]
        if Path(config).name != "mine.yaml":
            load_config(CHECKOUT / config, overrides)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_files_of_the_project_that_a_page_names_exist(page: Path) -> None:
    for name in re.findall(r"(?<![\w./])(?:[a-z_]+/)+[a-z_0-9]+\.(?:py|sbatch|j2)\b", page.read_text("utf-8")):
        assert (CHECKOUT / name).exists(), name


def test_the_pages_show_commands() -> None:
    """The patterns above find something: a page rewritten in another style would silently no longer be checked."""
    assert len(commands(CHECKOUT / "docs" / "first-run.md")) >= 10
    assert len(commands(CHECKOUT / "README.md")) >= 2


def test_settings_that_the_guides_name_exist() -> None:
    """`section.key` in the guides is a key of the configuration."""
    config = load_config(CHECKOUT / "configs" / "bloomberggpt-50b.yaml")
    for page in PAGES:
        for section, key in re.findall(
            r"`(data|tokenizer|model|training|evaluation|monitoring|hardware)\.([a-z_]+)", page.read_text("utf-8")
        ):
            module = CHECKOUT / section / f"{key}.py"
            if key in ("json", "html", "safetensors"):  # files such as tokenizer.json and model.safetensors
                continue
            assert key in type(getattr(config, section)).model_fields or module.exists(), (
                f"{page.name}: {section}.{key}"
            )


def test_the_licence_is_the_whole_apache_licence() -> None:
    """The digest is that of https://www.apache.org/licenses/LICENSE-2.0.txt."""
    text = (CHECKOUT / "LICENSE").read_bytes()
    official = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
    assert hashlib.sha256(text).hexdigest() == official
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE"])
    assert "[Apache 2.0](LICENSE)" in (CHECKOUT / "README.md").read_text("utf-8")


def test_a_guide_that_names_date_format_has_its_letters() -> None:
    naming = [page for page in PAGES if page.parent.name == "docs" and "`date_format`" in page.read_text("utf-8")]
    assert naming
    for page in naming:
        text = page.read_text("utf-8")
        assert all(f"`{letters}`" in text for letters in ("%Y", "%m", "%d", "seconds", "milliseconds")), page.name
