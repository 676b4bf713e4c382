"""Passages of a text in training documents: to index and to ask ours, beside a suffix array and grep.

    python benchmarks/passages.py [--text FILES] [--megabytes 1000] [--peer-megabytes 50] [--json]

The text is repeated up to --megabytes: every second time in another order of its documents, the other times with its
pieces changed one for another, so that it has as many different strings as other text. The questions are passages of
25 words out of five documents with four other words between them. The suffix array is of the first --peer-megabytes,
as it takes nine bytes of memory for each; `grep -cF` is told a passage that is there, which ours finds out.
"""

import json
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import PEERS_PYTHON, ROOT, figures, measure, parser, read_texts, show

PIECES = 16_000
QUESTIONS = 20
TRAINING_BYTES = 20_000_000
NAMES = {"ours": "domainlm", "suffix_array": "pydivsufsort, a suffix array", "grep": "grep -cF of one passage"}
KINDS = {
    "rate": ("build", "MB per CPU-second"),
    "disk": ("index", "bytes per byte of text"),
    "peak": ("peak memory", "MB"),
    "question": ("a question, warm", "ms"),
    "found": ("questions of which all five passages are found", "share"),
}


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--megabytes", type=float, default=1000.0)
    options.add_argument("--peer-megabytes", type=float, default=50.0)
    arguments = options.parse_args()
    texts = list(read_texts(arguments.text))
    random.Random(0).shuffle(texts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder / "small", texts[:100], 1e5)
        run("ours", folder / "small", 0.0)  # compiles what the other runs load
        size = make(folder, texts, arguments.megabytes * 1e6)
        rows = {"ours": [run("ours", folder, 0.0) for _ in range(arguments.repeats)]}
        rows |= {
            peer: [run(peer, folder, arguments.peer_megabytes) for _ in range(arguments.repeats)]
            for peer in ("suffix_array", "grep")
        }
    show(f"passages in {size / 1e6:,.0f} MB of training text", figures(rows, NAMES, KINDS), arguments.json)


def questions(texts: Sequence[str]) -> list[str]:
    chance = random.Random(1)
    words = [text.split(" ") for text in texts if text.count(" ") > 100]
    asked = []
    for _ in range(QUESTIONS):
        parts = []
        for document in chance.sample(words, 5):
            first = chance.randrange(len(document) - 25)
            parts += [*document[first : first + 25], *(chance.choice(chance.choice(words)) for _ in range(4))]
        asked.append(" ".join(parts))
    return asked


def make(folder: Path, texts: Sequence[str], wanted: float) -> int:
    """The text, its questions, a tokenizer learnt from it, and shards of about so many bytes; how many they are."""
    folder.mkdir(exist_ok=True)
    (folder / "questions.json").write_text(json.dumps(questions(texts)), "utf-8")
    (folder / "text").write_bytes("\n\n".join(texts).encode())
    return make_shards(folder, texts, wanted)


def make_shards(folder: Path, texts: Sequence[str], wanted: float) -> int:
    import pyarrow as pa
    from tokenizers import AddedToken, Tokenizer, decoders, models, trainers

    from data.files import file_digest, finish_stage
    from data.shards.format import EncodedDocument, Manifest, write_manifest, write_source
    from data.source_config import END_OF_TEXT
    from data.tokenizer.encoder import load_encoder
    from data.tokenizer.model import BYTE_LETTERS
    from data.tokenizer.piece_bytes import piece_bytes
    from data.tokenizer.pretokens import pre_tokenizer

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer("words", "single"), decoders.ByteLevel()
    end = AddedToken(END_OF_TEXT, special=True, normalized=False)
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, special_tokens=[end], initial_alphabet=list(BYTE_LETTERS), show_progress=False
    )
    learnt = np.searchsorted(np.cumsum([len(text) for text in texts]), TRAINING_BYTES)
    tokenizer.train_from_iterator(texts[:learnt], trainer)
    made = folder / "tokenizer"
    made.mkdir()
    tokenizer.save(str(made / "tokenizer.json"))
    finish_stage(made, {}, [made / "tokenizer.json"])
    ids, lengths = load_encoder(made).encode(pa.array(texts, pa.large_string()))
    sizes = np.array([len(piece) for piece in piece_bytes(tokenizer)])
    documents = np.split(ids, np.cumsum(lengths)[:-1])
    written = 0

    def repeated():
        nonlocal written
        chance, turn = np.random.default_rng(0), 0
        while True:
            change = np.arange(len(sizes))
            if turn % 2:
                change[257:] = 257 + chance.permutation(len(sizes) - 257)
            for number in chance.permutation(len(documents)) if turn else range(len(documents)):
                tokens = change[documents[number]]
                size = int(sizes[tokens].sum())
                if written + size > wanted:
                    return
                written += size
                yield EncodedDocument(f"{turn}-{number}", None, tokens.astype(np.uint16), size)
            turn += 1

    shards = {"train": {"text": write_source(folder / "shards", "train", "text", repeated(), "uint16", 55_000_000)}}
    digest = file_digest(made / "tokenizer.json")
    write_manifest(folder / "shards", Manifest("uint16", len(sizes), digest, "none", 0, 0, shards))
    return written


def run(name: str, folder: Path, megabytes: float) -> dict:
    """What one contender prints, and its peak memory in MB."""
    python = sys.executable if name == "ours" else PEERS_PYTHON
    usage = measure([python, ROOT / "benchmarks/passages_contenders.py", name, folder, str(megabytes)])
    return json.loads(usage.output.splitlines()[-1]) | {"peak": usage.peak_bytes / 1e6}


if __name__ == "__main__":
    main()
