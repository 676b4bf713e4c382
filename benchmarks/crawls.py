"""A crawl's records to Parquet beside datatrove's readers: MB of WARC and WET for each CPU-second, and the text's F1.

Pages are those of tests/data/readers/pages.txt, of which the main text is known, over and over with their words in
disorder, so that no two are alike. Before time is taken, each contender's start is: it is left out.
"""

import gzip
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import harness
from tests.data.readers.made import response, warc
from tests.data.readers.pages import pages

# task → contenders: name, name in crawl_contenders.py; ours first
TASKS = {
    "WARC of pages to main text": [
        ("domainlm", "ours"),
        ("datatrove, trafilatura", "datatrove"),
    ],
    "WET to texts": [("domainlm", "ours"), ("datatrove", "datatrove_reader")],
}


def main() -> None:
    options = harness.parser(__doc__)
    options.add_argument("--pages", type=int, default=2_000, help="of the crawl of pages; texts are ten times as many")
    given = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for task, contenders in TASKS.items():
            is_wet = task.startswith("WET")
            count = given.pages * (10 if is_wet else 1)
            file, size = write(Path(folder), count, is_wet)
            start, _ = write(Path(folder), 1, is_wet)
            results = {name: [run(key, file, start, size) for _ in range(given.repeats)] for name, key in contenders}
            for result in (result for runs in results.values() for result in runs):
                assert result["records"] == count, "every record is read"
            for what, unit in (("rate", "MB per CPU-second"), ("f1", "token F1")):
                rows += harness.compare(
                    [
                        harness.Row(f"{task}: {name}", tuple(result[what] for result in runs), unit)
                        for name, runs in results.items()
                    ]
                )
    harness.show("crawls to Parquet", rows, given.json)


def write(folder: Path, count: int, is_wet: bool) -> tuple[Path, float]:
    """A packed file of so many records, and its megabytes before they were packed; beside it what texts are meant."""
    file = folder / f"{count}.{'wet' if is_wet else 'warc'}.gz"
    meant: dict[str, str] = {}
    size = seed = 0
    made = pages()
    with file.open("wb") as stream:
        for number in range(count):
            if number % len(made) == 0:
                made = pages(seed)
                seed += 1
            page, url = made[number % len(made)], f"https://example.org/{number}"
            headers = {"WARC-Target-URI": url, "WARC-Record-ID": f"<urn:uuid:{number}>"}
            if is_wet:
                headers |= {"WARC-Type": "conversion", "Content-Type": "text/plain"}
            else:
                headers |= {"WARC-Identified-Payload-Type": "text/html"}
            content = page.text.encode() if is_wet else response(page.html.encode())
            record = warc((headers, content))
            size += len(record)
            stream.write(gzip.compress(record))
            if number < 2 * len(made):
                meant[url] = page.text
    file.with_suffix(".json").write_text(json.dumps(meant), "utf-8")
    return file, size / 1e6


def run(contender: str, file: Path, start: Path, size: float) -> dict[str, float]:
    python = sys.executable if contender == "ours" else harness.PEERS_PYTHON
    script = harness.ROOT / "benchmarks" / "crawl_contenders.py"
    whole, alone = (
        harness.measure([python, script, contender, one, one.with_suffix(".json")]) for one in (file, start)
    )
    result = json.loads(whole.output.splitlines()[-1])
    return {"rate": size / (whole.cpu_seconds - alone.cpu_seconds), "f1": result["f1"], "records": result["records"]}


if __name__ == "__main__":
    main()
