"""The words that `domainlm` takes: its commands and their options, with argparse alone, so that help comes at once."""

import argparse
import re
from collections.abc import Sequence
from typing import Any

from domainlm.ladder.arguments import add_ladder
from domainlm.measure.arguments import add_audit, add_compare, add_questions, add_tasks
from domainlm.mixture.arguments import add_mixture
from domainlm.option_values import cutoffs, day, number, path, shard, whole
from domainlm.slurm.arguments import add_job

DESCRIPTION = """Pretrain a domain language model from scratch.

  domainlm run  configs/demo.yaml                      from prepare to export, in order
  domainlm plan configs/demo.yaml training.steps=500   what a run would be, before it is started

Every command takes the run's YAML file and changes to its values, says on standard error what it does, and can be run
again safely: what is finished with the same inputs is kept."""

SETTING = re.compile(r"[a-z_0-9.]+=")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What the words ask for: `command`, `config` (None where a command does without), `overrides`, its options."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(words)
    # argparse takes no further positional words after an option, but an override may stand anywhere.
    takes_names = arguments.command in ("compare", "questions", "tasks", "retrieve", "generate")
    unknown = [word for word in rest if word.startswith("-") or not (takes_names or "=" in word)]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    arguments.overrides += rest
    if takes_names:
        arguments.others = [word for word in arguments.overrides if not SETTING.match(word)]
        arguments.overrides = [word for word in arguments.overrides if SETTING.match(word)]
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="domainlm", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    _add_plan(commands)
    prepare = _add(commands, "prepare", "documents → corpus: clean, de-duplicate, split by date")
    _add(commands, "tokenizer", "train the tokenizer (or take one) and report on it")
    tokenize = _add(commands, "tokenize", "train the tokenizer (or take one), corpus → shards, and the data card")
    for array in (prepare, tokenize):
        array.add_argument(
            "--shard",
            type=shard,
            metavar="I/N",
            help="do the I-th of N shares (from 0) and no more, as a task of a Slurm array; the same command without "
            "it finishes",
        )
    _add(commands, "train", "train, or go on from the newest checkpoint, with DeepSpeed's launcher")
    finetune = _add(
        commands,
        "finetune",
        "examples of conversations → a run of its own that begins with the trained weights: checks, trains, measures",
        "--prepare",
    )
    finetune.add_argument(
        "--prepare", action="store_true", help="make all that its run needs, and no more: `domainlm submit` trains it"
    )
    _add_series(commands)
    add_ladder(
        _add(commands, "ladder", "small runs chosen from the planned one, and what they predict of it", "--rungs 4")
    )
    add_mixture(
        _add(commands, "mixture", "small runs over many mixtures: which weight each source should have", "--runs 9")
    )
    _add_submit(commands)
    _add_branch(commands)
    _add_examinations(commands)
    evaluate = _add(commands, "evaluate", "bits per byte by source, split and period, with baselines beside it")
    compare = _add_compare(commands)
    _add_questions(commands)
    _add_tasks(commands)
    for shared in (evaluate, compare):
        shared.add_argument(
            "--shard",
            type=shard,
            metavar="I/N",
            help="score the I-th of N shares (from 0), as a task of a Slurm array",
        )
    _add_audit(commands)
    _add_retrieve(commands)
    _add_generate(commands)
    _add_serve(commands)
    _add(commands, "report", "one HTML page with plots, figures and samples")
    _add_export(commands)
    _add_trace(commands)
    megatron = _add(commands, "export-shards", "shards → Megatron-LM's .bin and .idx files", "--out megatron/")
    megatron.add_argument("--out", type=path, required=True, help="the folder")
    _add(commands, "run", "all of it in order: prepare, tokenize, train, evaluate, report, export")
    return parser


def _add_trace(commands: Any) -> None:
    trace = _add(
        commands, "trace", "which documents were in a step, which steps saw a document, which have a text", "--step 100"
    )
    wanted = trace.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--step", type=whole(1), help="step, counted from 1 as in metrics.jsonl")
    wanted.add_argument("--document", metavar="ID", help="document id: the steps that saw it")
    wanted.add_argument(
        "--find",
        metavar="TEXT",
        help="the training documents that have the longest passages of a text, and the steps that saw them; - for "
        "standard input. The first time an index is made, of about 0.85 times the bytes of the training text",
    )
    wanted.add_argument(
        "--forget",
        metavar="ID",
        help="mark a document to be forgotten: the next build drops it and all that resembles it; names the "
        "checkpoints that have seen it and the last that has not",
    )
    trace.add_argument("--rank", type=whole(0), help="with --step: only what this rank read")
    trace.add_argument("--text", action="store_true", help="with --step: the text of its samples too")


def _add_plan(commands: Any) -> None:
    plan = _add(
        commands,
        "plan",
        "parameters, text, memory, days, money, and whether to train from scratch at all",
        "--gpu A100-80GB --gpus 8",
    )
    plan.add_argument("--gpu", help="the GPU to plan for, such as H100-80GB (default: hardware.gpu, or this machine)")
    plan.add_argument("--gpus", type=whole(1), metavar="N", help="how many of them (default: as in `hardware`)")


def _add_examinations(commands: Any) -> None:
    status = _add(commands, "status", "how a run is doing: step, speed, time left, goodput and cost", "--follow")
    status.add_argument("--follow", action="store_true", help="show it again and again until the run is over")
    status.add_argument(
        "--every", type=number(0, 1e6), default=5.0, metavar="SECONDS", help="with --follow (default: 5)"
    )
    doctor = _add(
        commands, "doctor", "check this machine before a run: software, GPUs, launcher, disks, W&B, data", "--json"
    )
    doctor.add_argument("--skip-launch", action="store_true", help="leave out the checks that start ranks")
    rehearse = _add(
        commands,
        "rehearse",
        "before a long run: train some steps, save, kill, resume on as many and on other ranks, compare",
        "--steps 20",
    )
    rehearse.add_argument(
        "--steps", type=whole(4), default=8, help="steps of each of the short runs (default 8, least 4)"
    )


def _add_series(commands: Any) -> None:
    series = _add(
        commands,
        "series",
        "a model for each cutoff on one corpus, and how well each knows each period",
        "--cutoffs 2013..2024",
    )
    series.add_argument(
        "--cutoffs",
        type=cutoffs,
        required=True,
        help="2013..2024 for text of before each of these years, 2013-01..2013-12 of before each of these months, or "
        "such as 2013,2015-07-01",
    )
    series.add_argument(
        "--continued",
        action="store_true",
        help="each model after the first begins with the weights of the one before and reads only what is new; all "
        "have the first one's tokenizer",
    )
    series.add_argument(
        "--prepare", action="store_true", help="train nothing: make all that the runs need, for `domainlm submit`"
    )


def _add_submit(commands: Any) -> None:
    parser = _add(commands, "submit", "submit training to Slurm, and show the script", "--nodes 8 --time 12:00:00")
    add_job(parser, required=True)
    parser.add_argument(
        "--chain",
        type=whole(1),
        default=1,
        metavar="N",
        help="N jobs, one after the other, where jobs may not be requeued",
    )


def _add_branch(commands: Any) -> None:
    branch = _add(
        commands,
        "branch",
        "a new run that goes on from a checkpoint of this one with other settings",
        "--from 400 --name demo-low --set training.learning_rate=1e-3",
    )
    branch.add_argument("--name", required=True, help="name of the new run, whose folder is beside this one's")
    origin = branch.add_mutually_exclusive_group(required=True)
    origin.add_argument("--from", dest="from_step", type=whole(1), metavar="STEP", help="the checkpoint's step")
    origin.add_argument("--edits", type=path, help="a YAML file that has STEP and settings under NAME")
    branch.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="section.key=value",
        help="a setting that differs; may be given more than once. seed: another order of what is unread",
    )


def _add_compare(commands: Any) -> argparse.ArgumentParser:
    compare = _add(
        commands,
        "compare",
        "other models on the held-out text of a run: bits per byte with intervals, cost, and a verdict",
        "runs/other models/SmolLM2-135M general.gguf",
    )
    add_compare(compare)
    return compare


def _add_questions(commands: Any) -> None:
    questions = _add(
        commands,
        "questions",
        "questions made from the held-out documents, and how many of them the run and other models have right",
        "runs/other models/SmolLM2-135M --items 500 --retrieve 3",
    )
    add_questions(questions)


def _add_audit(commands: Any) -> None:
    audit = _add(
        commands,
        "audit",
        "what the model gives away of its training text: passages, canaries, personal data",
        "--passages 500",
    )
    add_audit(audit)


def _add_tasks(commands: Any) -> None:
    tasks = _add(
        commands,
        "tasks",
        "labelled tasks by lm-eval, with intervals, and which items the training text has touched",
        "fpb arc_easy my_tasks/ --model models/SmolLM2-135M",
    )
    add_tasks(tasks)


def _add_retrieve(commands: Any) -> None:
    retrieve = _add(
        commands,
        "retrieve",
        "index the training text's passages, and show those about a question",
        '"What was said of tariffs on wool?" --date 1950-01-01',
    )
    retrieve.add_argument(
        "--passages", type=whole(1), default=5, metavar="K", help="most that are shown, the best first (default: 5)"
    )
    _add_bound(retrieve)


def _add_bound(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--date",
        type=day,
        metavar="YYYY-MM-DD",
        help="day of the question: no later document is looked at (default: all training text, which is older than the "
        "run's cutoff)",
    )
    command.add_argument(
        "--undated", action="store_true", help="with --date: documents without a date too, which may be later"
    )


def _add_generate(commands: Any) -> None:
    generate = _add(
        commands,
        "generate",
        "continue texts: those named, the lines of standard input, or those asked for on a terminal",
        '"My fellow citizens" --retrieve 3',
    )
    generate.add_argument("--prompt", action="append", metavar="TEXT", help="text to continue; may be given repeatedly")
    generate.add_argument(
        "--retrieve", type=whole(1), metavar="K", help="put up to K passages of the corpus before it, and cite them"
    )
    _add_bound(generate)
    generate.add_argument(
        "--chat",
        action="store_true",
        help="prompts are turns of a user (on a terminal, of one conversation): of a run that `domainlm finetune` made",
    )
    generate.add_argument("--tokens", type=whole(1), metavar="N", help="most tokens of each continuation")
    generate.add_argument(
        "--temperature", type=number(0, or_least=True), help="sampling temperature; 0 takes the likeliest token"
    )
    generate.add_argument("--top-k", type=whole(1), metavar="K", help="sample among the K likeliest tokens only")
    generate.add_argument(
        "--top-p", type=number(0, 1), metavar="P", help="sample among those that together have probability P"
    )
    generate.add_argument(
        "--stop", action="append", metavar="TEXT", help="end before this text; may be given repeatedly"
    )
    generate.add_argument("--seed", type=whole(0), help="of the samples (default: the run's)")
    _add_checkpoint(generate)


def _add_serve(commands: Any) -> None:
    serve = _add(
        commands,
        "serve",
        "answer completions and chats over HTTP as OpenAI's interface has them, for tools that speak it",
        "--port 8000",
    )
    serve.add_argument("--host", default="127.0.0.1", help="where to listen (default: this machine alone, 127.0.0.1)")
    serve.add_argument("--port", type=whole(0), default=8000, help="default 8000; 0 takes a free one")
    serve.add_argument(
        "--waiting", type=whole(0), default=16, metavar="N", help="requests that may wait for another (default 16)"
    )
    serve.add_argument(
        "--seconds", type=number(0), default=120.0, help="most time of a request, waiting included (default 120)"
    )
    serve.add_argument(
        "--retrieve",
        type=whole(0),
        default=0,
        metavar="K",
        help="put up to K passages of the corpus before each question, where a request does not say (default 0)",
    )
    _add_checkpoint(serve)


def _add_checkpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--checkpoint", type=whole(1), metavar="STEP", help="the checkpoint of this step, not the newest"
    )


def _add_export(commands: Any) -> None:
    export = _add(
        commands,
        "export",
        "checkpoint → Hugging Face folder with a model card, for transformers, vLLM and llama.cpp",
        "--checkpoint 1200",
    )
    export.add_argument("--out", type=path, help="the folder (default: export/ in the run's folder)")
    _add_checkpoint(export)
    export.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        help="of the weights (default: what training computed with, but float32 with ALiBi)",
    )
    export.add_argument(
        "--adapter",
        action="store_true",
        help="of a run with `lora`: the adapter alone, as peft loads it beside its base (default: both merged), in "
        "adapter/ of the run's folder",
    )
    export.add_argument(
        "--shard-gigabytes", type=number(0), default=5.0, metavar="GB", help="largest file of weights (default: 5)"
    )


def _add(commands: Any, name: str, summary: str, example: str = "seed=1") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=summary, description=summary, epilog=f"example: domainlm {name} configs/demo.yaml {example}"
    )
    what = "the run's YAML file, or the folder of a run that has begun"
    if name == "doctor":
        parser.add_argument("config", nargs="?", help=f"{what} (default: the machine alone)")
    else:
        parser.add_argument("config", help=what)
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="section.key=value", help="changes to the file's values"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return parser
