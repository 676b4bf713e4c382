"""Corpus to token shards: MB of text per CPU-second and peak memory, ours beside what users would take instead.

    python benchmarks/token_shards.py [--text FILES] [--megabytes 20] [--kind unigram] [--contenders NAME …] [--json]

All read the same Parquet corpus with the same tokenizer.json, on one process, and must write the same number of tokens.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import PEERS_PYTHON, Row, Usage, compare, measure, parser, read_texts, show
from benchmarks.tokenizer_training import write_corpus
from data.config import TokenizerConfig
from data.tokenizer.build import build_tokenizer

OURS = ("domainlm", "tokenizers")
PEERS = ("datasets", "datatrove", "litdata", "mosaicml", "megatron")
PROGRAM = Path(__file__).parent / "token_shards_contenders.py"


def run(name: str, small: Path, corpus: Path, tokenizer: Path) -> tuple[Usage, dict[str, float]]:
    python = PEERS_PYTHON if name in PEERS else Path(sys.executable)
    with tempfile.TemporaryDirectory() as out:
        usage = measure([python, PROGRAM, name, small, corpus, tokenizer, out], {"TOKENIZERS_PARALLELISM": "false"})
    return usage, json.loads(usage.output.splitlines()[-1])


def main() -> None:
    options = parser("Corpus to token shards, beside peers.")
    options.add_argument("--megabytes", type=float, default=20.0)
    options.add_argument("--kind", choices=("bpe", "unigram"), default="bpe")
    options.add_argument("--pretokenization", choices=("words", "bloomberggpt"), default="words")
    options.add_argument("--contenders", nargs="+", choices=(*OURS, *PEERS), default=[*OURS, *PEERS])
    chosen = options.parse_args()
    rates: list[Row] = []
    peaks: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        small, corpus, tokenizer = (Path(folder) / name for name in ("small", "corpus", "tokenizer"))
        write_corpus(read_texts(chosen.text), small, 200_000)
        size = write_corpus(read_texts(chosen.text), corpus, int(chosen.megabytes * 1e6))
        settings = {"kind": chosen.kind, "pretokenization": chosen.pretokenization, "vocabulary_size": 16_000}
        build_tokenizer(TokenizerConfig.model_validate(settings | {"training_bytes": 5_000_000}), corpus, tokenizer)
        counts = {}
        for name in chosen.contenders:
            runs = [run(name, small, corpus, tokenizer) for _ in range(chosen.repeats)]
            counts[name] = runs[0][1]["tokens"]
            rates.append(Row(name, tuple(size / found["seconds"] / 1e6 for _, found in runs), "MB per CPU-second"))
            peaks.append(Row(name, tuple(usage.peak_bytes / 1e6 for usage, _ in runs), "MB at the most"))
    if len(set(counts.values())) > 1:
        print(f"the contenders wrote different numbers of tokens: {counts}", file=sys.stderr)
    show(f"corpus → shards, {chosen.kind}, {size / 1e6:.0f} MB of training text", compare(rates), chosen.json)
    if not chosen.json:
        show("peak memory, all processes", compare(peaks), as_json=False)


if __name__ == "__main__":
    main()
