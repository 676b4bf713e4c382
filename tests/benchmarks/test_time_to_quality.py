import pytest

from benchmarks.time_to_quality import bits_at, rows_of, seconds_to

OURS = [(0.0, 3.0), (10.0, 2.0), (20.0, 1.5)]
THEIRS = [(0.0, 3.0), (20.0, 2.0), (40.0, 1.75)]


@pytest.mark.parametrize(("bits", "seconds"), [(3.0, 0.0), (2.5, 5.0), (2.0, 10.0), (1.75, 15.0), (1.5, 20.0)])
def test_a_value_is_reached_on_the_line_between_two_evaluations(bits: float, seconds: float) -> None:
    assert seconds_to(OURS, bits) == pytest.approx(seconds)


def test_a_value_below_the_curve_is_never_reached() -> None:
    assert seconds_to(OURS, 1.49) is None


def test_the_first_time_counts_where_a_curve_rises_again() -> None:
    assert seconds_to([(0.0, 3.0), (10.0, 2.0), (20.0, 2.5), (30.0, 1.0)], 2.25) == pytest.approx(7.5)


def test_nothing_is_made_up_of_the_time_before_the_first_evaluation() -> None:
    assert seconds_to(OURS[1:], 2.75) == 10.0
    assert bits_at(OURS[1:], 1.0) == 2.0


@pytest.mark.parametrize(("seconds", "bits"), [(0.0, 3.0), (5.0, 2.5), (15.0, 1.75), (99.0, 1.5)])
def test_bits_at_a_time_and_behind_the_end(seconds: float, bits: float) -> None:
    assert bits_at(OURS, seconds) == pytest.approx(bits)


def test_rows_set_ours_first_and_tell_how_much_longer_the_other_takes() -> None:
    last = rows_of("text / future", ["ours", "before"], [[{"text / future": OURS}, {"text / future": THEIRS}]], False)
    assert [(row.name, row.median, row.ratio) for row in last] == [
        ("text / future to 1.750: ours", 15.0, 1.0),
        ("text / future to 1.750: before", 40.0, pytest.approx(40 / 15)),
        ("text / future after 20 CPU-s: ours", 1.5, 1.0),
        ("text / future after 20 CPU-s: before", 2.0, 1.0),
    ]
    every = rows_of("text / future", ["ours", "before"], [[{"text / future": OURS}, {"text / future": THEIRS}]])
    assert [row.name for row in every if row.name.endswith("ours")][:2] == [
        "text / future to 2.000: ours",
        "text / future to 1.750: ours",
    ]


def test_what_ours_never_reaches_has_no_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = rows_of("text / future", ["ours", "before"], [[{"text / future": THEIRS}, {"text / future": OURS}]], False)
    assert [row.unit for row in rows] == ["bits per byte", "bits per byte"]
    assert "ours never has the 1.500 that before has after 20 CPU-seconds" in capsys.readouterr().err
