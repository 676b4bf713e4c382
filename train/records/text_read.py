"""Which text a run's weights have read, before it began too, and whether what it holds out was among it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from data.files import finished_digest, finished_inputs, value_digest
from data.shards.format import read_manifest
from evaluation.pages.wording import base_model
from train.config import RunConfig
from train.records.journal import read_journal

BEGUN = "initial weights"
"""The journal's event of a run that begins with `init_from`."""
FILES = ".files"
DRAWN_BY = ("seed", "past_fraction")
NOT_OF_A_TEXT = (
    *DRAWN_BY,
    *("sources", "cutoff", "future_fraction", "near_duplicates", "decontamination", "tombstones", "canaries"),
)
"""Of what decides a corpus, that which changes no document's text, and so not how its split is drawn."""


def text_of(config: RunConfig) -> dict[str, Any]:
    """What identifies the text of the run's shards, and how it was split, as JSON values.

    `seed`, `past_fraction`, `cleaning` (a digest of what made the texts out of the files) and `sources` (a digest of
    the files of each) are there only where the corpus lies there of which the shards are.
    """
    manifest = read_manifest(config.shards)
    known = finished_digest(config.corpus) == manifest.corpus_digest
    made = finished_inputs(config.corpus) if known else {}
    files = {key: value_digest(value) for key, value in made.items() if key.endswith(FILES)}
    sources = {key.removeprefix("sources.").removesuffix(FILES): digest for key, digest in files.items()}
    cleaning = {key: value for key, value in made.items() if key not in files and not key.startswith(NOT_OF_A_TEXT)}
    cleaning |= {key: value for key, value in made.items() if key.startswith("sources.") and key not in files}
    return {
        "shards": manifest.digest,
        "cutoff": config.model_dump(mode="json")["data"]["cutoff"],
        **{key: made[key] for key in DRAWN_BY if key in made},
        **({"cleaning": value_digest(cleaning), "sources": sources} if made else {}),
    }


def texts_read(config: RunConfig, events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The texts that a run with this journal reads or has read before it began, its own first."""
    begun = [event for event in events if event["event"] == BEGUN]
    return [text_of(config), *(begun[-1]["read"] if begun else [])]


def check_held_out(config: RunConfig, read: Sequence[Mapping[str, Any]]) -> str:
    """What a reader of held-out figures has to know of the weights of `init_from`; empty where it is nothing.

    A document's split is drawn from its text and a seed (data/corpus/split.py): with the same seed and no larger a
    fraction, what is held out was held out there too.

    Args:
        read: the texts that those weights have read; none where that is not known.

    Raises:
        ValueError: documents that are held out here were trained on there.
    """
    assert config.init_from is not None
    ours = text_of(config)
    if not any(split != "train" for split in read_manifest(config.shards).splits):
        return ""
    if not read:
        return _unknown(config.init_from)
    _refuse_shared(ours, read, config.init_from)
    unsure = [text["shards"] for text in read if not apart(ours, text)]
    if not unsure:
        return ""
    name = base_model({"init_from": config.init_from})
    return (
        f"{name}, whose weights the run began with, has read other text (shards {', '.join(unsure)}): what is held out "
        "may be in it"
    )


def notes_of_begun(config: RunConfig) -> list[str]:
    """What the run found at its start of the weights of `init_from`; an older version has not looked."""
    begun = [event for event in read_journal(config.run_folder) if event["event"] == BEGUN]
    if begun:
        return [note for note in [begun[-1]["note"]] if note]
    return [_unknown(config.init_from)] if config.init_from else []


def _unknown(folder: str) -> str:
    name = base_model({"init_from": folder})
    return f"{name}, whose weights the run began with, does not say what it has read: it may be what is held out"


def _refuse_shared(ours: Mapping[str, Any], read: Sequence[Mapping[str, Any]], folder: str) -> None:
    for text in read:
        theirs = {digest: name for name, digest in text.get("sources", {}).items()}
        shared = [name for name, digest in ours.get("sources", {}).items() if digest in theirs]
        if shared and ours["past_fraction"] > 0 and not drawn_alike(ours, text):
            was, now = (f"past_fraction {one['past_fraction']:g} and seed {one['seed']}" for one in (text, ours))
            raise ValueError(
                f"the weights in {folder} were trained on the same files of {', '.join(shared)}, split with {was}; "
                f"with {now}, documents are held out here that were trained on there: make corpus and shards with "
                f"data.past_fraction={text['past_fraction']:g} or less and seed={text['seed']}, or with "
                "data.past_fraction=0"
            )


def drawn_alike(ours: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    """Whether what is held out of a text here is held out of the same text there."""
    return bool(ours["seed"] == text["seed"] and ours["past_fraction"] <= text["past_fraction"])


def apart(ours: Mapping[str, Any], text: Mapping[str, Any]) -> bool:
    """Whether what is held out here is certainly not in a text that was read."""
    if ours["shards"] == text["shards"]:
        return True
    if "cleaning" not in ours or ours["cleaning"] != text.get("cleaning"):
        return False
    later = ours["cutoff"] is None or (text["cutoff"] is not None and text["cutoff"] <= ours["cutoff"])
    return later and drawn_alike(ours, text)
