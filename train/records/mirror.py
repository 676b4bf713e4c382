"""The mirror in Weights & Biases: one run over all resumes, offline unless the environment says otherwise."""

import os
import secrets
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from data.addresses import without_secrets
from data.errors import one_line
from data.files import write_atomically
from data.progress import say
from train.config import RunConfig

SMALLEST_IS_BEST = ("train/loss", "evaluation/*")
"""Figures of which W&B's summary keeps the smallest."""

IDENTITY = "wandb_id"
"""In the run's folder: its id there, and where the folder lay."""

FINISH_SECONDS = 300.0
"""How long the end of a run may wait for W&B's server; what is not uploaded by then lies in the run's folder."""


class Mirror:
    """This run in W&B. What fails there is said and ends the mirror, never the run: metrics.jsonl is the truth."""

    def __init__(self, config: RunConfig, environment: Mapping[str, Any]) -> None:
        """Start the run, or go on with it under the id that the run's folder remembers.

        A server that is asked for and does not answer within `monitoring.init_timeout_seconds` is said, and the run is
        mirrored offline.
        """
        self._run: Any = None
        mode = os.environ.get("WANDB_MODE", "offline")
        with self._giving_up():
            try:
                run = _start(config, environment, mode)
            except Exception as error:
                if mode != "online":
                    raise
                cause = one_line(error)
                say(f"W&B cannot be reached ({cause}): this run is mirrored offline; `wandb sync` uploads it later")
                import wandb

                wandb.teardown()  # wandb's own process holds on to the id of a run that it could not start
                run = _start(config, environment, "offline")
            run.define_metric("*", step_metric="step")
            for figures in SMALLEST_IS_BEST:
                run.define_metric(figures, step_metric="step", summary="min,last")
            self._run = run

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """What fails in the block ends the mirror."""
        try:
            yield
        except Exception as error:  # wandb has dozens of kinds; none of them is worth a training run
            say(f"W&B: {one_line(error)}: the run goes on without its mirror; metrics.jsonl has all figures")
            self._run = None

    def log(self, step: int, section: str, figures: Mapping[str, Any]) -> None:
        """Figures of one step under `section/`."""
        if self._run:
            with self._giving_up():
                self._run.log({"step": step, **{f"{section}/{name}": value for name, value in figures.items()}})

    def summarise(self, facts: Mapping[str, Any]) -> None:
        """Final figures, shown first by W&B."""
        if self._run:
            with self._giving_up():
                self._run.summary.update(dict(facts))

    def keep(self, folder: Path, kind: str, name: str) -> None:
        """Keep a folder's files as an artifact."""
        if self._run:
            import wandb

            with self._giving_up():
                artifact = wandb.Artifact(name, type=kind)
                artifact.add_dir(str(folder))
                self._run.log_artifact(artifact)

    def finish(self, failed: bool = False) -> None:
        if self._run:
            with self._giving_up():
                self._run.finish(exit_code=1 if failed else 0)


def _start(config: RunConfig, environment: Mapping[str, Any], mode: str) -> Any:
    if "wandb" not in sys.modules and os.environ.pop("WANDB_SERVICE", ""):
        # It would be shared, runs and their ids too, and may be gone.
        say("W&B: a service of this run's own is started, not that of the process which started it (WANDB_SERVICE)")
    import wandb

    sys.argv[1:] = map(without_secrets, sys.argv[1:])  # which W&B writes down
    monitoring = config.monitoring
    started: Any = wandb.init(
        project=monitoring.project,
        group=monitoring.group,
        job_type=monitoring.job_type,
        name=config.name,
        notes=monitoring.notes,
        tags=list(monitoring.tags),
        id=identity_of(config.run_folder),
        resume="allow",
        mode=cast(Any, mode),
        dir=str(config.run_folder),
        config={**config.model_dump(mode="json"), "environment": dict(environment)},
        settings=wandb.Settings(
            console="off",
            silent=True,
            init_timeout=monitoring.init_timeout_seconds,
            finish_timeout=FINISH_SECONDS,
        ),
    )
    return started


def identity_of(folder: Path) -> str:
    """The id of the run of a folder: its own also where the folder is a copy of one that is still there."""
    folder = folder.resolve()
    file = folder / IDENTITY
    own, *place = file.read_text("utf-8").splitlines() if file.exists() else [secrets.token_hex(4)]
    origin = Path(place[0]) if place else folder
    theirs = origin / IDENTITY
    if origin != folder and theirs.exists() and not theirs.samefile(file) and own in theirs.read_text("utf-8"):
        own = secrets.token_hex(4)
        say(f"W&B: {folder} is a copy of {origin}, which is still there: this run gets an id of its own, {own}")
    write_atomically(file, f"{own}\n{folder}\n")
    return own


def keep_reports(config: RunConfig) -> None:
    """Add the run's reports to it in W&B, where `monitoring.artifacts` asks for them."""
    if config.monitoring.wandb and config.monitoring.artifacts != "none":
        mirror = Mirror(config, {})
        mirror.keep(config.reports, "report", f"{config.name}-reports")
        mirror.finish()
