"""Publishers' files read to records, beside the bare parser of the same bytes: rates, and the memory of long files."""

import functools
import gc
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import harness
from data.format_config import EdgarConfig
from data.readers.edgar import read_edgar
from data.readers.pubmed import read_pubmed
from data.readers.rows import Rows
from data.sources.packed import unpacked

SAMPLES = Path(__file__).resolve().parent.parent / "tests" / "data" / "readers" / "files"
# format → our reader; what the bare parser is; the files that are read where none are given
READERS: dict[str, Callable[["io.BufferedReader", str], Rows]] = {
    "edgar": functools.partial(read_edgar, settings=EdgarConfig()),
    "pubmed": read_pubmed,
}


def main() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--edgar", type=Path, nargs="+", default=[SAMPLES / "held.txt"], help="submissions")
    options.add_argument(
        "--pubmed", type=Path, nargs="+", default=[SAMPLES / "citations.xml"], help="files of citations"
    )
    options.add_argument(
        "--megabytes", type=float, default=20.0, help="of each format; the files are read over and over"
    )
    given = options.parse_args()
    rows = []
    for name, bare in (("edgar", parse_html), ("pubmed", parse_xml)):
        contents = [(unpacked(file.open("rb"), file.name).read(), file.name) for file in getattr(given, name)]
        times = max(1, round(given.megabytes * 1e6 / sum(len(content) for content, _ in contents)))
        size = times * sum(len(content) for content, _ in contents) / 1e6
        ours = functools.partial(read, READERS[name], contents)
        pairs = [
            (rate(ours, times, size), rate(functools.partial(bare, contents), times, size))
            for _ in range(given.repeats)
        ]
        of_ours, of_bare = (tuple(values) for values in zip(*pairs, strict=True))
        group = [(f"{name}: records", of_ours), (f"{name}: lxml alone, the same bytes", of_bare)]
        rows += harness.compare([harness.Row(what, values, "MB per CPU-second") for what, values in group])
    harness.show("publishers' files to records", rows, given.json)


def rate(work: Callable[[], None], times: int, size: float) -> float:
    gc.collect()
    begun = time.process_time()
    for _ in range(times):
        work()
    return size / (time.process_time() - begun)


def read(reader: Callable[["io.BufferedReader", str], Rows], contents: list[tuple[bytes, str]]) -> None:
    for content, name in contents:
        for _ in reader(io.BufferedReader(io.BytesIO(content)), name):
            pass


def parse_html(contents: list[tuple[bytes, str]]) -> None:
    """Every byte through the parser, those of graphics and archives too."""
    from lxml import etree

    for content, _ in contents:
        etree.fromstring(content, etree.HTMLParser(encoding="utf-8", huge_tree=True))


def parse_xml(contents: list[tuple[bytes, str]]) -> None:
    from lxml import etree

    for content, _ in contents:
        for _, element in etree.iterparse(
            io.BytesIO(content), events=("end",), tag=("PubmedArticle", "DeleteCitation")
        ):
            element.clear()


if __name__ == "__main__":
    main()
