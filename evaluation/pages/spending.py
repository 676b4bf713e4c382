"""Where a run's time and money went, on its report: one bar by cause, and a table of the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from data.progress import duration
from evaluation.pages.drawing import COLOURS, INK, WIDE, Plot, png, single_figure
from evaluation.pages.html import Row, Table

LEAST_LABELLED_SHARE = 0.06
"""A narrower part of the bar has its share in the legend only."""


@dataclass(frozen=True)
class Spending:
    """A run's time by cause, in the order in which causes are shown; the first is what the run is for."""

    device_hours: Mapping[str, float]
    meaning: Mapping[str, str]
    money: Mapping[str, float] | None
    """None: no price is known."""
    currency: str
    wall_seconds: float
    """Of all sessions of the run, one after the other."""
    between_seconds: float
    """Between them, when nothing was occupied."""
    sessions: int

    def __str__(self) -> str:
        (cause, hours), *_ = self.device_hours.items()
        share = hours / max(sum(self.device_hours.values()), 1e-9)
        sessions = "one session" if self.sessions == 1 else f"{self.sessions} sessions"
        waited = f", with {duration(self.between_seconds)} between them" if self.sessions > 1 else ""
        return (
            f"{share:.1%} of the device-hours went into {cause}: {self.meaning[cause]}. The run took "
            f"{duration(self.wall_seconds)} in {sessions}{waited}."
        )


def spending_table(spending: Spending) -> Table:
    """Hours, share and money of each cause, and of all."""
    whole = sum(spending.device_hours.values())
    hours = {f"{cause}: {spending.meaning[cause]}": x for cause, x in spending.device_hours.items()} | {"in all": whole}
    columns = [
        [f"{x:,.3f}" for x in hours.values()],
        [f"{x / whole:.1%}" if whole else "–" for x in hours.values()],
    ]
    if spending.money is not None:
        columns.append([f"{x:,.2f}" for x in (*spending.money.values(), sum(spending.money.values()))])
    rows = [Row(label, 0, list(cells)) for label, *cells in zip(hours, *columns, strict=True)]
    return Table(["device-hours", "share"] + [spending.currency] * (spending.money is not None), rows)


def spending_plot(spending: Spending) -> list[Plot]:
    """One bar, divided by cause; nothing where no time has passed."""
    whole = sum(spending.device_hours.values())
    if not whole:
        return []
    figure, axes = single_figure(WIDE, 1.5)
    begin = 0.0
    for (cause, hours), colour in zip(spending.device_hours.items(), COLOURS, strict=False):
        share = hours / whole
        bars = axes.barh([0], [share], left=begin, color=colour, height=0.6, label=f"{cause} {share:.1%}")
        if share >= LEAST_LABELLED_SHARE:
            axes.bar_label(bars, [f"{share:.0%}"], label_type="center", fontsize=10, color="white", fontweight="bold")
        begin += share
    axes.set_xlim(0, 1)
    axes.axis("off")
    axes.legend(
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        ncols=len(spending.device_hours),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
    )
    return [Plot("spending", "Device-hours by cause", png(figure), wide=True)]
