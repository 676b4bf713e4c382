"""Files as they are delivered, from `prepare` to the data card: web pages, crawls, PDF, Word documents and mail."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from data.readers.main_text import AROUND_MAIN
from tests.data.readers.made import docx, pdf, response, warc
from tests.data.readers.pages import pages
from tests.data.readers.samples import CRAWL, DOCUMENT, LETTERS, PAPER

SOURCES: dict[str, dict[str, Any]] = {
    "html": {"path": "html"},
    "pdf": {"path": "pdf/*.pdf", "pdf": {"date": "created"}},
    "docx": {"path": "docx", "docx": {"date": "modified"}},
    "warc": {"path": "warc/*.warc.gz"},
    "wet": {"path": "wet/*.warc.wet.gz"},
    "mail": {"path": "mail"},
}
LEFT_OUT = {
    "html": {AROUND_MAIN: 7_151},
    "pdf": {"blank page": 1, "page without text: it needs OCR": 1},
    "docx": {},
    "warc": {
        AROUND_MAIN: 510,
        "content of type image/…": 1,
        "record of type request": 1,
        "record of type revisit": 1,
        "record of type warcinfo": 1,
        "status 404": 1,
    },
    "wet": {"record of type warcinfo": 1},
    "mail": {"attachment of type image/…": 2},
}
COUNTS = {"html": 33, "pdf": 3, "docx": 3, "warc": 38, "wet": 12, "mail": 3}
QUARANTINED = {
    "pdf": {"needs OCR": 1, "unreadable document": 1},
    "docx": {"encrypted, or of Word before 2007": 1},
    "warc": {"truncated record": 1},
}


def _write(folder: Path) -> None:
    """The files of each source, in folders as they come."""
    made = pages()
    files: dict[str, bytes] = {f"html/site/{page.name}.html": page.html.encode() for page in made}
    files["pdf/paper.pdf"] = PAPER
    files["pdf/scan.pdf"] = pdf([[]], images=[0])
    files["pdf/cut.pdf"] = PAPER[:300]
    files["docx/loan.docx"] = DOCUMENT
    files["docx/old.docx"] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    body = "".join(f"<w:p><w:r><w:t>Clause {n} of the lease, on rent.</w:t></w:r></w:p>" for n in range(40))
    files["docx/lease.docx"] = docx(body)
    later = [
        (
            {"WARC-Date": f"20{13 + n % 10}-02-03T04:05:06Z", "WARC-Record-ID": f"<urn:uuid:{n}>"},
            response(f"<p>{' '.join(reversed(page.text.split()))}".encode()),
        )
        for n, page in enumerate(made)
    ]
    # each record packed on its own, as crawls are
    files["warc/crawl.warc.gz"] = b"".join(gzip.compress(warc(record), mtime=0) for record in later)
    files["warc/more.warc.gz"] = gzip.compress(CRAWL, mtime=0)
    texts = [
        (
            {
                "WARC-Type": "conversion",
                "Content-Type": "text/plain",
                "WARC-Date": f"20{n:02d}-02-03T04:05:06Z",
                "WARC-Record-ID": f"<urn:uuid:{n}>",
            },
            f"Ruling {n} of the land registry, entered on folio {n}.\n".encode() * 3,
        )
        for n in range(12)
    ]
    info: tuple[dict[str, str], bytes] = (
        {"WARC-Type": "warcinfo", "Content-Type": "application/warc-fields"},
        b"software: one\r\n",
    )
    files["wet/crawl.warc.wet.gz"] = b"".join(gzip.compress(warc(record), mtime=0) for record in (info, *texts))
    files["mail/letters.mbox"] = LETTERS
    files["mail/one.eml"] = (
        LETTERS.partition(b"\n\nFrom joe")[0].partition(b"\n")[2].replace(b"first@", b"again@") + b"\n"
    )
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def report(
    tmp_path: Path,
    write_small_config: Callable[..., Path],
    command_line: Callable[..., tuple[int, str, str]],
) -> dict[str, Any]:
    """What `prepare` and `tokenize` write of these sources: the corpus's report and the data card."""
    _write(tmp_path)
    sources = [
        {"name": name, "undated": "train"} | settings | {"path": str(tmp_path / str(settings["path"]))}
        for name, settings in SOURCES.items()
    ]
    data = {"sources": sources, "past_fraction": 0.2, "maximum_bad_fraction": 0.9}
    file = write_small_config(tmp_path / "run.yaml", tmp_path / "run", data=data)
    for command in ("prepare", "tokenize"):
        code, _, said = command_line(command, file)
        assert code == 0, said
    corpus = json.loads((tmp_path / "run" / "corpus" / "report.json").read_text("utf-8"))
    return {"corpus": corpus, "card": json.loads((tmp_path / "run" / "reports" / "data_card.json").read_text("utf-8"))}


def test_sums_agree_and_nothing_is_silent(report: dict[str, Any]) -> None:
    sources, card = report["corpus"]["sources"], report["card"]
    for name, source in sources.items():
        kept = sum(split["documents"] for split in source["kept"].values())
        assert source["read"] == kept + sum(source["dropped"].values()) + sum(source["quarantined"].values()), name
        assert source["left_out"] == LEFT_OUT[name]
        assert source["quarantined"] == QUARANTINED.get(name, {})
        assert sum(source["precisions"].values()) == sum(source["date_kinds"].values()) + source["undated"] == kept
        assert card["sources"][name]["date_kinds"] == source["date_kinds"]
    assert {name: source["read"] for name, source in sources.items()} == COUNTS
    assert card["totals"]["read"] == sum(COUNTS.values())
    assert card["totals"]["documents"] == sum(sum(source["precisions"].values()) for source in sources.values())
    kinds = {name: set(source["date_kinds"]) for name, source in sources.items()}
    assert kinds == {
        "html": {"published"},
        "pdf": {"published"},
        "docx": {"revised"},
        "warc": {"crawled"},
        "wet": {"crawled"},
        "mail": {"sent"},
    }
    # Pages that were there before the cutoff are older; of the others nobody knows on which side of it they began.
    assert set(sources["warc"]["kept"]) <= {"train", "past"}
    assert sources["warc"]["dropped"]["straddles the cutoff"] == 18
