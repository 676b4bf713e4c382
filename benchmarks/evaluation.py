"""Bits per byte and multiple choice of ours beside lm-eval's backend for transformers: speed, memory, agreement.

    BENCHMARK_PYTHON=PYTHON_WITH_LM_EVAL python benchmarks/evaluation.py [--layers L --width W] [--json]

Both read the same Hugging Face folder, a Llama of random weights with a tokenizer that is trained on the text, and the
same items, in a process of their own on one thread. Rates are per CPU-second of scoring; memory is the whole process's.
"""

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks import harness

CONTENDERS = [("domainlm", "ours", ""), ("lm-eval, batch 1", "theirs", "1"), ("lm-eval, batch 16", "theirs", "16")]
SHOTS, CHOICES = 5, 4
CLOSE = 1e-3
"""Nats, or bits per byte, by which answers may differ by rounding."""


def main() -> None:
    parser = harness.parser(__doc__)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--items", type=int, default=40, help="of multiple choice")
    parser.add_argument("--kilobytes", type=float, default=200.0, help="of text for bits per byte")
    options = parser.parse_args()
    texts = [text for text in harness.read_texts(options.text) if len(text) > 400]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model", texts, options.width, options.layers)
        for task, asked, amount, unit in tasks(texts, options.items, options.kilobytes * 1e3):
            file = folder / "asked.json"
            file.write_text(json.dumps(asked))
            speed, memory, first = [], [], None
            for title, function, option in CONTENDERS:
                runs = [run(function, option, folder / "model", file) for _ in range(options.repeats)]
                first = first or runs[0]["answers"]
                apart = max(abs(a - b) for a, b in zip(first, runs[0]["answers"], strict=True))
                if apart > CLOSE:
                    sys.exit(
                        f"{task}: the answers of {title} are up to {apart:.2g} from ours: not the same is measured"
                    )
                rates = tuple(amount / entry["seconds"] for entry in runs)
                speed.append(harness.Row(f"{task}: {title}, {apart:.1e} from ours", rates, f"{unit} per CPU-second"))
                memory.append(harness.Row(f"{task}: {title}", tuple(entry["peak"] / 1e6 for entry in runs), "MB"))
            rows += harness.compare(speed) + harness.compare(memory)
    harness.show(f"{options.layers} layers of {options.width}", rows, options.json)


def tasks(texts: list[str], items: int, size: float) -> list[tuple[str, dict[str, Any], float, str]]:
    """Name, what is asked, how much it is, and of what."""
    chance = random.Random(0)
    long = ["\n".join(texts[place : place + 12]) for place in range(0, len(texts), 12)]
    chosen = []
    while size > 0 and long:
        chosen.append(long.pop())
        size -= len(chosen[-1].encode())

    def choices(words: int) -> dict[str, Any]:
        asked = []
        for _ in range(items):
            shots = [chance.choice(texts)[:300] for _ in range(SHOTS)]
            pool = chance.choice(texts).split()
            answers = [" " + " ".join(chance.choice(pool) for _ in range(words)) for _ in range(CHOICES)]
            asked += [["\n\n".join(shots), answer] for answer in answers]
        return {"kind": "loglikelihood", "requests": asked}

    rolling = {"kind": "loglikelihood_rolling", "requests": [[text] for text in chosen]}
    return [
        ("bits per byte", rolling, sum(len(text.encode()) for text in chosen) / 1e3, "kB"),
        ("choices of 10 words", choices(10), items, "items"),
        ("choices of one word", choices(1), items, "items"),
    ]


def write_model(folder: Path, texts: list[str], width: int, layers: int) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    end = "<|endoftext|>"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=16_000, special_tokens=[end], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts[:3000], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, bos_token=end).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=1024,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)


def run(function: str, option: str, model: Path, asked: Path) -> dict[str, Any]:
    """What one contender prints, in our environment or the peers', with the most memory that its process took."""
    python = sys.executable if function == "ours" else harness.PEERS_PYTHON
    script = harness.ROOT / "benchmarks/evaluation_contenders.py"
    offline = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    used = harness.measure([python, script, function, model, asked, option], offline)
    return json.loads(used.output.splitlines()[-1]) | {"peak": used.peak_bytes}


if __name__ == "__main__":
    main()
