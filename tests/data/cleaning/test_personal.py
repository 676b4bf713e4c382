import ipaddress
import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import iban, luhn

from data.cleaning.personal import MARKS, find_personal, make_scrubber

scrub = make_scrubber(MARKS)


def read_table(name: str) -> tuple[list[str], list[str]]:
    """The lines of a table that hold and those that are known to fail, which begin with `! `."""
    text = re.sub(
        r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), Path(__file__).with_name(name).read_text("utf-8")
    )
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    return [line for line in lines if line[0] != "!"], [line[2:] for line in lines if line[0] == "!"]


def is_removed(line: str) -> bool:
    """Whether marks stand in the place of all that is between ‹ and ›, or of the line, and of nothing else."""
    line = line if "‹" in line else f"‹{line}›"
    around = re.split("‹[^›]*›", line)
    scrubbed = scrub(line.replace("‹", "").replace("›", ""))[0]
    return re.fullmatch("<[A-Z]+>".join(map(re.escape, around)), scrubbed) is not None


def test_figures_of_finance_law_and_medicine_stay() -> None:
    kept, eaten = read_table("personal_kept.txt")
    assert [line for line in kept if scrub(line)[0] != line] == []
    assert [line for line in eaten if scrub(line)[0] == line] == []
    assert (len(kept), len(eaten)) == (370, 5)  # as the docs say


def test_numbers_in_the_forms_of_their_countries_go() -> None:
    removed, missed = read_table("personal_removed.txt")
    assert [line for line in removed if not is_removed(line)] == []
    assert [line for line in missed if is_removed(line)] == []
    assert (len(removed), len(missed)) == (419, 8)  # as the docs say


@pytest.mark.parametrize("space", ["\xa0", "\u2007", "\u2009", "\u202f", "-", "\u2010", "\u2011", "\u2012", "–"])
def test_spaces_and_hyphens_of_typeset_text_count_as_such(space: str) -> None:
    for number, mark in (
        ("+44 20 7946 0958", "<PHONE>"),
        ("4111 1111 1111 1111", "<CARD>"),
        ("gb82 WEST 1234 5698 7654 32", "<IBAN>"),
    ):
        assert scrub(f"at {number.replace(' ', space)}, now")[0] == f"at {mark}, now"


@pytest.mark.parametrize(
    ("figure", "number"),
    [
        ("12.3.4.5", "IP 12.3.4.5"),
        ("Clause 198.41.0.4", "198.41.0.4"),
        ("EAN 4222222222222", "Visa 4222222222222"),
    ],
)
def test_what_stands_beside_a_number_decides(figure: str, number: str) -> None:
    assert scrub(figure) == (figure, {})
    assert sum(scrub(number)[1].values()) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@mail.example.co.uk.", "Write to <EMAIL>."),
        ("<a@b.de>,müller@bücher.de;x_y%z@a-b.museum", "<<EMAIL>>,<EMAIL>;<EMAIL>"),
        ("mailto:jane@example.org?subject=x", "mailto:<EMAIL>?subject=x"),
        ("call +49 30 123456-78 or +14155550123.", "call <PHONE> or <PHONE>."),
        ("+1 (212) 555-0123, +44 (0)20 7946 0958", "<PHONE>, <PHONE>"),
        ("(212) 555-0123; (212)555-0123", "<PHONE>; <PHONE>"),
        ("212-555-0199. 212.555.0199 1-800-555-0199", "<PHONE>. <PHONE> <PHONE>"),
        ("ask DNS 8.8.8.8, [8.8.4.4]:53 and 1.1.1.1.", "ask DNS <IP>, [<IP>]:53 and <IP>."),
        ("2001:4860:4860::8888 or 2606:4700:4700:0:0:0:0:1111.", "<IP> or <IP>."),
        ("at 2001:4860:4860::8888: it answers, 2000::/3 not", "at <IP>: it answers, <IP>/3 not"),
        ("4111 1111 1111 1111, 4111-1111-1111-1111", "<CARD>, <CARD>"),
        ("5555555555554444 3782 822463 10005 30569309025904", "<CARD> <CARD> <CARD>"),
        ("pay DE89 3704 0044 0532 0130 00 AND GB82WEST12345698765432.", "pay <IBAN> AND <IBAN>."),
        ("BE68 5390 0754 7034 EUR", "<IBAN> EUR"),
    ],
)
def test_personal_data_is_found(text: str, expected: str) -> None:
    assert scrub(text)[0] == expected


@pytest.mark.parametrize(
    "text",
    [
        "foo@bar, @handle, a @ b.de, user@localhost",
        "on 2018-12-31, 31.12.2018, 12/31/2018 at 12:30:45 in 1990-1995",
        "20181231123045, 1609459200000, 2018-12-31T12:30:45.123456789+01:00",
        "ISBN 978-3-16-148410-0, 0-306-40615-2, 9783161484100, ISSN 2049-3630",
        "+1.23456789, +0.00000001, 5 + 12345678, x+12345678901, 3.141592653589793, 0.4111111111111111",
        "123-45-6789, 112-555-0123, 212-155-0123, 12-212-555-0123, 212-555-01234, 212-555.0123",
        "$1,234,567,890.00 and 4 111 111 111 111 111",
        "192.168.0.1, 10.0.0.1, 127.0.0.1, 203.0.113.7, 255.255.255.255, 0.0.0.0",
        "256.1.1.1, 1.2.3, 1.2.3.4.5, 10.0.19041.1, v1.2.3.4, version 1.2.3.4, Release 4.19.2.1, § 4.3.2.1",
        "std::vector, 12:30:45:99, abcd::1, fe80::1, 2001:db8::1, 00:1A:2B:3C:4D:5E, 2001:2:3",
        "4111 1111 1111 1112, 4111111111111112, 4111-1111 1111-1111, 1111 2222 3333 4444, 9111111111111111",
        "a4111111111111111, 4111111111111111b, 12.4111111111111111, x-4111-1111-1111-1111",
        "DE88 3704 0044 0532 0130 00, XX89 3704 0044 0532 0130 00, AB12 CDEF GHIJ, ADE89370400440532013000",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert scrub(text) == (text, {})


def test_four_figures_of_a_row_are_no_card_unless_it_says_so() -> None:
    chance = random.Random(1)
    for _ in range(1_000):
        row = "Units " + " ".join(str(chance.randint(1000, 9999)) for _ in range(12))
        assert make_scrubber(["card"])(row) == (row, {})
    card = "4111 1111 1111 1111"
    for text in (f"2019 {card}", f"{card} 2019 2018"):
        assert scrub(text) == (text, {})
    for text in (f"card {card} 2019", f"{card}\n2019", f"{card}, 2019"):
        assert scrub(text) == (text.replace(card, "<CARD>"), {"card": 1})


@pytest.mark.parametrize(
    "text",
    [
        *("logo@2x.png", '<img src="icon@3x.png">', "a@img.host.JPG", "bg@2x.imageset", "x@y.pdf"),
        *("git@github.com:org/repo.git", "git clone git@gitlab.example.com:~jane/x"),
    ],
)
def test_names_of_files_and_repositories_are_no_addresses(text: str) -> None:
    assert scrub(text) == (text, {})
    assert scrub("git@example.com: jane@x2.example.pngs")[0] == "<EMAIL>: <EMAIL>"


def test_only_the_chosen_kinds_are_replaced() -> None:
    text = "jane@example.org +14155550123 198.41.0.4 4111111111111111 GB82WEST12345698765432"
    assert scrub(text)[1] == dict.fromkeys(MARKS, 1)
    for kind, mark in MARKS.items():
        assert make_scrubber([kind])(text)[1] == {kind: 1}
        assert mark in make_scrubber([kind])(text)[0]
    assert make_scrubber([])(text) == (text, {})


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6, network="2000::/4"))
def test_addresses_go_when_they_are_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert scrub(f"the IP {address} was")[0] == ("the IP <IP> was" if address.is_global else f"the IP {address} was")


@given(st.from_regex(r"4[0-9]{14}", fullmatch=True), st.sampled_from(["", " ", "-"]))
def test_cards_go_when_their_check_digit_is_right(digits: str, separator: str) -> None:
    for check in "0123456789":
        number = digits + check
        text = separator.join(number[place : place + 4] for place in range(0, 16, 4))
        assert scrub(text)[0] == ("<CARD>" if luhn.is_valid(number) else text)


@given(st.from_regex(r"[0-9]{18}", fullmatch=True), st.integers(2, 98))
def test_accounts_go_when_their_check_digits_are_right(account: str, wrong: int) -> None:
    right = next(f"DE{check:02d}{account}" for check in range(2, 99) if iban.is_valid(f"DE{check:02d}{account}", False))
    assert make_scrubber(["iban"])(right)[0] == "<IBAN>"
    if f"{wrong:02d}" != right[2:4]:
        assert make_scrubber(["iban"])(f"DE{wrong:02d}{account}")[0] == f"DE{wrong:02d}{account}"


@given(st.text(st.sampled_from("0123456789+-.:@ ()aZ/")))
def test_marks_are_counted(text: str) -> None:
    scrubbed, found = scrub(text)
    assert {kind: scrubbed.count(mark) for kind, mark in MARKS.items() if mark in scrubbed} == found


def test_long_runs_of_almost_personal_data_take_no_time() -> None:
    chance = random.Random(3)
    for piece in (
        "1.",
        "+1 1 1 1 ",
        "Tel 0",
        "(0) ",
        "0-1-",
        "IP 1.1.1.1 ",
        "+1.1 (",
        "de89 ",
        "a@",
        "2001:",
        "((((",
        "AB12 ",
        "4111-",
        "x.",
        "x@" + "a." * 9,
    ):
        scrub(piece * 10_000 + str(chance.random()))


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("電話０３−１２３４５６７８", "電話０３−１２３４５６７８"),  # a minus is no hyphen
        ("电话：＋８６ １０ ６５５２ ９９８８", "电话：<PHONE>"),
        ("℡ ＋44 20 7946 0958 完", "℡ <PHONE> 完"),
        ("ａｎｎａ＠ｅｘａｍｐｌｅ．ｏｒｇ", "<EMAIL>"),
        ("anna＠example.org", "<EMAIL>"),
        ("カード ４１１１－１１１１－１１１１－１１１１", "カード <CARD>"),
        ("هاتف: +٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", "هاتف: <PHONE>"),
        ("۴۱۱۱ ۱۱۱۱ ۱۱۱۱ ۱۱۱۱", "<CARD>"),
        ("फ़ोन +९१ ९८७६५ ४३२१०", "फ़ोन <PHONE>"),
        ("请发送至john@example.com或", "请发送至<EMAIL>或"),
        ("卡号4539148803436467的", "卡号<CARD>的"),
        ("請致電+44 20 7946 0958或", "請致電<PHONE>或"),
        ("サーバー93.184.216.134は", "サーバー93.184.216.134は"),
        ("口座GB82WEST12345698765432へ", "口座<IBAN>へ"),
        ("pH: 7.35-7.45, pH 7.1234567, ph: 7.35-7.45", "pH: 7.35-7.45, pH 7.1234567, ph: 7.35-7.45"),
        ("١٬٢٣٤٬٥٦٧٫٨٩ و ٢٠١٩", "١٬٢٣٤٬٥٦٧٫٨٩ و ٢٠١٩"),
        ("２０１９年１２月３１日、１，２３４円", "２０１９年１２月３１日、１，２３４円"),
    ],
)
def test_digits_of_all_scripts_are_digits_and_what_stays_is_as_it_was(text: str, scrubbed: str) -> None:
    assert scrub(text)[0] == scrubbed


def test_rows_of_four_figures_are_no_cards_and_a_list_of_cards_is_one() -> None:
    rows = ["4539 1488 0343 6467", "2019 2020 2021 2022", "5425 2334 3010 9903"]
    assert luhn.is_valid(rows[0].replace(" ", ""))
    for separator in ("\n", "\nCosts ", "\n\t"):
        table = separator.join(["", *rows])
        assert scrub(table)[0] == table
    assert scrub(f"{rows[0]}\n{rows[2]}\n")[0] == "<CARD>\n<CARD>\n"
    assert scrub(f"Card: {rows[0]}\n{rows[1]}")[0] == f"Card: <CARD>\n{rows[1]}"


def test_shares_at_an_exchange_are_no_addresses() -> None:
    for kept in ("AAPL@NASDAQ.US", "BRK.B@NYSE.US", "0700@HKEX.HK"):
        assert scrub(f"Buy {kept} now") == (f"Buy {kept} now", {})
    for gone in ("INFO@NASDAQ.COM", "aapl@nasdaq.us", "JOHN@EXAMPLE.US"):
        assert scrub(gone)[0] == "<EMAIL>"


def test_what_is_found_is_what_is_replaced() -> None:
    """In every line of the tables: as many pieces of each kind, and the text with marks in their place."""
    for name in ("personal_kept.txt", "personal_removed.txt"):
        for line in [line.replace("‹", "").replace("›", "") for lines in read_table(name) for line in lines]:
            found, (scrubbed, counts) = find_personal(line), scrub(line)
            assert Counter(kind for kind, _ in found) == counts
            assert all(text in line for _, text in found if "<" not in text)
            assert len(scrubbed) == len(line) + sum(len(MARKS[kind]) - len(text) for kind, text in found)
