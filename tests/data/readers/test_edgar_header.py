import datetime

import pytest

from data.interval import Interval
from data.readers.edgar_header import read_header


def archive(released: str = "20231103", **values: str) -> str:
    lines = [f"<SEC-DOCUMENT>0000320193-23-000106.txt : {released}"] if released else []
    if "accepted" in values:
        lines.append(f"<ACCEPTANCE-DATETIME>{values.pop('accepted')}")
    names = {"filed": "FILED AS OF DATE", "changed": "DATE AS OF CHANGE", "period": "CONFORMED PERIOD OF REPORT"}
    lines += [f"{names[name]}:\t\t{value}" for name, value in values.items() if name in names]
    return "\n".join([*lines, *(["<PRIVATE-TO-PUBLIC>"] if "private" in values else []), values.get("more", "")])


def day(text: str) -> datetime.date:
    return datetime.date.fromisoformat(text)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        # Filed on the last day of a year and released on the first of the next; the period is weeks too early.
        (archive("19990101", filed="19981231", period="19981215"), "accepted 19990101 19990101 filed"),
        # After 17:30 in Washington: accepted on one day, filed and released on the next.
        (
            archive(accepted="20231102180827", filed="20231103", changed="20231102"),
            "accepted 20231102 20231103 accepted",
        ),
        (archive(accepted="20231102180827", filed="20231103", changed="20231102"), "filed 20231103 20231103 filed"),
        # 21:30 in winter is of the next day in UTC.
        (archive("20240102", accepted="20240102213000", filed="20240102"), "accepted 20240103 20240103 accepted"),
        (archive("20240102", accepted="20240102213000", filed="20240102"), "filed 20240103 20240103 filed"),
        (archive("20240702", accepted="20240702193000", filed="20240702"), "accepted 20240702 20240702 accepted"),
        # A filing date that was put back afterwards.
        (archive("20240105", filed="20240105", changed="20240110"), "accepted 20240105 20240110 filed"),
        ("<FILING-DATE>20250110<DATE-OF-FILING-DATE-CHANGE>20250110", "accepted 20250110 20250110 filed"),
        # Letters that were kept back count from their release.
        (
            archive("20240614", filed="20240306", accepted="20240306120000", private=""),
            "accepted 20240614 20240614 filed",
        ),
        ("<TIMESTAMP>20090217:132500\n<PRIVATE-TO-PUBLIC>\n<FILING-DATE>20071018", "filed 20090217 20090217 filed"),
        (
            archive("20240806", filed="20240806", private="", more="<PUBLIC-REL-DATE>20250401"),
            "filed 20250401 20250401 filed",
        ),
    ],
)
def test_the_day_on_which_the_public_could_read_it(header: str, expected: str) -> None:
    choice, first, last, kind = expected.split()
    found = read_header(header, "a.txt", "accepted" if choice == "accepted" else "filed")
    assert found.date == Interval(day(first), day(last))
    assert found.date_kind == kind


@pytest.mark.parametrize(
    "header",
    [
        "",
        archive("", period="19981215"),
        archive("", filed="20071018", private=""),
        archive("19991332", filed="1999"),
        "<ACCEPTANCE-DATETIME>20231102180827",
    ],
)
def test_without_a_day_of_release_or_filing_there_is_no_date(header: str) -> None:
    assert read_header(header, "a.txt", "accepted").date is None


def test_what_a_submission_is_called() -> None:
    old = "<IMS-DOCUMENT>0000000001-96-000002.txt : 19960104\nACCESSION NUMBER:\t0000000001-96-000002\n"
    old += "CONFORMED SUBMISSION TYPE:\t10-K405\nCOMPANY CONFORMED NAME:\t\tOLD CO\nCENTRAL INDEX KEY: 0000000077\n"
    found = read_header(old, "x", "accepted")
    assert found[:4] == (
        "0000000001-96-000002",
        "10-K405",
        "OLD CO",
        "https://www.sec.gov/Archives/edgar/data/77/0000000001-96-000002.txt",
    )
    assert found.date == Interval.of_day(datetime.date(1996, 1, 4))
    feed = "<SUBMISSION>\n<ACCESSION-NUMBER>0000000001-25-000002\n<TYPE>SC TO-T/A<FILER><CONFORMED-NAME>NEW CO<CIK>88"
    assert read_header(feed + "<FORM-TYPE>SC 13D", "x", "accepted")[1:3] == ("SC TO-T/A", "NEW CO")
    assert read_header("", "9/edgar_0000899681-95-000096.txt", "accepted")[0] == "0000899681-95-000096"
