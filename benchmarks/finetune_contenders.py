"""One contender of the benchmark of fine-tuning: `NAME FOLDER` takes its steps and prints JSON.

{"losses", "norms", "counted"} of each step, `parameters` of the model; `rate`, counted tokens per CPU-second of the
steps behind the first, and `peak`, MB of the resident set in them.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


class Clock:
    """CPU seconds and memory of the steps behind the first."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def begin(self) -> None:
        if len(self.seconds) == 1:
            Path("/proc/self/clear_refs").write_text("5")
        self.began = time.process_time()

    def end(self) -> None:
        self.seconds.append(time.process_time() - self.began)

    def result(self, counted: list[int]) -> dict[str, float]:
        peak = 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
        return {"rate": sum(counted[1:]) / sum(self.seconds[1:]), "peak": peak / 1e6, "counted": counted}


def ours(folder: Path, steps: int, name: str) -> dict[str, Any]:
    from train.config_file import load_config
    from train.earlier_steps import Past
    from train.engine import engine
    from train.engine.machine import name_accelerator
    from train.process import find_rank, use_machine
    from train.run import Run
    from train.step import take_step
    from train.stop import StopRequest
    from train.token_stream import open_stream

    name_accelerator()
    config, rank = load_config(folder / name / "config.yaml", []), find_rank(os.environ)
    device = use_machine(rank)
    engine.connect(device)
    started = engine.build_engine(config, device, 1)
    run = Run(config, rank, device, open_stream(config), started, StopRequest(None), Past([], [], True), None, None)
    clock, losses, norms, rows = Clock(), [], [], run.config.training.batch_size
    for step in range(1, steps + 1):
        clock.begin()
        result = take_step(run, step)
        clock.end()
        losses.append(result.gradient.loss)
        norms.append(result.gradient.norm)
    counted = [run.stream.counted_tokens(step * rows, rows) or 0 for step in range(steps)]
    parameters = sum(parameter.numel() for parameter in run.engine.module.parameters())
    return {"losses": losses, "norms": norms, "parameters": parameters, **clock.result(counted)}


def packed(step: list[list[dict[str, list[int]]]]) -> list[dict[str, list[int]]]:
    """A row an item, as trl's own packing makes them."""
    return [
        {
            "input_ids": [token for example in row for token in example["input_ids"]],
            "labels": [label for example in row for label in example["labels"]],
            "seq_lengths": [len(example["input_ids"]) for example in row],
        }
        for row in step
    ]


def padded(step: list[list[dict[str, list[int]]]]) -> list[dict[str, Any]]:
    """As many micro-batches as rows, of examples of about equal length and together as many tokens."""
    examples = sorted((example for row in step for example in row), key=lambda one: len(one["input_ids"]))
    whole, before, found = sum(len(one["input_ids"]) for one in examples), 0, [[] for _ in step]
    for example in examples:
        found[before * len(step) // whole].append(example)
        before += len(example["input_ids"])
    assert all(found)
    return [{"examples": json.dumps(batch)} for batch in found]


def trl(folder: Path, steps: int, name: str) -> dict[str, Any]:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    torch.set_num_threads(1)
    clock, batches = Clock(), json.loads((folder / "steps.json").read_bytes())
    given = json.loads((folder / "settings.json").read_bytes())
    model = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
    parameters = model.num_parameters()
    if name.endswith("_lora"):
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder / "adapter", is_trainable=True)

    class Timed(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            clock.begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            clock.end()

    packs = name.startswith("packed")
    items = [item for step in batches for item in (packed if packs else padded)(step)]
    micro = given["micro_batch"] if packs else 1
    config = SFTConfig(
        output_dir=str(folder / name), use_cpu=True, bf16=False, gradient_checkpointing=False, packing=packs,
        max_length=given["sequence_length"], per_device_train_batch_size=micro, max_steps=steps,
        gradient_accumulation_steps=len(batches[0]) // micro, learning_rate=given["learning_rate"],
        lr_scheduler_type="constant", weight_decay=given["weight_decay"], adam_beta1=given["betas"][0],
        adam_beta2=given["betas"][1], adam_epsilon=given["epsilon"], max_grad_norm=1.0,
        train_sampling_strategy="sequential", logging_steps=1, save_strategy="no", report_to="none", disable_tqdm=True,
        remove_unused_columns=packs, dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    pad = DataCollatorForLanguageModeling(pad_token_id=0)
    trainer = SFTTrainer(
        model,
        config,
        train_dataset=Dataset.from_list(items),
        processing_class=tokenizer,
        data_collator=None if packs else lambda rows: pad(json.loads(rows[0]["examples"])),
        callbacks=[Timed()],
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    counted = [sum(label != -100 for row in step for one in row for label in one["labels"]) for step in batches]
    losses, norms = [entry["loss"] for entry in logged], [float(entry["grad_norm"]) for entry in logged]
    return {"losses": losses, "norms": norms, "parameters": parameters, **clock.result(counted)}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    steps = len(json.loads((folder / "steps.json").read_bytes()))
    print(json.dumps((ours if name.startswith("ours") else trl)(folder, steps, name)))


if __name__ == "__main__":
    main()
