import io

import pytest

from data.readers import mail as module
from data.readers.mail import read_mail
from data.readers.rows import LeftOut, MalformedError
from tests.data.readers.samples import LETTERS


def rows(content: bytes) -> list[tuple[int, object]]:
    return list(read_mail(io.BufferedReader(io.BytesIO(content)), "a.mbox"))  # type: ignore[arg-type]


def only(content: bytes) -> dict[str, object]:
    [(line, found)] = rows(content)
    assert line == 1
    assert isinstance(found, dict), found
    return found


def test_letters_of_a_file() -> None:
    enclosed, first, second = rows(LETTERS)
    assert enclosed == (1, LeftOut("attachment of type image/…"))
    assert first[0] == 1
    assert isinstance(first[1], dict)
    assert first[1]["text"] == "The flour is schön.\nFrom here on we grind rye.\n> When do you grind?"
    assert first[1]["title"] == "Grüße from the mill"
    assert first[1]["id"] == "first@example.org"
    assert (str(first[1]["date"]), first[1]["date_kind"]) == ("2002-01-03", "sent")
    assert second[0] == 2
    assert isinstance(second[1], dict)
    assert second[1]["text"] == "Send three sacks.\n\n- rye\n- spelt"


EARLY, LATE = "Thu, 3 Jan 2002 23:00:00 +0000", "Sat, 5 Jan 2002 01:00:00 +0200"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([f"Date: {EARLY}"], "2002-01-03"),
        ([f"Date: {EARLY}", f"Received: by b; {LATE}"], "2002-01-03 to 2002-01-04"),
        ([f"Received: by b; {LATE}", f"Received: by a; {EARLY}"], "2002-01-03 to 2002-01-04"),
        (["Date: Mon, 1 Jan 2001 10:00:00 +0000", f"Received: by b; {LATE}"], "2001-01-01 to 2002-01-04"),
        (["Date: Tue, 1 Jan 2030 10:00:00 +0000", f"Received: by b; {LATE}"], "2002-01-04"),  # forged, or a clock
        (["Date: nonsense"], "None"),
        ([], "None"),
    ],
)
def test_dates_reach_to_the_last_server_and_never_beyond(headers: list[str], expected: str) -> None:
    found = only("\n".join(["Subject: a", *headers, "", "words"]).encode())
    assert str(found["date"]) == expected
    assert found["date_kind"] == (None if expected == "None" else "sent")


def test_the_line_before_a_letter_stands_for_a_server() -> None:
    found = only(b"From a@b Sat Jan  5 12:00:00 2002\nDate: Thu, 3 Jan 2002 23:00:00 +0000\n\nwords\n")
    assert str(found["date"]) == "2002-01-03 to 2002-01-05"


def test_a_letter_alone_is_one_whatever_its_lines_begin_with() -> None:
    found = only(b"Subject: a\n\nwords\n\nFrom me Sat Jan  5 12:00:00 2002\n")
    assert found["text"] == "words\n\nFrom me Sat Jan  5 12:00:00 2002"


def test_what_is_no_letter_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    [(_, found)] = rows(b"\nno headers at all\n")
    assert isinstance(found, MalformedError)
    assert str(found) == "no letter: it has no headers"
    monkeypatch.setattr(module, "LONGEST_LETTER", 600)
    [(first, long), (second, short)] = rows(LETTERS)
    assert (first, second) == (1, 2)
    assert isinstance(long, MalformedError)
    assert "record too long" in str(long)
    assert isinstance(short, dict)


def test_unknown_encodings_are_read_as_well_as_may_be() -> None:
    found = only(b"Subject: =?no-such?q?a?=\nContent-Type: text/plain; charset=no-such\n\nsch\xc3\xb6n")
    assert found["text"] == "schön"
    [(_, refused)] = rows(b"Subject: a\nContent-Type: text/plain; charset=no-such\n\nsch\xf6n")
    assert str(refused) == "unknown encoding: no-such is said, and it is no UTF-8"


def test_letters_of_japan_are_read_by_their_escapes() -> None:
    letter = b"Subject: a\nContent-Type: text/plain; charset=iso-2022-jp\n\n" + "判決".encode("iso2022_jp")
    assert only(letter)["text"] == "判決"


def test_a_mark_of_the_byte_order_before_a_letter_is_passed_over() -> None:
    assert only(b"\xef\xbb\xbfSubject: a\n\nwords")["text"] == "words"


LETTER = "{}\nSubject: {}\nDate: {}\n\nwords of {}\n"
OLD, NEW = "Thu, 3 Jan 2002 12:00:00 +0000", "Mon, 16 May 2022 10:00:00 +0000"


@pytest.mark.parametrize(
    ("first", "second", "between"),
    [
        ("From a@b.org", "From a@b.org", "\n"),
        ("From a@b.org", "From nobody here knows", "\n"),
        ("From a@b.org", "From a@b.org", ""),
        ("From a@b.org Thu Jan  3 12:00:00 2002", "From a@b.org", "\n"),
        ("From a@b.org Thu Jan  3 12:00:00 2002", "From root Mon May 16 2022", "\n"),
        ("From a@b.org Thu Jan  3 12:00:00 2002", "From a@b.org Mon May 16 10:00:00 2022", ""),
        ("From a@b.org Thu Jan  3 12:00:00 2002", "From a at b.org  Mon May 16 10:00:00 2022", ""),
        ("From a@b.org", "From a@b.org Mon May 16 10:00:00 2022", ""),
        ("X-Kept: yes", "From a@b.org Mon May 16 10:00:00 2022", "\n"),  # the first one's envelope is lost
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_letter_never_takes_the_day_of_the_one_before(first: str, second: str, between: str, newline: str) -> None:
    content = LETTER.format(first, 1, OLD, 1) + between + LETTER.format(second, 2, NEW, 2)
    found = [fields for _, fields in rows(content.replace("\n", newline).encode())]
    assert [(one["text"], str(one["date"])) for one in found if isinstance(one, dict)] == [
        ("words of 1", "2002-01-03"),
        ("words of 2", "2022-05-16"),
    ]


def test_lines_that_begin_with_from_stay_in_their_letter() -> None:
    text = "From here\nwe go.\n\nFrom the mill we hear:\nNote: rye.\n\nFrom a@b.org\nhttps://b.org"
    found = only(f"From a@b.org Thu Jan  3 12:00:00 2002\nSubject: a\n\n{text}\n".encode())
    assert found["text"] == text


@pytest.mark.parametrize(
    ("envelope", "expected"),
    [
        ("From 8dafc3e8dafc3e Mon Sep 17 00:00:00 2001", "2022-05-16"),  # git format-patch
        ("From mboxrd@z Thu Jan  1 00:00:00 1970", "2022-05-16"),  # public-inbox
        ("From a@b.org Sat Jan  5 12:00:00 2002", "2002-01-05 to 2022-05-16"),
    ],
)
def test_an_envelope_never_makes_a_letter_older_than_its_sender_says(envelope: str, expected: str) -> None:
    assert str(only(LETTER.format(envelope, 1, NEW, 1).encode())["date"]) == expected


PLAIN, BLANK = "text/plain\n\nplain words", "text/plain; charset=utf-8\n\n\u00a0\n \n"
PAGE, CALENDAR = "text/html\n\n<p>words of a page", "text/calendar\n\nBEGIN:VCALENDAR"
FILE = "text/plain\nContent-Disposition: attachment; filename=a.txt\n\na file"
NOTICE = "text/plain\n\nThis letter is a page: see it at https://example.org/17"
LONG_PAGE = "text/html\n\n<style>" + "p {color: red} " * 99 + "</style><p>" + "words of a page " * 20
RELATED = "multipart/related; boundary=in\n\n--in\nContent-Type: text/html\n\n<p>words of a page\n--in--\n"


@pytest.mark.parametrize(
    ("alternatives", "text"),
    [
        ((PLAIN, PAGE), "plain words"),
        ((BLANK, PAGE), "words of a page"),
        ((BLANK, RELATED), "words of a page"),
        ((PAGE, CALENDAR), "words of a page"),
        ((RELATED, CALENDAR), "words of a page"),
        ((PAGE, BLANK), "words of a page"),
        ((FILE, PAGE), "words of a page"),
        ((PLAIN, CALENDAR), "plain words"),
        ((CALENDAR,), ""),
        ((NOTICE, LONG_PAGE), ("words of a page " * 20).strip()),
        ((NOTICE, LONG_PAGE.replace("words of a page ", "") + "four words are few"), NOTICE.partition("\n\n")[2]),
    ],
)
def test_of_alternatives_one_with_text_in_it_is_read(alternatives: tuple[str, ...], text: str) -> None:
    parts = "".join(f"--out\nContent-Type: {part}\n" for part in alternatives)
    found = rows(f"Subject: a\nContent-Type: multipart/alternative; boundary=out\n\n{parts}--out--\n".encode())
    assert [fields["text"] for _, fields in found if isinstance(fields, dict)] == [text]


WRITTEN = "A line of \nmany.\n\n> quo \n> ted\n>> deep \n over \n-- \nMe \n and >"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("format=flowed", "A line of many.\n\n> quo ted\n>> deep \nover \n-- \nMe and >"),
        ("format=Flowed; delsp=no", "A line of many.\n\n> quo ted\n>> deep \nover \n-- \nMe and >"),
        ("format=flowed; DelSp=YES", "A line ofmany.\n\n> quoted\n>> deep\nover\n-- \nMeand >"),
        ("format=fixed; delsp=yes", WRITTEN),
    ],
)
def test_lines_that_go_on_are_one(kind: str, text: str) -> None:
    found = only(f"Subject: a\nContent-Type: text/plain; {kind}\n\n{WRITTEN}\n".encode())
    assert found["text"] == text
