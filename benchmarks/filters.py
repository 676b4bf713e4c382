"""Gopher's, C4's and FineWeb's rules, cleaning and scrubbing beside datatrove, dolma and ftfy: rates and agreement."""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import harness

ALL = "gopher_quality+gopher_repetition+c4+fineweb"
# task → contenders: name, function of filter_contenders.py, its option; ours first
TASKS = {
    "Gopher quality": [
        ("domainlm", "ours", "gopher_quality"),
        ("datatrove", "datatrove", "gopher_quality"),
        ("dolma, quality and repetition", "dolma", "gopher"),
    ],
    "Gopher repetition": [
        ("domainlm", "ours", "gopher_repetition"),
        ("datatrove", "datatrove", "gopher_repetition"),
        ("datatrove on our words", "datatrove_on_our_words", "gopher_repetition"),
    ],
    "C4": [("domainlm", "ours", "c4"), ("datatrove", "datatrove", "c4"), ("dolma", "dolma", "c4")],
    "FineWeb": [("domainlm", "ours", "fineweb"), ("datatrove", "datatrove", "fineweb")],
    "all rules": [("domainlm", "ours", ALL), ("datatrove", "datatrove", ALL)],
    "default cleaning": [("domainlm", "our_cleaner", "default"), ("ftfy.fix_text alone", "ftfy", "")],
    "all cleaning": [("domainlm", "our_cleaner", "everything")],
    "e-mail and IP addresses": [
        ("domainlm", "our_scrubber", "email+ip"),
        ("datatrove", "datatrove_personal", "email+ip"),
    ],
}
OURS = {"ours", "our_cleaner", "our_scrubber"}


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--megabytes", type=float, default=4.0, help="text that every contender reads")
    options = parser.parse_args()
    texts = sample(list(harness.read_texts(options.text)), options.megabytes * 1e6)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "texts.jsonl"
        file.write_text("\n".join(json.dumps(text) for text in texts), "utf-8")
        for task, contenders in TASKS.items():
            group, first = [], None
            for name, function, option in contenders:
                runs = [run(function, option, file) for _ in range(options.repeats)]
                first = first or runs[0]["kept"]
                same = sum(map(bool.__eq__, first, runs[0]["kept"])) / len(texts)
                agrees = f", {same:.1%} as ours" if function.startswith("datatrove") else ""
                rates = tuple(megabytes / entry["seconds"] for entry in runs)
                group.append(harness.Row(f"{task}: {name}{agrees}", rates, "MB per CPU-second"))
            rows += harness.compare(group)
    harness.show(f"{len(texts):,} texts of {megabytes:.1f} MB", rows, options.json)


def sample(texts: list[str], size: float) -> list[str]:
    """Texts spread evenly over all of them, of about `size` bytes together."""
    total = sum(map(len, texts))
    step = max(1, round(total / size))
    return [text for text in texts[::step] if text.strip()]


def run(function: str, option: str, file: Path) -> dict:
    """What one contender prints, in our environment or the peers'."""
    python = sys.executable if function in OURS else harness.PEERS_PYTHON
    script = harness.ROOT / "benchmarks/filter_contenders.py"
    return json.loads(harness.measure([python, script, function, option, file]).output.splitlines()[-1])


if __name__ == "__main__":
    main()
