"""Fine-tuning on conversations, all weights and LoRA, beside trl's SFTTrainer (with peft): tokens that count, memory.

    python benchmarks/finetune.py [--text FILES] [--layers N --width N ...] [--json]

Conversations are made of the texts: who asks gives sentences of a document, who answers goes on with it, for one to
three turns. A small Llama of random weights learns them in fp32 by one thread, ours by `domainlm finetune`'s run on the
real engine. Every contender is a process of its own, all with equal weights, adapters, steps, optimizer and rates, and
each step has the same examples for all: the loss and the gradient's norm of every step must agree, else nothing is
shown. trl is given rows ready packed (padding-free, as `packing` with its `bfd` makes them), and in a second form the
examples of a step by length, each micro-batch padded to its longest: what it does where padding-free is not asked for.
Rates are counted tokens per CPU-second of the steps behind the first; the peak is the process's resident set in them.
"""

import json
import random
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import PEERS_PYTHON, ROOT, figures, measure, parser, read_texts, show
from data.progress import say

EXAMPLES = 1_500
STEPS = 1 + 3  # the first warms up
NAMES = {
    "ours": "domainlm",
    "packed": "trl 1.16.0, packed",
    "padded": "trl 1.16.0, padded",
    "ours_lora": "domainlm, LoRA",
    "packed_lora": "trl 1.16.0 and peft 0.21.2, packed",
    "padded_lora": "trl 1.16.0 and peft 0.21.2, padded",
}
KINDS = {"rate": ("supervised tokens", "per CPU-second"), "peak": ("peak memory", "MB")}
LORA = {"rank": 16, "alpha": 32.0}
CLOSE = {"counted": 0.0, "losses": 1e-5, "norms": 5e-3}  # of their size; norms drift apart with the rounding of steps


def main() -> None:
    options = parser(__doc__ or "")
    sizes = {"layers": 8, "width": 256, "heads": 4, "vocabulary": 8192, "time": 1024, "batch": 4, "micro": 1}
    for name, default in sizes.items():
        options.add_argument(f"--{name}", type=int, default=default)
    options.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="contenders")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder, list(read_texts(given.text)), given)
        runs: dict[str, list[dict[str, Any]]] = {one: [] for one in NAMES if one in given.only}
        for _ in range(given.repeats):
            for one, of_name in runs.items():
                of_name.append(run(one, folder))
                say(f"{NAMES[one]}: {of_name[-1]['rate']:.0f} per CPU-second, {of_name[-1]['peak']:.0f} MB")
                check({name: done[-1] for name, done in runs.items() if done})
    first = next(iter(runs.values()))[0]
    rows = []
    for lora in (False, True):
        kind = {one: of_name for one, of_name in runs.items() if one.endswith("_lora") == lora}
        rows += figures(kind, NAMES, KINDS) if kind else []
    shape = f"{first['parameters']:,} parameters, {given.batch} rows of {given.time} tokens a step"
    counted = sum(first["counted"]) / (len(first["counted"]) * given.batch * given.time)
    show(f"{shape}, of which {counted:.0%} count; {given.micro} at a time", rows, given.json)


def make(folder: Path, texts: list[str], given: Any) -> None:
    """The base, the fine-tuning's folder for all weights and for LoRA, and the examples of each step for the peers."""
    import yaml

    from domainlm.finetune import make_finetuning
    from model.config import ModelConfig
    from model.huggingface_folder import export_folder
    from model.initialise import initialise
    from model.transformer import Transformer
    from train.config_file import load_config

    random.Random(0).shuffle(texts)
    with (folder / "talks.jsonl").open("w", encoding="utf-8") as file:
        for number, messages in zip(range(EXAMPLES), conversations(texts), strict=False):
            file.write(json.dumps({"id": f"t{number}", "messages": messages}) + "\n")
    make_tokenizer(folder / "tokenizer", texts, given.vocabulary)
    shape = {
        "layers": given.layers, "width": given.width, "heads": given.heads, "vocabulary_size": given.vocabulary,
        "sequence_length": given.time, "feed_forward_width": -(-given.width // 3) * 8, "positions": "rope",
        "norm": "rmsnorm", "activation": "swiglu", "embedding_norm": False, "bias": False, "tied": True,
        "query_key_norm": False,
    }  # fmt: skip
    model = Transformer(ModelConfig.model_validate(shape))
    initialise(model, 0)
    export_folder(model.state_dict(), model.config, folder / "base", folder / "tokenizer", "<|endoftext|>")
    settings = {"training.deepspeed": {}, "training.schedule": "wsd", "monitoring.wandb": False}
    for name in ("ours", "ours_lora"):
        finetune = {
            "name": name, "folder": str(folder / name), "init_from": str(folder / "base"), "steps": 50,
            "warmup_fraction": 0.0, "batch_size": given.batch, "micro_batch": given.micro, "learning_rate": 1e-3,
            "examples": [{"name": "talks", "path": str(folder / "talks.jsonl"), "undated": "train"}],
            "settings": settings | ({"lora": LORA} if name == "ours_lora" else {}),
        }  # fmt: skip
        content = yaml.safe_load((ROOT / "configs/demo.yaml").read_bytes()) | {"model": shape, "finetune": finetune}
        content["data"] |= {"workers": 1}
        content["tokenizer"] |= {"vocabulary_size": given.vocabulary}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        derived, _ = make_finetuning(load_config(folder / f"{name}.yaml", []))
    told = derived.training.model_dump(include={"micro_batch", "learning_rate", "weight_decay", "betas", "epsilon"})
    (folder / "settings.json").write_text(json.dumps(told | {"sequence_length": given.time}))
    (folder / "steps.json").write_text(json.dumps([list(examples_of(derived, step)) for step in range(STEPS)]))
    write_adapter(derived, folder / "adapter")


def conversations(texts: Sequence[str]) -> Iterator[list[dict[str, str]]]:
    """Of each document's sentences: some are asked with, the next ones are the answer; one to three turns."""
    chance = random.Random(1)
    for text in texts:
        sentences = iter(re.split(r"(?<=[.!?])\s+", " ".join(text.split())))
        messages: list[dict[str, str]] = []
        for _ in range(chance.choice((1, 1, 2, 3))):
            asked, answer = (
                " ".join(next(sentences, "") for _ in range(chance.choice((1, 2, 4)))).strip() for _ in "qa"
            )
            if not answer:
                break
            messages += [
                {"role": "user", "content": f"How does it go on? {asked}"},
                {"role": "assistant", "content": answer},
            ]
        if messages and sum(len(message["content"]) for message in messages) < 3_000:
            yield messages


def make_tokenizer(folder: Path, texts: Sequence[str], pieces: int) -> None:
    """A byte-level BPE with the marks of a chat, as a general model that was trained to answer has one."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    from data.examples.marks import MARKS, OWN_TEMPLATE

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces, special_tokens=["<|endoftext|>", *MARKS], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts[:3_000], trainer)
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(OWN_TEMPLATE)


def examples_of(config: Any, step: int) -> Iterator[list[dict[str, list[int]]]]:
    """Of each row of a step its examples, {"input_ids", "labels"}, each from its end-of-text token on."""
    from train.token_stream import open_stream

    stream, rows = open_stream(config), config.training.batch_size
    batch = stream.batch(step * rows, rows)
    for tokens, documents, counted in zip(batch.tokens, batch.documents, batch.counted, strict=True):
        found = []
        for document in range(documents.max() + 1):
            places = (documents == document).nonzero()[0]
            begin, end = int(places[0]), int(places[-1]) + 1
            labels = [
                int(token) if wanted else -100
                for token, wanted in zip(tokens[begin + 1 : end + 1], counted[begin:end], strict=True)
            ]
            found.append({"input_ids": tokens[begin:end].tolist(), "labels": [-100, *labels[:-1]]})
            assert labels[-1] == -100, "the end-of-text token behind an example does not count"
        yield found


def write_adapter(config: Any, folder: Path) -> None:
    """The adapter that our run begins with, for peft."""
    from model.huggingface_folder import export_adapter
    from model.lora.folder import to_peft
    from model.lora.lora import add_lora
    from model.transformer import Transformer
    from train.engine.layout import trained_parameters

    model = Transformer(config.model)
    add_lora(model, config.lora, (), config.seed)
    fresh = {name: parameter.detach() for name, parameter in trained_parameters(model).items()}
    tensors, settings = to_peft(fresh, config.model, config.lora, ())
    settings |= {"base_model_name_or_path": str(config.init_from)}
    export_adapter(tensors, settings, folder, config.tokenizer_folder, "<|endoftext|>", 1024, "", {})


def run(name: str, folder: Path) -> dict[str, Any]:
    """What one contender prints."""
    python = sys.executable if name.startswith("ours") else PEERS_PYTHON
    usage = measure(
        [python, "-P", "-W", "ignore", ROOT / "benchmarks/finetune_contenders.py", name, folder],
        {"OMP_NUM_THREADS": "1"},
    )
    return dict(json.loads(usage.output.splitlines()[-1]))


def check(found: dict[str, dict[str, Any]]) -> None:
    """Raises RuntimeError where contenders have not computed the same, of all weights and of adapters."""
    first = next(iter(found.values()))
    for name, one in found.items():
        alike = next(other for of_other, other in found.items() if of_other.endswith("_lora") == name.endswith("_lora"))
        for kind, close in CLOSE.items():
            pairs = list(zip(one[kind], alike[kind], strict=True))
            if kind == "losses":
                pairs.append((one[kind][0], first[kind][0]))  # an adapter changes nothing yet in the first step
            if any(abs(a - b) > close * abs(b) for a, b in pairs):
                raise RuntimeError(f"{name} has not the {kind} of the others: {one} beside {alike} and {first}")


if __name__ == "__main__":
    main()
