import gzip
import io
import tracemalloc
import zlib

import brotli
import pytest
import zstandard

from data.format_config import WarcConfig
from data.readers import http_message
from data.readers.http_message import body_of, response_of
from data.readers.main_text import AROUND_MAIN
from data.readers.rows import LeftOut, MalformedError
from data.readers.warc import read_warc
from data.sources import packed
from tests.data.readers.made import response, warc
from tests.data.readers.samples import CRAWL


def rows(content: bytes, **settings: object) -> list[tuple[int, object]]:
    file = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    return list(read_warc(file, "a.warc", WarcConfig.model_validate(settings)))


def only(content: bytes, **settings: object) -> object:
    [(line, found)] = rows(content, **settings)
    assert line == 1
    return found


def test_a_crawl_with_all_that_is_read() -> None:
    found = rows(CRAWL)
    assert dict.fromkeys(line for line, _ in found) == dict.fromkeys(range(1, 11))
    assert found.pop(2) == (3, LeftOut(AROUND_MAIN, 510))
    texts = [(line, fields["text"]) for line, fields in found if isinstance(fields, dict)]
    assert texts[1:] == [(4, "One and two."), (5, "Packed words."), (8, "Plain words, schön.")]
    page = found[2][1]
    assert isinstance(page, dict)
    assert str(page["text"]).startswith("Harbour toll to rise in spring after council vote")
    assert page["id"] == "urn:uuid:00000000-0000-0000-0000-000000000002"
    assert page["url"] == "https://example.org/2"
    assert (str(page["date"]), page["date_kind"]) == ("2019-01-14", "published")
    plain = found[7][1]
    assert isinstance(plain, dict)
    assert (str(plain["date"]), plain["date_kind"]) == ("until 2021-06-01", "crawled")
    left_out = [fields.kind for _, fields in found if isinstance(fields, LeftOut)]
    assert left_out == [
        "record of type warcinfo",
        "record of type request",
        "status 404",
        "content of type image/…",
        "record of type revisit",
    ]
    [(line, error)] = [(line, fields) for line, fields in found if isinstance(fields, MalformedError)]
    assert (line, str(error)) == (10, "truncated record: length")


DATED = '<meta name="date" content="{}"><meta property="og:updated_time" content="2020-02-02"><p>x'


@pytest.mark.parametrize(
    ("written", "settings", "expected"),
    [
        ("2019-05-03", {}, ("2019-05-03", "published")),
        ("2019-05-03", {"date": "revised"}, ("2019-05-03 to 2020-02-02", "revised")),
        ("2019-05-03", {"date": "crawled"}, ("until 2021-06-01", "crawled")),
        ("2021-06", {}, ("2021-06-01", "published")),  # of the month what the crawl leaves
        ("2021", {}, ("2021-01-01 to 2021-06-01", "published")),
        ("2023-01-01", {}, ("until 2021-06-01", "crawled")),  # a page is not published after it was fetched
        ("", {}, ("until 2021-06-01", "crawled")),
    ],
)
def test_dates_are_of_the_page_as_far_as_the_crawl_allows(
    written: str, settings: dict[str, object], expected: tuple[str, str]
) -> None:
    found = only(warc(({}, response(DATED.format(written).encode()))), **settings)
    assert isinstance(found, dict)
    assert (str(found["date"]), found["date_kind"]) == expected


def test_texts_of_a_wet_file() -> None:
    header = {"WARC-Type": "conversion", "Content-Type": "text/plain", "WARC-Date": "2014-08-02T09:52:13Z"}
    found = only(warc((header, "Wörter\nund Zeilen\n".encode())))
    assert isinstance(found, dict)
    assert found["text"] == "Wörter\nund Zeilen\n"
    assert str(found["date"]) == "until 2014-08-02"


def test_statuses_that_are_wanted() -> None:
    content = warc(({}, response(b"<p>Gone", "410 Gone")))
    assert only(content) == LeftOut("status 410")
    found = only(content, statuses=[200, 410])
    assert isinstance(found, dict)
    assert found["text"] == "Gone"


def test_a_page_without_a_type_is_one_by_its_beginning() -> None:
    found = only(warc(({}, b"HTTP/1.1 200 OK\r\n\r\n <!DOCTYPE html><p>x")))
    assert isinstance(found, dict)
    assert only(warc(({}, b"HTTP/1.1 200 OK\r\n\r\n\x00\x01"))) == LeftOut("content of type unknown")


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(b"words" * 100, mtime=0)),
        ("deflate", zlib.compress(b"words" * 100)),
        ("deflate", zlib.compress(b"words" * 100, wbits=-15)),
        ("zstd", zstandard.compress(b"words" * 100)),
        ("br", brotli.compress(b"words" * 100)),
        ("gzip", gzip.compress(b"words" * 50, mtime=0) * 2),
        ("gzip", b"words" * 100),  # undone, and the header left
        ("identity", b"words" * 100),
        ("gzip, br", brotli.compress(gzip.compress(b"words" * 100, mtime=0))),
    ],
)
def test_bodies_are_unpacked_within_a_bound(coding: str, packed: bytes) -> None:
    message = response(packed, Content_Encoding=coding)
    assert body_of(response_of(message), 1_000) == b"words" * 100
    assert body_of(response_of(message), 500) == b"words" * 100
    with pytest.raises(MalformedError, match="record too long: above 100 bytes"):
        body_of(response_of(message), 100)


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"3\r\nabc\r\n2\r\nde\r\n0", b"abcde"),
        (b"<p>no chunks at all", b"<p>no chunks at all"),
        (b"3\r\nabcdef", b"3\r\nabcdef"),  # a number that is none of a chunk
        (b"", b""),
    ],
)
def test_chunks_are_undone_where_they_are(body: bytes, content: bytes) -> None:
    assert body_of(response_of(response(body, Transfer_Encoding="chunked")), 1_000) == content


TEXT = " ".join(f"<p>words of {number}</p>" for number in range(200)).encode()
CODINGS = {
    "gzip": gzip.compress(TEXT, mtime=0),
    "deflate": zlib.compress(TEXT),
    "x-gzip": gzip.compress(TEXT[:50], mtime=0) + gzip.compress(TEXT[50:], mtime=0),
    "zstd": zstandard.compress(TEXT),
    "br": brotli.compress(TEXT),
    "deflate, gzip": gzip.compress(zlib.compress(TEXT), mtime=0),
}
CHUNKS = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


def reason(headers: dict[str, str], content: bytes) -> str:
    found = only(warc((headers, content)))
    assert isinstance(found, MalformedError), found
    return str(found).partition(":")[0]


@pytest.mark.parametrize("coding", CODINGS)
def test_a_packed_body_that_is_cut_off_is_none(coding: str) -> None:
    packed = CODINGS[coding]
    assert body_of(response_of(response(packed, Content_Encoding=coding)), 10_000) == TEXT
    for end in (len(packed) // 2, len(packed) - 5, len(packed) - 1):
        assert reason({}, response(packed[:end], Content_Encoding=coding)) == "truncated record"


@pytest.mark.parametrize("end", [4, 6, 8, 9, 11, 12, 13])
def test_a_body_without_its_last_chunk_is_none(end: int) -> None:
    assert reason({}, response(CHUNKS[:end], Transfer_Encoding="chunked")) == "truncated record"


def test_a_body_shorter_than_it_says_is_none() -> None:
    length = str(len(TEXT))
    assert reason({}, response(TEXT[:-1], Content_Length=length)) == "truncated record"
    assert isinstance(only(warc(({}, response(TEXT, Content_Length=length)))), dict)
    assert isinstance(only(warc(({}, response(TEXT, Content_Length="9999", Content_Encoding="gzip")))), dict)  # undone
    assert only(warc(({}, response(b"", "304 Not Modified", Content_Length=length)))) == LeftOut("status 304")


def test_a_record_in_pieces_is_none() -> None:
    assert reason({"WARC-Segment-Number": "1"}, response(TEXT)) == "truncated record"


def test_broken_records_are_named_and_the_next_is_read() -> None:
    good = warc(({}, response(b"<p>good")))
    short = good.replace(b"Content-Length: ", b"Content-Length: 1")  # longer than it is
    wrong = good.replace(b"Content-Length: ", b"Content-Length: x")
    found = rows(b"noise\r\n" + good + wrong + good)
    assert [type(fields) for _, fields in found] == [MalformedError, dict, MalformedError, MalformedError, dict]
    assert "no record begins" in str(found[0][1])
    with pytest.raises(EOFError, match="cut off"):
        rows(short)
    with pytest.raises(EOFError, match="cut off"):
        rows(good[:100])
    assert isinstance(only(warc(({}, b"no HTTP"))), MalformedError)


def test_damage_of_a_body_is_of_its_record() -> None:
    content = gzip.compress(b"words" * 100)[:20] + b"\x00" * 40
    found = only(warc(({}, response(content, Content_Encoding="gzip"))))
    assert isinstance(found, MalformedError)
    assert "broken HTTP: its gzip cannot be unpacked" in str(found)
    assert http_message.headers_of(b"A: 1\r\n b\r\nA: 2\r\nnone\r\n") == {"a": "1 b"}


def test_one_record_is_held_at_a_time() -> None:
    header = {"WARC-Type": "conversion", "Content-Type": "text/plain"}
    record = warc((header, b"words " * 20_000))
    stream = io.BufferedReader(packed.unpacked(io.BufferedReader(io.BytesIO(gzip.compress(record) * 60)), "a.warc.gz"))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        count = sum(isinstance(found, dict) for _, found in read_warc(stream, "a.warc.gz", WarcConfig()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 60
    assert peak < 10 * len(record) < 60 * len(record)
