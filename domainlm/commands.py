"""The commands of `domainlm`, a function each: it calls what does the work, shows the result, returns it for --json.

Each loads what it works with itself: torch alone takes longer than most commands that do without it.
"""

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path

from data.errors import DataError
from data.interval import said_dates
from data.progress import go_on_unread, say
from domainlm.result import Result, show
from train.config import RunConfig
from train.config_file import ConfigError
from train.records.budget import check_budget


def plan(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.ladder.prediction import describe_prediction, read_prediction
    from domainlm.plan.build import on_hardware
    from domainlm.plan.build import plan as make_plan
    from domainlm.plan.text import describe

    predicted = read_prediction(config)
    law = predicted.at if predicted and predicted.sources else None
    planned = make_plan(on_hardware(config, arguments.gpu, arguments.gpus), law)
    show(arguments, "\n".join([describe(planned), *describe_prediction(predicted)]))
    return asdict(planned) | {"ladder": predicted and asdict(predicted)}


def prepare(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import stages

    return stages.prepare(config, arguments.shard)


def tokenizer(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import stages

    return stages.tokenizer(config)


def tokenize(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import stages

    return stages.tokenize(config, arguments.shard)


def train(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import stages

    go_on_unread()
    return stages.train(config, Path(arguments.config), arguments.overrides)


def finetune(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import finetune as finetuning
    from domainlm import stages

    go_on_unread()
    derived, report = finetuning.make_finetuning(config)
    file = derived.run_folder / "config.yaml"
    result: Result = {"folder": str(derived.run_folder), "config": str(file), "examples": report}
    show(arguments, finetuning.describe(report, derived))
    if arguments.prepare:
        show(arguments, f"\ndomainlm train {file}")
        return result
    result["finished"] = stages.train(derived, file, [])["finished"]
    if not result["finished"]:
        say("training was asked to stop: run the same command again to go on")
        return result
    result["evaluation"] = stages.evaluate(derived)
    show(arguments, f"\n{stages.describe(result['evaluation'])}\n\nmodel   {file}")
    return result


def series(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import series as making

    go_on_unread()
    result = making.make_series(config, arguments.cutoffs, continued=arguments.continued, prepare=arguments.prepare)
    show(arguments, making.describe(result))
    return result


def ladder(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.ladder import make, on_slurm

    go_on_unread()
    if on_slurm.is_wanted(arguments):
        return on_slurm.ladder(arguments, config)
    result = make.make_ladder(config, arguments.rungs, arguments.largest, prepare=arguments.prepare)
    show(arguments, make.describe(result))
    return result


def mixture(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.mixture import build as making

    go_on_unread()
    asked = making.Asked(arguments.runs, arguments.steps, arguments.passes, tuple(arguments.set))
    result = making.make_mixture(config, asked, prepare=arguments.prepare)
    show(arguments, making.describe(result))
    return result


def submit(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import stages
    from domainlm.slurm import submit as slurm
    from train.checkpoints.folders import describe_finished
    from train.checkpoints.resume import check_begins

    job, folder = slurm.job_from(arguments), slurm.new_folder(config)
    script = slurm.render(config, job, folder)
    if finished := describe_finished(config):
        say(finished)
        stages.say_other_settings(config)
    else:
        check_budget(config)
        check_begins(config)
        if not config.shards_are_remote:  # those are fetched where they are trained on
            stages.check_inputs(config)
    show(arguments, script)
    if arguments.dry_run or finished:
        return {"script": script, "jobs": []}
    jobs = slurm.submit(config, job, script, folder)
    show(arguments, slurm.describe(config, jobs))
    return {"jobs": jobs, "folder": str(folder)}


def branch(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.branch import Edit, read_edit
    from domainlm.branch import branch as make_branch

    edit = read_edit(arguments.edits, arguments.name) if arguments.edits else Edit(arguments.from_step, ())
    edit = replace(edit, settings=(*edit.settings, *arguments.set))
    made = make_branch(config, arguments.name, edit)
    file = made.run_folder / "config.yaml"
    show(arguments, f"domainlm train {file}")
    return {"folder": str(made.run_folder), "config": str(file), "step": edit.step}


def rehearse(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import rehearse as rehearsal

    result = rehearsal.rehearse(config, Path(arguments.config), arguments.overrides, arguments.steps)
    show(arguments, rehearsal.describe(result))
    return result


def status(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.status.read import read_status
    from domainlm.status.text import describe, follow

    if arguments.follow:
        *_, last = follow(config, arguments.every)
    else:
        last = read_status(config)
        show(arguments, describe(last))
    return asdict(last) | {
        "goodput": last.ledger.goodput,
        "device_hours": last.ledger.device_hours,
        "money": last.ledger.money,
        "kilowatt_hours": last.ledger.kilowatt_hours,
    }


def doctor(arguments: argparse.Namespace, config: RunConfig | None) -> Result:
    """Ends with exit code 1 when anything failed."""
    from domainlm.doctor.examine import examine
    from domainlm.doctor.findings import describe

    findings = examine(config, launch=not arguments.skip_launch)
    show(arguments, describe(findings))
    passed = all(finding.verdict != "fail" for finding in findings)
    return {"passed": passed, "findings": [asdict(finding) for finding in findings]}


def evaluate(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import stages

    result = stages.evaluate(config, arguments.shard)
    if arguments.shard is None:
        show(arguments, stages.describe(result))
    return result


def generate(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.configuration import is_made_of_examples
    from domainlm.generate import continue_in_order, load_writer, sample_settings

    given = {
        "new_tokens": arguments.tokens,
        "temperature": arguments.temperature,
        "top_k": arguments.top_k,
        "top_p": arguments.top_p,
        "stops": tuple(arguments.stop) if arguments.stop else None,
        "seed": arguments.seed,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    settings = replace(sample_settings(config), **changed)
    named = [*(arguments.prompt or []), *arguments.others]
    talks = not named and sys.stdin.isatty() and not arguments.json
    asked, find = [] if talks else named or _lines_of_input(), None
    if arguments.retrieve is not None:
        from domainlm.retrieval.index import bound_of
        from domainlm.retrieval.open_book import answer, finder

        find = finder(config, arguments.retrieve, bound_of(config, arguments.date, arguments.undated))
    elif arguments.date or arguments.undated:
        raise ConfigError("--date and --undated bound what is retrieved: add --retrieve K, or leave them out")
    else:
        asked = asked or list(config.evaluation.prompts)
    if not asked and not talks:
        raise ConfigError("there is no prompt: give --prompt TEXT, or lines on standard input")
    if not arguments.chat and is_made_of_examples(config):
        say("generate: this model was tuned on turns, and continues plain text here: --chat asks it as it has learnt")
    writer, output = load_writer(config, arguments.checkpoint, chat=arguments.chat), sys.stdout
    if talks:
        from domainlm.conversation import converse

        return {"step": writer.step, "samples": converse(writer, settings, output, find)}
    if find:
        return answer(writer, find, asked, settings, None if arguments.json else output)
    continuations = continue_in_order(writer, asked, settings, None if arguments.json else output)
    return {"step": writer.step, "samples": [asdict(continuation) for continuation in continuations]}


def serve(arguments: argparse.Namespace, config: RunConfig) -> Result:
    try:
        from domainlm.serve import server
    except ModuleNotFoundError as error:
        raise ConfigError(f"serve needs {error.name}: pip install 'domainlm[serve]'") from None
    place = server.Place(arguments.host, arguments.port)
    limits = server.Limits(arguments.waiting, arguments.seconds)
    return {"address": server.serve(config, place, limits, arguments.checkpoint, arguments.retrieve)}


def retrieve(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.retrieval import index

    bound = index.bound_of(config, arguments.date, arguments.undated)
    result = index.retrieve(config, " ".join(arguments.others) if arguments.others else None, arguments.passages, bound)
    show(arguments, index.describe(result))
    return result


def _lines_of_input() -> list[str]:
    """Prompts from standard input, where it is a file or the end of a pipe."""
    if sys.stdin is None or sys.stdin.isatty():
        return []
    return [line.rstrip("\r\n") for line in sys.stdin if line.strip()]


def _whole_input() -> str:
    """The text of standard input. Raises DataError when it is not UTF-8."""
    try:
        return "" if sys.stdin is None else sys.stdin.read()
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not UTF-8: {error.reason} at byte {error.start}") from None


def report(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import stages

    return stages.report(config)


def export(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm.export import export as export_model
    from domainlm.export import export_adapter

    if arguments.adapter:
        if arguments.dtype is not None:
            raise ConfigError("export: an adapter leaves in float32, as it was trained: leave --dtype out")
        result = export_adapter(config, arguments.out, step=arguments.checkpoint)
        show(arguments, result["folder"])
        return result
    size = arguments.shard_gigabytes
    result = export_model(
        config, arguments.out, step=arguments.checkpoint, dtype=arguments.dtype, max_file_gigabytes=size
    )
    show(arguments, result["folder"])
    return result


def export_shards(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import stages

    return stages.export_shards(config, arguments.out)


def trace(arguments: argparse.Namespace, config: RunConfig) -> Result:
    from domainlm import trace as tracing

    if arguments.forget is not None:
        result = tracing.forget_document(config, arguments.forget)
        show(arguments, tracing.describe(result))
        return result
    if arguments.find is not None:
        from domainlm import find as finding

        result = finding.Finder(config).find(_whole_input() if arguments.find == "-" else arguments.find)
        show(arguments, finding.describe(result))
        return result
    if arguments.document is not None:
        result = tracing.trace_document(config, arguments.document)
        seen = (
            f"seen {result['epochs']:.2f} times in {result['batches']} batches, first in step {result['first_step']}, "
            f"last in step {result['last_step']}"
        )
        show(arguments, f"{arguments.document}: {seen if result['steps'] else 'in no step'}")
        for line in tracing.not_learnt(config, result["steps"]):
            say(line)
        return result
    result = tracing.trace_step(config, arguments.step, rank=arguments.rank, text=arguments.text)
    for line in tracing.not_learnt(config, [arguments.step]):
        say(line)
    lines = [
        f"{document['source']}  {document['id']}  {said_dates(document)}  {document['tokens']} tokens"
        for document in result["documents"]
    ]
    show(arguments, "\n".join([*lines, *(f"\n{text}" for text in result.get("texts", []))]))
    return result


def run(arguments: argparse.Namespace, config: RunConfig) -> Result:
    """All stages in order; ends early, with nothing lost, when training is asked to stop."""
    say(f"run: {config.run_folder.absolute()}")  # before what takes seconds to load
    from domainlm import stages
    from domainlm.configuration import is_made_of_examples
    from domainlm.export import export as export_model
    from domainlm.plan.build import plan as make_plan
    from domainlm.plan.text import describe

    go_on_unread()
    if not is_made_of_examples(config):
        stages.prepare(config)
    stages.tokenize(config)
    say(describe(make_plan(config)))
    if not stages.train(config, Path(arguments.config), arguments.overrides)["finished"]:
        say("training was asked to stop: run the same command again to go on")
        return {"finished": False}
    result = stages.evaluate(config)
    from domainlm.measure import compare as comparing  # loads torch

    compared = comparing.compare(config, config.evaluation.compare) if config.evaluation.compare else None
    reported = stages.report(config)
    try:
        exported = export_model(config)["folder"]
    except ConfigError as error:  # the run itself is whole
        say(str(error))
        exported = None
    show(arguments, stages.describe(result))
    if compared:
        show(arguments, f"\n{comparing.describe(compared)}")
    for sample in reported["samples"]:
        show(arguments, f"\n{sample['prompt']}▸{sample['text']}")
    show(arguments, f"\nreport  {reported['report']}\nmodel   {exported}")
    return {
        "finished": True,
        "evaluation": result,
        "comparison": compared,
        "report": reported["report"],
        "export": exported,
    }
