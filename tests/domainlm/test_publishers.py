"""From files as publishers deliver them to the data card, by the command line: every sum agrees, every date is kept."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.shards.format import read_manifest
from train.config_file import load_config

FILES = Path(__file__).parent.parent / "data" / "readers" / "files"
COUNT = 30
WORDS = re.findall(r"\w+", "harbour mill dock crane rope tide ferry pilot quay buoy lamp barge salt grain timber coal")


def words(seed: str) -> str:
    draw = random.Random(seed)
    return " ".join("the " + " of the ".join(draw.choices(WORDS, k=5)) + "." for _ in range(20))


def write_publishers(folder: Path) -> None:
    """COUNT submissions, articles and opinions, and as many files of citations."""
    for name in ("edgar", "jats", "pubmed"):
        (folder / name).mkdir()
    opinions = []
    for number in range(COUNT):
        year = b"%d" % (1990 + number)
        held = (FILES / "held.txt").read_bytes()
        for old, new in ((b"19990101", year + b"0101"), (b"-98-000007", b"-98-%06d" % number)):
            held = held.replace(old, new)
        held = held.replace(b"Distribution on", words(f"a{number}").encode() + b" On")
        (folder / "edgar" / f"{number}.txt").write_bytes(held.replace(b"Statement to", words(f"b{number}").encode()))
        article = (
            (FILES / "articles.xml")
            .read_bytes()
            .replace(b"800001", b"%d" % number)
            .replace(b">2013<", b">" + year + b"<")
        )
        (folder / "jats" / f"{number}.xml").write_bytes(article.replace(b"It fell.", words(f"c{number}").encode()))
        cited = (
            (FILES / "citations.xml")
            .read_bytes()
            .replace(b"2018 Jul-Aug", year + b" Dec-" + b"%d Jan" % (1991 + number))
        )
        for old, new in ((b"900001", b"1%03d" % number), (b"900002", b"2%03d" % number)):
            cited = cited.replace(old, new)
        cited = cited.replace(b"It fell.", words(f"d{number}").encode())
        (folder / "pubmed" / f"{number}.xml").write_bytes(
            cited.replace(b"A second version.", words(f"e{number}").encode())
        )
        page = f"<p>{words(f'f{number}')}</p><table><tr><td>Fee<td>$<td>{number}</table>"
        opinions.append(
            {
                "id": f"o{number}",
                "decided": f"{1990 + number}-03",
                "opinions": [{"html": page}, {"html": "<p>So held."}],
            }
        )
    (folder / "opinions.jsonl").write_text("".join(json.dumps(opinion) + "\n" for opinion in opinions))


@pytest.fixture
def config_file(write_small_config: Callable[..., Path], tmp_path: Path) -> Path:
    write_publishers(tmp_path)
    sources: list[dict[str, Any]] = [
        {"name": "edgar", "path": f"{tmp_path}/edgar", "format": "edgar", "domain": True, "edgar": {"date": "filed"}},
        {"name": "jats", "path": f"{tmp_path}/jats", "format": "jats"},
        {"name": "pubmed", "path": f"{tmp_path}/pubmed", "format": "pubmed"},
        {
            "name": "opinions",
            "path": f"{tmp_path}/opinions.jsonl",
            "text_field": "opinions[*].html",
            "text_is": "html",
            "date_field": "decided",
        },
    ]
    data = {
        "sources": sources,
        "cutoff": "2010-01-01",
        "near_duplicates": None,
        "workers": 1,
        "cleaning": {"filters": ["filings"]},
    }
    return write_small_config(tmp_path / "run.yaml", tmp_path / "run", data=data)


def test_from_publishers_files_to_the_data_card(
    config_file: Path, command_line: Callable[..., tuple[int, str, str]]
) -> None:
    for stage in ("prepare", "tokenize"):
        code, out, error = command_line(stage, str(config_file))
        assert code == 0, out + error
    config = load_config(config_file)
    report = json.loads((config.corpus / "report.json").read_text())
    for name, read in (("edgar", 2 * COUNT), ("jats", COUNT), ("pubmed", 2 * COUNT), ("opinions", COUNT)):
        source = report["sources"][name]
        assert source["read"] == read
        kept = sum(split["documents"] for split in source["kept"].values())
        assert kept + sum(source["dropped"].values()) + sum(source["quarantined"].values()) == read
    assert report["sources"]["edgar"]["left_out"] == {"type GRAPHIC": COUNT}
    assert report["sources"]["pubmed"]["left_out"] == {"DeleteCitation": 2 * COUNT}
    # "2009 Dec-2010 Jan" is neither before nor after the cutoff.
    assert report["sources"]["pubmed"]["dropped"] == {"straddles the cutoff": 1}
    card = json.loads((config.reports / "data_card.json").read_text())
    assert card
    assert read_manifest(config.shards).splits["train"].keys() == {"edgar", "jats", "pubmed", "opinions"}
