"""What a check of `domainlm doctor` found: a verdict, what was seen, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}


@dataclass(frozen=True)
class Finding:
    """One line of the examination."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    seen: str
    to_do: str = ""


def describe(findings: Sequence[Finding]) -> str:
    """The findings as a table, and what to do below each that is not in order."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.verdict]} {finding.verdict:<4}  {finding.name:<{width}}  {finding.seen}")
        if finding.to_do:
            lines.append(f"{'':>{width + 10}}→ {finding.to_do}")
    counts = [f"{sum(finding.verdict == verdict for finding in findings)} {verdict}" for verdict in MARKS]
    return "\n".join([*lines, "", ", ".join(counts)])
