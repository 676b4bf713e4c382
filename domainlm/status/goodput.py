"""A run's ledger of time, energy and money as people see it, and as the report takes it."""

from evaluation.pages.spending import Spending
from train.records.ledger import CAUSES, Cause, Ledger

MEANING: dict[Cause, str] = {
    "training": "steps that count",
    "repeated": "steps that a failure or a rewind has lost",
    "evaluation": "held-out text",
    "saving": "training stood still for checkpoints",
    "starting": "from the process's start to its first step",
    "other": "spikes examined, steps skipped, everything between the steps, hanging",
}


def to_spending(ledger: Ledger, currency: str = "$") -> Spending | None:
    """The ledger as the report takes it; None where nothing has been trained."""
    if not ledger.sessions:
        return None
    return Spending(
        device_hours={str(cause): hours for cause, hours in ledger.device_hours.items()},
        meaning={str(cause): meaning for cause, meaning in MEANING.items()},
        money=None if ledger.money is None else {str(cause): spent for cause, spent in ledger.money.items()},
        currency=currency,
        wall_seconds=ledger.wall_seconds,
        between_seconds=ledger.between_seconds,
        sessions=len(ledger.sessions),
    )


def describe(ledger: Ledger, currency: str = "$") -> list[str]:
    """The ledger as lines of a table."""
    hours, money = ledger.device_hours, ledger.money
    whole = sum(hours.values())
    energy = ledger.kilowatt_hours
    drawn = f"{sum(energy.values()):,.4g} kWh at {ledger.watts_per_device:,g} W a device" if energy is not None else ""
    rows = [*((cause, hours[cause], MEANING[cause]) for cause in CAUSES), ("in all", whole, drawn)]
    lines = []
    for cause, spent, meaning in rows:
        price = f" {currency} {spent * (ledger.price_per_device_hour or 0):>12,.2f}" if money is not None else ""
        lines.append(
            f"  {cause:<11} {spent:>12,.3f} h {spent / whole if whole else 0:>7.1%}{price}   {meaning}".rstrip()
        )
    return lines
