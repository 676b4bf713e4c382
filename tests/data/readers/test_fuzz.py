"""Mutated files of each format: cut, changed, unclosed, nested, wrongly declared. Nothing crashes, hangs or is lost."""

import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from data.source_config import SourceConfig
from data.sources.documents import BadRecord, input_parts, read_part

FILES = Path(__file__).parent / "files"
SEED, COUNT = 15, 40  # of each format; more by another count
SECONDS = 5  # of CPU time for any one file
KINDS = {
    "broken XML",
    "damaged file",
    "no PMID",
    "no article-meta",
    "no text",
    "text outside of documents",
    "unknown entity",
    "unreadable date",
    "implausible date",
    "unreadable HTML",
    "unreadable article",
    "broken JSON",
    "invalid UTF-8",
    "repeated field",
    "not an object",
}
OPINION = (
    b'{"opinions": [{"html": "<p>The <b>court</b> finds.</p><table><tr><td>a<td>$<td>1</table>"}], "date": "1995-03"}\n'
)
ORIGINALS = {
    "edgar": (FILES / "held.txt").read_bytes(),
    "jats": (FILES / "articles.xml").read_bytes(),
    "pubmed": (FILES / "citations.xml").read_bytes(),
    "jsonl": OPINION * 5,
}
INSERTED = [
    b"<", b">", b"&", b"\0", b"\xff", b"\xed\xa0\x80", b"]]>", b"<!--", b"<![CDATA[", b"<?x", b"&#x110000;", b"&#0;",
    b"</p>", b"</TEXT>", b"<DOCUMENT>", b"</DOCUMENT>", b"<TEXT>", b"<SEC-DOCUMENT>", b"\xef\xb7\x90",
    b'\\ud800', b'"', b"\\",
    b"<b>" * 400, b"<font>" * 3_000, b"<td><table><tr>" * 500, b"<i a='" + b"x" * 50_000, b"(" * 10_000, b" " * 20_000,
]  # fmt: skip
ENCODINGS = [b"utf-16", b"ascii", b"iso-2022-jp", b"ebcdic-cp-us", b"nonsense", b"shift_jis"]
LAUGHS = (
    b"<!DOCTYPE article [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
    + b"".join(b"<!ENTITY %c '%s'>" % (99 + n, b"&%c;" % (98 + n) * 10) for n in range(8))
    + b"<!ENTITY file SYSTEM 'file:///etc/hostname'><!ENTITY net SYSTEM 'http://127.0.0.1:9/x'>]>"
)


def mutated(content: bytes, random: Random) -> bytes:
    for _ in range(random.choice([1, 1, 2, 5])):
        place, length = random.randrange(len(content) + 1), random.choice([0, 1, 5, 200])
        match random.randrange(7):
            case 0:
                content = content[:place]
            case 1:
                content = content[:place] + random.randbytes(length) + content[place + length :]
            case 2:
                content = content[:place] + random.choice(INSERTED) + content[place:]
            case 3:  # an end tag goes, or any other line
                lines = content.split(b"\n")
                del lines[random.randrange(len(lines))]
                content = b"\n".join(lines)
            case 4:
                tags = content.split(b"</")
                content = b"</".join(tags[:-1]) + b"<" + tags[-1]
            case 5:
                content = content.replace(b"utf-8", random.choice(ENCODINGS), 1).replace(b"UTF-8", b"UTF-16", 1)
            case _:
                begin = content.find(b"<article ")
                content = LAUGHS + content[max(begin, 0) :].replace(
                    b"<p>", random.choice([b"<p>&j;", b"<p>&file;&net;"]), 1
                )
    return content


def read_mutated(kind: Any, count: int, folder: Path) -> Counter[str]:
    """What became of so many mutated files of a format; fails where one of them is not read to a named end."""
    became: Counter[str] = Counter()
    random = Random(f"{SEED} {kind}")
    names = {"jsonl": {"text_field": "opinions[*].html", "text_is": "html"}}
    source = SourceConfig(name="a", path=str(folder / "file"), format=kind, **names.get(kind, {}))
    for number in range(count):
        (folder / "file").write_bytes(mutated(ORIGINALS[kind], random))
        bad: list[BadRecord] = []
        left_out: Counter[str] = Counter()
        (part,) = input_parts(source)
        begun = time.process_time()
        documents = list(read_part(source, part, bad.append, None, left_out))
        assert time.process_time() - begun < SECONDS, number
        places = [document.line for document in documents] + [record.line for record in bad]
        assert len(set(places)) == len(places), number
        assert len(places) + left_out.total() > 0 or kind == "jsonl", number
        for document in documents:
            assert "hostname" not in document.text
            document.text.encode()
        reasons = {record.reason.partition(":")[0] for record in bad}
        assert all(reason in KINDS or reason.startswith(("'", "no field")) for reason in reasons), reasons
        became += Counter(kept=len(documents), quarantined=len(bad), left_out=left_out.total())
    return became


@pytest.mark.parametrize("kind", ORIGINALS)
def test_mutated_files_end_as_records_or_with_a_named_reason(kind: str, tmp_path: Path) -> None:
    became = read_mutated(kind, COUNT, tmp_path)
    assert became["kept"] >= 5
    assert became["quarantined"] > 10
