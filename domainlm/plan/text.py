"""The plan as text for a terminal."""

import textwrap
from collections.abc import Iterable, Sequence

from data.progress import duration
from domainlm.plan.advice import Advice
from domainlm.plan.build import Plan
from domainlm.plan.costs import HostMemory, Saving
from domainlm.plan.placement import Fit
from domainlm.plan.scaling import short
from domainlm.plan.verdict import Verdict
from domainlm.plan.ways import said_tokens
from train.engine.placement import Placement
from train.hardware import HardwareConfig

WIDTH = 100
OFFLOADED = {"none": "", "optimizer": "optimizer", "optimizer, parameters": "all"}
NOT_KNOWN = "not known"
PARTS = {"states": 8, "gathered": 9, "buckets": 8, "kept": 8, "loss": 8, "host": 7}
"""Columns of a device's memory, and how wide they are."""

RECOMPUTED: dict[int | str, str] = {0: "", "selective": "selective"}

ANSWERS = {
    "train": "TRAIN FROM SCRATCH: the text is enough",
    "train, but": "TRAIN FROM SCRATCH, BUT:",
    "do not": "DO NOT TRAIN FROM SCRATCH:",
    "continue": "NOT FROM SCRATCH:",
    "demonstration": "A DEMONSTRATION, which is worth training as it is:",
    "unknown": "WHETHER TO TRAIN FROM SCRATCH is not known yet:",
}


def describe(planned: Plan) -> str:
    """The plan as tables for people."""
    parts = [
        [planned.name],
        _rows(_size(planned)),
        _sources(planned),
        _heading(f"memory of one {planned.machine.device}, {_machines(planned)}", _memory(planned)),
        _heading("time and money" if planned.hardware else "time", _rows(_time(planned))),
        _heading("advice", _advice(planned)),
        _heading("ways to a specialist", _ways(planned)),
        _heading(ANSWERS[planned.verdict.answer], _verdict(planned.verdict)),
    ]
    return "\n".join(line for part in parts for line in part)


def _heading(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, *lines] if lines else ["", title]


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [line for name, value in rows for line in _wrapped(value, f"  {name:<24} ", 27)]


def _wrapped(text: str, begin: str, indent: int) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=begin,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _size(planned: Plan) -> list[tuple[str, str]]:
    best = " or ".join(f"{short(one.parameters)} on {short(one.tokens)} tokens" for one in planned.chinchilla)
    six, eight = _by_parameters(planned)
    trained = f"; those of an adapter are trained, {planned.trained_parameters:,}" if _adapts(planned) else ""
    return [
        ("parameters", f"{planned.parameters:,}{trained}"),
        ("steps", f"{planned.steps:,}"),
        ("tokens", f"{planned.tokens:,}  ({planned.tokens_per_parameter:.1f} per parameter)"),
        ("FLOP per token", f"{planned.flop_per_token:.4g}"),
        (
            "FLOP in all",
            f"{planned.training_flop:.4g}  ({planned.hardware_flop:.3g} by {six}, or {eight} when recomputing)",
        ),
        ("Chinchilla", f"{best} for this computation (approaches 1 and 2)"),
        (
            "key-value cache",
            f"{planned.kv_cache_bytes_per_token / 1e3:,.4g} kB a token in bf16, {gigabytes(planned.kv_cache_bytes)} "
            "for a text of full length",
        ),
        ("width for depth", f"{planned.width_for_depth:,.0f} suits this many layers (Levine et al. 2020)"),
    ]


def _adapts(planned: Plan) -> bool:
    return planned.trained_parameters != planned.parameters


def _by_parameters(planned: Plan) -> tuple[str, str]:
    """What the field's shorthand counts for each token, and with recomputation: less where weights are frozen."""
    return ("4 N", "6 N") if _adapts(planned) else ("6 N", "8 N")


def _sources(planned: Plan) -> list[str]:
    if not planned.epochs:
        return ["  passes over each source: known after `domainlm tokenize`"]
    lines = [f"  {'source':<28} {'unique tokens':>17} {'share':>7} {'passes':>7} {'worth in new tokens':>20}"]
    for name, passes in planned.epochs.items():
        lines.append(
            f"  {name:<28} {planned.training_tokens[name]:>17,} {planned.mixture[name]:>7.1%} {passes:>7.2f} "
            + (NOT_KNOWN.rjust(20) if (worth := planned.effective_tokens[name]) is None else f"{worth:>20,.0f}")
        )
    return lines


def _machines(planned: Plan) -> str:
    machine = planned.machine
    what = ("rank" if machine.is_cpu else "GPU") + ("s" if machine.devices > 1 else "")
    nodes = f"{machine.nodes} × {machine.devices_per_node} = " if machine.nodes > 1 else ""
    memory = f"{gigabytes(machine.usable_memory)} of {gigabytes(machine.memory)} usable"
    return f"of {nodes}{machine.devices:,} {what}: {memory}"


def _memory(planned: Plan) -> list[str]:
    """A line for each placement with the largest micro-batch that fits; the configured and the advised one marked."""
    head = f"    {'ZeRO':<4} {'offload':<9} {'recompute':<9} {'micro-batch':>12} {'GB':>7} ="
    lines = [head + "".join(f"{column:>{width}}" for column, width in PARTS.items())]
    configured, advised = planned.configured, planned.advice.placement
    for fit in planned.fits:
        marks = ("▸" if fit.placement == configured else " ") + ("★" if fit.placement == advised else " ")
        lines.append(f" {marks} {_fit(fit)}".rstrip())
    over = "" if planned.memory.total <= planned.machine.usable_memory else ": DOES NOT FIT"
    lines.append(
        f" ▸  configured; with its micro-batch {planned.micro_batch} it takes {gigabytes(planned.memory.total)}{over}"
        + (" · ★ advised" if advised else "")
    )
    return [*lines, *_contexts(planned), *_host(planned.host)]


def _contexts(planned: Plan) -> list[str]:
    """How long a sequence may be, by how many devices share it."""
    if not planned.longest_contexts:
        return []
    each = [
        f"{context.tokens:,} with sequence_ranks {context.sequence_ranks}"
        + (" (configured)" if context.sequence_ranks == planned.sequence_ranks else "")
        for context in planned.longest_contexts
    ]
    return _wrapped(f"longest context, placed as configured: {', '.join(each)}", " " * 4, 6)


def _host(host: HostMemory) -> list[str]:
    """The memory of a machine itself, where the configured run takes any."""
    if not host.total:
        return []
    shares = ((host.of_steps, "of steps"), (host.snapshots, "of copies for saves"))
    parts = [f"{gigabytes(size)} {what}" for size, what in shares if size]
    if len(parts) > 1:
        parts.append(f"{gigabytes(host.total)} in all")
    if host.machine is None:
        there = "hardware.memory_gigabytes_per_node would say whether it fits"
    else:
        there = f"it has {gigabytes(host.machine)}" + ("" if host.total <= host.machine else ": DOES NOT FIT")
    return _wrapped(f"each machine's own memory: {', '.join(parts)}; {there}", " " * 4, 6)


def _fit(fit: Fit) -> str:
    memory, placement = fit.memory, fit.placement
    parts = (memory.states, memory.gathered, memory.buckets, memory.activations, memory.loss, memory.host)
    return (
        f"{placement.zero_stage:<4} {OFFLOADED[placement.offload]:<9} {RECOMPUTED.get(placement.recompute, 'yes'):<9} "
        f"{fit.micro_batch or 'does not fit':>12} {_figure(memory.total):>7} ="
        + "".join(
            f"{_figure(part) if part else '':>{width}}" for part, width in zip(parts, PARTS.values(), strict=True)
        )
    )


def _figure(size: int) -> str:
    return f"{size / 1e9:.3f}" if size < 1e10 else f"{size / 1e9:.1f}"


def _time(planned: Plan) -> list[tuple[str, str]]:
    costs, saved = planned.costs, planned.saving
    six, eight = _by_parameters(planned)
    shares = f"MFU {costs.mfu:.1%} ({costs.mfu_of_parameters:.1%} by {six}), HFU {costs.hfu:.1%}"
    source = "timed on this machine" if planned.machine.step_flops else f"at an assumed {shares}"
    rows = [
        ("a step", f"{costs.seconds_per_step:.3g} s, {short(costs.tokens_per_second)} tokens/s {source}"),
        (
            "a device",
            f"{costs.tflops_of_parameters:.3g} TFLOP/s by {six} ({eight} recomputing), {costs.tflops:.3g} with "
            "attention",
        ),
    ]
    if planned.machine.devices > 1:
        rows.append(("traffic of a step", _traffic(planned)))
    rows.append(("computing", duration(costs.computing_days * 86_400)))
    return rows + (_running(planned, saved) if saved else [])


def _running(planned: Plan, saved: Saving) -> list[tuple[str, str]]:
    """What follows from failures and prices."""
    costs, hardware = planned.costs, planned.hardware
    rows = [
        ("with saves and failures", f"{costs.days:.1f} days, {saved.lost_share:.1%} of them lost"),
        ("GPU-hours", f"{costs.device_hours:,.0f}"),
    ]
    if costs.money is not None and hardware:
        rows.append(("money", f"{hardware.currency} {costs.money:,.0f}"))
    if costs.kilowatt_hours is not None and hardware:
        whose = "watts_per_gpu" if hardware.watts_per_gpu else "the data sheet; machines and cooling come on top"
        rows.append(("energy", f"{costs.kilowatt_hours:,.0f} kWh at {hardware.watts:,g} W a GPU ({whose})"))
    if planned.budget:
        device_hours, said = planned.budget
        share = device_hours / costs.device_hours
        over = "" if share >= 1 else f": it stops the run after about {share:.0%} of its tokens"
        in_hours = "" if "GPU-hours" in said else f", {format(device_hours, _precision(device_hours))} GPU-hours"
        rows.append(("budget", f"{said}{in_hours}{over}"))
    return [
        *rows,
        (
            "a checkpoint",
            f"{gigabytes(saved.checkpoint_bytes)} ({gigabytes(saved.kept_bytes)} on disk at once), written in "
            f"{duration(saved.seconds)}; the weights in bf16 {gigabytes(saved.weights_bytes)}",
        ),
        (
            "failures",
            f"one in {saved.hours_between_failures:.0f} h is to be expected: save every "
            f"{duration(saved.interval_seconds)} (Young–Daly)",
        ),
    ]


def _traffic(planned: Plan) -> str:
    between = planned.traffic.seconds_between_nodes
    exchanged = planned.traffic.exchanged
    within = f", {gigabytes(exchanged)} of it between devices that share sequences" if exchanged else ""
    return f"{gigabytes(planned.traffic.bytes_per_device)} a device{within}" + (
        f", {between:.3g} s of the network between machines" if between else ""
    )


def _advice(planned: Plan) -> list[str]:
    advice, doubt = planned.advice, [f"  {planned.doubt}"] if planned.doubt else []
    if advice.placement is None:
        return [*doubt, "  the model does not fit in any way shown: take more devices, or devices with more memory"]
    rows = [f"  {line}" for line in _settings(planned, advice)]
    return [*doubt, *rows] or ["  the settings of memory and saving are as they should be"]


def _settings(planned: Plan, advice: Advice) -> list[str]:
    """The overrides that would follow the advice; empty where the configuration does already."""
    assert advice.placement is not None
    wanted, has = advice.placement, planned.configured
    settings = []
    if (wanted.zero_stage, wanted.offload) != (has.zero_stage, has.offload):
        settings.append(f"training.deepspeed={deepspeed_file(wanted)}")
    if wanted.recompute != has.recompute:
        checkpointing = "selective" if wanted.recompute == "selective" else str(bool(wanted.recompute)).lower()
        settings.append(f"training.activation_checkpointing={checkpointing}")
    if advice.micro_batch != planned.micro_batch:
        settings.append(f"training.micro_batch={advice.micro_batch}")
    if advice.save_every and not 0.5 <= planned.save_every / advice.save_every <= 2:
        settings.append(f"training.save_every={advice.save_every}")
    return settings


def deepspeed_file(placement: Placement) -> str:
    """The shipped DeepSpeed file of a placement."""
    suffix = {"none": "", "optimizer": "-offload", "optimizer, parameters": "-offload-all"}[placement.offload]
    return f"configs/deepspeed/zero{placement.zero_stage}{suffix}.json"


def _ways(planned: Plan) -> list[str]:
    """A column for each way, and below them what each figure is."""
    hardware, found = planned.hardware, planned.ways
    hours = "GPU-hours" if hardware else "device-hours"
    rows: list[tuple[str, list[str]]] = [
        ("", [way.name for way in found]),
        ("trained on", [said_tokens(way) for way in found]),
        (hours, [_known(way.device_hours, _precision(way.device_hours)) for way in found]),
        ("time", [_days(way.days) for way in found]),
    ]
    if hardware and hardware.price_per_gpu_hour is not None:
        rows.append(("money", [_known(way.money, _precision(way.money), f"{hardware.currency} ") for way in found]))
    if hardware and hardware.watts:
        rows.append(("kWh", [_known(way.kilowatt_hours, _precision(way.kilowatt_hours)) for way in found]))
    sources = dict.fromkeys(source for way in found for source in way.bits_per_byte)
    for source in sources or [""]:
        label = f"bits per byte {source}".strip()
        rows.append((label, [_known(way.bits_per_byte.get(source), ".3f") for way in found]))
    for source, spent in planned.device_hours_of_a_hundredth.items():
        rows.append((f"0.01 less {source}", [_spent(spent, hardware)]))
    width = max(24, *(len(label) for label, _ in rows))
    lines = [f"  {label:<{width}} " + " ".join(f"{cell:>16}" for cell in cells) for label, cells in rows]
    return [line.rstrip() for line in lines] + [line for way in found for line in _item(f"{way.name}: {way.says}")]


def _spent(hours: float, hardware: HardwareConfig | None) -> str:
    """Device-hours, and what of money and energy is known of them."""
    parts = [f"{hours:{_precision(hours)}} h"]
    if hardware and hardware.price_per_gpu_hour is not None:
        money = hours * hardware.price_per_gpu_hour
        parts.append(f"{hardware.currency} {money:{_precision(money)}}")
    if hardware and hardware.watts:
        energy = hours * hardware.watts / 1_000
        parts.append(f"{energy:{_precision(energy)}} kWh")
    return ", ".join(parts)


def _precision(value: float | None) -> str:
    """Whole numbers, three figures below a hundred."""
    return ",.0f" if value is None or value >= 100 else ".3g"


def _days(days: float | None) -> str:
    if days is None:
        return NOT_KNOWN
    return duration(days * 86_400) if days else "none"


def _known(value: float | None, form: str, before: str = "") -> str:
    return NOT_KNOWN if value is None else before + format(value, form)


def _verdict(given: Verdict) -> list[str]:
    lines = [line for reason in given.reasons for line in _item(reason)]
    if given.would_change:
        lines += ["  what would change this:", *(line for change in given.would_change for line in _item(change))]
    return lines


def _item(text: str) -> list[str]:
    return _wrapped(text, "  · ", 4)


def gigabytes(size: float) -> str:
    """Bytes in three figures of GB, or of TB or MB where that is shorter."""
    if size >= 0.9995e12:
        return f"{size / 1e12:.3g} TB"
    return f"{size / 1e9:.3g} GB" if size >= 1e8 else f"{size / 1e6:.3g} MB"
