"""The doctor's table."""

from domainlm.doctor.findings import Finding, describe


def test_what_to_do_stands_below_what_is_wrong() -> None:
    shown = describe([Finding("room", "ok", "5 GB"), Finding("W&B", "warn", "gone", "go offline")]).splitlines()
    assert shown[0] == "✓ ok    room  5 GB"
    assert shown[1] == "! warn  W&B   gone"
    assert shown[2].strip() == "→ go offline"
    assert shown[-1] == "1 ok, 1 warn, 0 fail"
