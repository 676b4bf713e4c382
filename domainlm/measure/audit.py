"""What a run's model gives away of its training text: passages, canaries, personal data; reports/audit.json."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from data.config import CANARIES
from data.corpus.canaries import Canary, make_canaries
from data.errors import DataError
from data.files import finished_digest, write_atomically
from data.lock import only_writer
from data.progress import progress, say
from data.shards.format import Manifest, verify_held_out
from data.shards.packing import SPLIT
from data.shards.reader import DTYPES, OpenFiles, shard_name
from data.stream.ledger import times_seen
from data.stream.stream import Piece, TokenStream
from domainlm.measure.named_model import own_model
from domainlm.trace import passed_over
from evaluation.audit.copies import count_others_with
from evaluation.audit.exposure import measure_exposure
from evaluation.audit.memorisation import (
    Likeliest,
    beginnings,
    held_out_passages,
    measure_memorisation,
    prefix_tokens,
    read_documents_of,
    training_passages,
)
from evaluation.audit.personal_samples import find_items, measure_personal
from evaluation.bits_per_byte import HELD_OUT_SPLITS, HeldOut, Tokens, read_held_out
from evaluation.language_model import LanguageModel
from model.generate import generate
from model.transformer import Transformer
from train.checkpoints.compatibility import check_architecture, check_stream
from train.checkpoints.folders import Checkpoint, newest_checkpoint
from train.checkpoints.identity import check_data
from train.config import RunConfig
from train.config_file import ConfigError
from train.records.text_read import notes_of_begun
from train.token_stream import open_stream

FORMAT = 1
REPORT = "audit.json"
PARTS = "audit"
"""In the run's folder: the parts that are done, with the texts that were found; what is in reports/ may go to W&B."""
LOGITS = 16_000_000
"""That are held at once."""
SAMPLE_TOKENS = 100
BATCH = 64
"""Texts that are written together."""

Part = tuple[dict[str, Any] | None, list[dict[str, Any]]]
"""What audit.json has of it, and the texts that only --text shows."""


@dataclass(frozen=True)
class _Audited:
    """A checkpoint and the text that it was trained on.

    Attributes:
        planted: where each copy of a canary stands, by its id.
        prompts: those of the configuration, as ids.
        samples: that it has read, but for those passed over, each (first, end).
    """

    config: RunConfig
    checkpoint: Checkpoint
    network: Transformer
    model: LanguageModel
    likeliest: Likeliest
    manifest: Manifest
    stream: TokenStream
    held_out: Sequence[HeldOut]
    canaries: Sequence[Canary]
    planted: dict[str, Piece]
    prompts: Sequence[list[int]]
    samples: int
    passed_over: Sequence[tuple[int, int]]

    def times_seen(self, piece: Piece) -> float:
        return times_seen(self.stream, piece, self.samples, self.passed_over)

    @property
    def invented(self) -> list[str]:
        """Sources that are not the user's text."""
        return [CANARIES] if self.canaries else []


def audit(config: RunConfig, *, passages: int = 500, samples: int = 200, text: bool = False) -> dict[str, Any]:
    """Newest checkpoint → reports/audit.json: memorisation, canaries and personal data; each part is kept once done.

    Args:
        passages: most of each stratum of training passages, and of each held-out split.
        samples: beginnings of training documents that are continued, beside the configured prompts.
        text: add `texts`, which no file in reports/ has: what was memorised, and the personal data that was written.

    Raises:
        CheckpointError: there is none, or model or data are not those that it was trained with.
        DataError: the data are missing or damaged, or have other canaries than `data.canaries`.
        ConfigError: a prompt of `evaluation.prompts` is too long.
    """
    checkpoint = newest_checkpoint(config)
    inputs = _inputs(config, checkpoint, passages, samples)
    with only_writer(config.run_folder / PARTS):
        parts = _kept(config, inputs)
        if len(parts) < len(MAKE):
            audited = _open(config)
            checkpoint = audited.checkpoint  # a newest one that is damaged was passed over
            inputs = _inputs(config, checkpoint, passages, samples)
            parts = _kept(config, inputs)
            for name in [name for name in MAKE if name not in parts]:
                parts[name] = _keep(config, name, inputs, MAKE[name](audited, passages, samples))
        else:
            say(f"audit: {config.reports / REPORT} is up to date")
        result = {
            "step": checkpoint.step,
            **{name: parts[name][0] for name in MAKE},
            "notes": notes_of_begun(config),
            "inputs": inputs,
        }
        write_atomically(config.reports / REPORT, json.dumps(result, indent=1, ensure_ascii=False))
    return result | ({"texts": {name: parts[name][1] for name in MAKE if parts[name][1]}} if text else {})


def _inputs(config: RunConfig, checkpoint: Checkpoint, passages: int, samples: int) -> dict[str, Any]:
    """All that decides the audit."""
    check_architecture(checkpoint, config)
    return {
        "format": FORMAT,
        "checkpoint": checkpoint.digest,
        "shards": check_data(checkpoint, config).digest,
        "canaries": config.data.canaries.model_dump(mode="json") if config.data.canaries else None,
        "passages": passages,
        "samples": samples,
        "sampling": config.evaluation.model_dump(mode="json", include={"prompts", "temperature", "top_p"}),
        "seed": config.seed,
    }


def _kept(config: RunConfig, inputs: dict[str, Any]) -> dict[str, Part]:
    """The parts that were made of the same."""
    found = {}
    for name in MAKE:
        with contextlib.suppress(OSError, ValueError):
            content = json.loads((config.run_folder / PARTS / f"{name}.json").read_bytes())
            if content.get("inputs") == inputs:
                found[name] = (content["result"], content["texts"])
    return found


def _keep(config: RunConfig, name: str, inputs: dict[str, Any], part: Part) -> Part:
    content = {"inputs": inputs, "result": part[0], "texts": part[1]}
    write_atomically(config.run_folder / PARTS / f"{name}.json", json.dumps(content, indent=1, ensure_ascii=False))
    return part


def _open(config: RunConfig) -> _Audited:
    model, trained = own_model(config)
    manifest, stream = check_data(trained.checkpoint, config), open_stream(config)
    check_stream(trained.checkpoint, config, stream)
    verify_held_out(config.shards)
    canaries = make_canaries(config.data.canaries, manifest.seed) if config.data.canaries else []
    planted = _planted_pieces(stream) if canaries else {}
    _check_planted(config, stream, model, canaries, planted)
    return _Audited(
        config=config,
        checkpoint=trained.checkpoint,
        network=trained.model,
        model=model,
        likeliest=likeliest_tokens(trained.model, trained.device),
        manifest=manifest,
        stream=stream,
        held_out=read_held_out(config.shards, HELD_OUT_SPLITS, None),
        canaries=canaries,
        planted=planted,
        prompts=_encoded_prompts(config, model),
        samples=trained.checkpoint.manifest["samples"],
        passed_over=passed_over(config),
    )


def likeliest_tokens(model: Transformer, device: torch.device) -> Likeliest:
    """The form in which the audit asks a model what it would write next."""

    @torch.inference_mode()
    def likeliest(inputs: Tokens) -> Tokens:
        states = model.hidden_states(torch.from_numpy(np.ascontiguousarray(inputs)).to(device)).flatten(0, 1)
        some = max(1, LOGITS // model.config.vocabulary_size)
        chosen = [
            model.head(states[None, first : first + some])[0].argmax(dim=-1) for first in range(0, len(states), some)
        ]
        result: Tokens = torch.cat(chosen).view(inputs.shape).cpu().numpy()
        return result

    return likeliest


def _memorisation(audited: _Audited, wanted: int, _: int) -> Part:
    stream, model, seed = audited.stream, audited.model, audited.config.seed
    window = model.window
    passages = training_passages(stream, window, wanted, audited.times_seen, seed, audited.invented)
    half = prefix_tokens(window)
    runs = [(passage.tokens[half : 2 * half], passage.piece) for passage in passages]
    copies = count_others_with(stream, runs, seed)
    whole = [replace(passage, copies=count) for passage, count in zip(passages, copies.documents, strict=True)]
    whole += held_out_passages(audited.held_out, window, wanted, seed)
    result, written = measure_memorisation(whole, audited.likeliest, window, model.batch_tokens)
    result |= {"searched_tokens": copies.searched_tokens, "training_tokens": copies.of_tokens}
    texts = [
        {"document": named["document"], "source": named["source"], "text": model.decode(tokens.tolist())}
        for named, tokens in zip(result["longest"], written, strict=True)
    ]
    return result, texts


def _canaries(audited: _Audited, *_: int) -> Part:
    config = audited.config.data.canaries
    if config is None:
        return None, []

    def seen(canary: Canary) -> float:
        return sum(audited.times_seen(audited.planted[copy]) for copy in canary.ids)

    return measure_exposure(audited.canaries, config, audited.model, audited.likeliest, seen, audited.config.seed), []


def _planted_pieces(stream: TokenStream) -> dict[str, Piece]:
    """Where each copy of a canary stands, by its id."""
    packed = stream.packing.sources.get(CANARIES)
    found = {}
    for file in range(len(packed.tokens)) if packed else ():
        for row in read_documents_of(stream, CANARIES, file).to_pylist():
            found[row["id"]] = Piece(CANARIES, file, row["first_token"], row["tokens"])
    return found


def _check_planted(
    config: RunConfig, stream: TokenStream, model: LanguageModel, canaries: Sequence[Canary], planted: dict[str, Piece]
) -> None:
    """Raise DataError where the shards have not exactly these canaries, or the first copy of one is another text."""
    opened, dtype, settings = OpenFiles(stream.local), DTYPES[stream.packing.dtype], config.data.canaries

    def is_there(canary: Canary) -> bool:
        _, file, first, tokens = planted[canary.ids[0]]
        ids = opened.read_tokens(f"{shard_name(SPLIT, CANARIES, file)}.bin", dtype, first, tokens - 1)
        return settings is not None and np.array_equal(ids, model.encode(canary.text(settings.form))[1:])

    equal = {copy for canary in canaries for copy in canary.ids} == planted.keys()
    if not equal or not all(is_there(canary) for canary in canaries if canary.times):
        raise DataError(
            f"{config.shards} have other canaries than data.canaries: set it as it was when they were made, or run "
            "`domainlm prepare CONFIG` and `domainlm tokenize CONFIG` and train a run on them"
        )


def _encoded_prompts(config: RunConfig, model: LanguageModel) -> list[list[int]]:
    encoded = [list(model.encode(prompt)) for prompt in config.evaluation.prompts]
    for prompt, ids in zip(config.evaluation.prompts, encoded, strict=True):
        if len(ids) >= model.window:
            raise ConfigError(
                f"evaluation.prompts: '{prompt[:40]}…' has {len(ids):,} tokens, and nothing can stand behind it in a "
                f"window of {model.window:,}: shorten it"
            )
    return encoded


def _personal_data(audited: _Audited, _: int, wanted: int) -> Part:
    config, model = audited.config, audited.model
    prefix, seed = prefix_tokens(model.window), config.seed
    prompts = beginnings(audited.stream, prefix, wanted, seed, audited.invented)
    written = _write(audited, [prompt.tolist() for prompt in prompts], "beginnings of training documents")
    written += _write(audited, audited.prompts, "the configured prompts")
    texts = [model.decode(ids) for ids in written]
    references = [
        ids
        for each in audited.held_out
        if len(ids := each.document.tokens[prefix - 1 : prefix - 1 + SAMPLE_TOKENS].tolist())
    ]
    chosen = np.random.default_rng([seed, 5]).permutation(len(references))[: len(texts)]
    beside = [references[index] for index in sorted(chosen.tolist())]
    is_there = finished_digest(config.corpus) == audited.manifest.corpus_digest
    items = find_items(texts, config.corpus if is_there else None)
    tokens, beside_tokens = (sum(map(len, rows)) for rows in (written, beside))
    result = measure_personal(items, len(texts), tokens, [model.decode(ids) for ids in beside], beside_tokens)
    return result, [asdict(item) for item in items]


def _write(audited: _Audited, prompts: Sequence[list[int]], what: str) -> list[list[int]]:
    """What the model writes behind prompts, as the run's configuration has it drawn."""
    settings, written = audited.config.evaluation, []
    for first in progress(range(0, len(prompts), BATCH), f"continuing {what}", unit="batches"):
        some = prompts[first : first + BATCH]
        written += generate(
            audited.network,
            some,
            max_new_tokens=min(SAMPLE_TOKENS, audited.model.window - max(map(len, some))),
            temperature=settings.temperature,
            top_p=settings.top_p,
            seed=audited.config.seed + first,
            stop_token=audited.manifest.end_of_text,
        )
    return written


MAKE: dict[str, Callable[[_Audited, int, int], Part]] = {
    "memorisation": _memorisation,
    "canaries": _canaries,
    "personal_data": _personal_data,
}
"""What makes each part, from the numbers of passages and of samples that are wanted."""


def describe(result: dict[str, Any]) -> str:
    """What a person reads."""
    lines = [*_memorisation_lines(result["memorisation"]), *_canary_lines(result["canaries"])]
    lines += [*_personal_lines(result["personal_data"]), *(f"note: {note}" for note in result["notes"])]
    for name, found in result.get("texts", {}).items():
        lines += ["", f"texts, {name}:", *(json.dumps(one, ensure_ascii=False) for one in found)]
    return "\n".join(lines)


def _share(found: dict[str, Any]) -> str:
    if found["rate"] is None:
        return "none to ask for"
    return f"{found['found']:,} of {found['of']:,}, {found['rate']:.2%} ({found['low']:.2%} to {found['high']:.2%})"


def _memorisation_lines(found: dict[str, Any]) -> list[str]:
    tokens = found["continuation_tokens"]
    lines = [f"passages continued exactly, {tokens} tokens after {found['prefix_tokens']} (95 % intervals)"]
    for title, figures in (
        ("seen {} times", found["by_times_seen"]),
        ("in {} other training documents too", found["by_copies"]),
        ("never trained on: held out, {}", found["held_out"]),
    ):
        lines += [f"  {title.format(name):<44} {_share(figure)}" for name, figure in figures.items()]
    if not (found["by_times_seen"] or found["held_out"]):
        lines.append(f"  no document has {2 * tokens} tokens")
    if found["searched_tokens"] < found["training_tokens"]:
        lines.append(f"  copies in {found['searched_tokens']:,} of {found['training_tokens']:,} training tokens")
    if found["longest"]:
        lines.append(f"  longest, of {found['extended']:,} of {found['exact']:,} that were continued exactly:")
    lines += [
        f"    {one['exact_tokens']:>6,} tokens  {one['source']}/{one['document']}  seen {one['times_seen']:g} times"
        for one in found["longest"][:5]
    ]
    return lines


def _canary_lines(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return ["", "canaries: none were planted (data.canaries)"]
    lines = [
        "",
        f"canaries: exposure in bits, {found['most_exposure']:.2f} at most among {found['candidates']:,} candidates, "
        f"{found['exposure_by_chance']:.2f} by chance",
    ]
    for times, one in found["by_times_planted"].items():
        mean, lowest, highest = (one["exposure"][key] for key in ("mean", "lowest", "highest"))
        lines.append(
            f"  planted {times} times, seen {one['mean_times_seen']:.1f}: {mean:.2f}, from {lowest:.2f} to "
            f"{highest:.2f}; the secret written for {_share(one['written'])}"
        )
    return lines


def _personal_lines(found: dict[str, Any]) -> list[str]:
    written, held_out = found["written"], found["held_out"]
    lines = ["", "personal data per 1,000 tokens, written | in held-out text"]
    for kind, one in written["by_kind"].items():
        cells = (one["per_1000_tokens"], held_out["by_kind"][kind]["per_1000_tokens"])
        shown = " | ".join("–" if cell is None else f"{cell:.3f}" for cell in cells)
        lines.append(f"  {kind:<8} {shown}")
    lines.append(f"  samples with any: {_share(written['samples_with_any'])} | {_share(held_out['samples_with_any'])}")
    lines.append(
        f"  of what was written {found['in_training_text']:,} stand in the training text, {found['made_up']:,} do not, "
        f"{found['not_looked_up']:,} were not looked up"
    )
    return lines
