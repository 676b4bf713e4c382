"""Where a run's time and money went, on its report: one bar by cause, and a table of the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from data.progress import duration
from evaluation.pages.charts import Bar, Bars, Segment
from evaluation.pages.drawing import COLOURS, Plot
from evaluation.pages.figures import figure, pointer
from evaluation.pages.html import Row, Table


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


def spending_table(spending: Spending, file: str = "report.json") -> Table:
    """Hours, share and money of each cause, and of all; `file` has the spending as `asdict` makes it."""
    columns = ["device-hours", "share"] + [spending.currency] * (spending.money is not None)
    every = pointer(file, "spending", "device_hours", "*")
    whole = sum(spending.device_hours.values())
    rows = []
    for cause in (*spending.device_hours, "*"):
        hours = spending.device_hours.get(cause, whole)
        source = pointer(file, "spending", "device_hours", cause)
        cells: list[str] = [figure(hours, ",.3f", source)]
        cells.append(figure(hours / whole, ".1%", source, per=[every]) if whole else "–")
        if spending.money is not None:
            spent = spending.money.get(cause, sum(spending.money.values()))
            cells.append(figure(spent, ",.2f", pointer(file, "spending", "money", cause)))
        rows.append(Row("in all" if cause == "*" else f"{cause}: {spending.meaning[cause]}", 0, cells))
    return Table(columns, rows)


def spending_plot(spending: Spending, file: str = "report.json") -> list[Plot]:
    """One bar, divided by cause; nothing where no time has passed."""
    whole = sum(spending.device_hours.values())
    if not whole:
        return []
    every = pointer(file, "spending", "device_hours", "*")
    segments = []
    for cause, hours in spending.device_hours.items():
        said = figure(hours / whole, ".1%", pointer(file, "spending", "device_hours", cause), per=[every])
        segments.append(Segment(f"{cause} {said}", hours / whole, said))
    legend = {part.label: place % len(COLOURS) for place, part in enumerate(segments)}
    return [Plot("spending", "Device-hours by cause", Bars({"": [Bar("all", segments)]}, legend), wide=True)]
