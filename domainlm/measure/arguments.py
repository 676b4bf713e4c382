"""The options of the commands that measure models, of those that several have and of the longest."""

import argparse

from domainlm.option_values import day, path, some_of, whole
from evaluation.questions.items import KINDS


def add_general_model(command: argparse.ArgumentParser) -> None:
    """How models of transformers are read."""
    command.add_argument(
        "--window",
        type=whole(2),
        metavar="N",
        help="tokens that models of transformers read at once (default: their own)",
    )
    command.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="that they compute in")


def add_questions(questions: argparse.ArgumentParser) -> None:
    """Which questions are made, with which passages, and whether to be answered or to be learnt."""
    add_general_model(questions)
    questions.add_argument(
        "--items", type=whole(20), default=200, metavar="N", help="most items of each kind (default: 200, least 20)"
    )
    questions.add_argument(
        "--kinds",
        type=some_of(KINDS),
        default=KINDS,
        metavar="KIND,…",
        help=f"of these alone (default: {','.join(KINDS)})",
    )
    questions.add_argument(
        "--retrieve",
        type=whole(1),
        metavar="K",
        help="answer also with up to K passages of the run's own corpus before each question, none of a later day, and "
        "say whether that is better; `domainlm retrieve` makes the index",
    )
    questions.add_argument(
        "--examples",
        type=path,
        metavar="FILE",
        help="ask nothing, but write such questions of the training documents with their answers, as JSON lines that "
        "`domainlm finetune` takes (form: pairs); with --retrieve K, half of them have passages in front",
    )
    questions.add_argument(
        "--since", type=day, metavar="YYYY-MM-DD", help="with --examples: of documents of this day and later"
    )


def add_compare(compare: argparse.ArgumentParser) -> None:
    """How the text is cut into windows."""
    add_general_model(compare)
    compare.add_argument(
        "--windows",
        choices=("half", "disjoint"),
        default="half",
        help="context of later windows of a long document: half a window (default), or none, as lm-eval has it",
    )


def add_audit(audit: argparse.ArgumentParser) -> None:
    """How much the model is asked for."""
    audit.add_argument(
        "--passages", type=whole(1), default=500, metavar="N", help="asked for, of each stratum (default: 500)"
    )
    audit.add_argument(
        "--samples", type=whole(1), default=200, metavar="N", help="training documents to continue (default: 200)"
    )
    audit.add_argument(
        "--text", action="store_true", help="show what was found too, which may be confidential; no report has it"
    )


def add_tasks(tasks: argparse.ArgumentParser) -> None:
    """Which models answer how much of the tasks."""
    tasks.add_argument(
        "--model", action="append", default=[], metavar="PATH", help="another model, as of `compare`; repeatable"
    )
    tasks.add_argument("--limit", type=whole(1), metavar="N", help="the first N items of each task only")
    tasks.add_argument("--fetch", action="store_true", help="fetch data of tasks from the hub where they are missing")
    add_general_model(tasks)
