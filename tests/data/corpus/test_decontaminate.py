import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from data.config import DecontaminationConfig
from data.corpus.decontaminate import Items, item_stamps, load_items
from data.errors import DataError
from data.files import file_stamp

FOX = "The quick brown fox jumps over the lazy dog and then it runs away from the angry farmer"  # 18 words


def load(folder: Path, records: Sequence[object], **changes: int) -> Items:
    file = folder / "items.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records), "utf-8")
    return load_items(DecontaminationConfig(paths=(str(file),), **changes))


def touched(items: Items, text: str) -> list[str]:
    return items.names_of(items.found(text))


def names(folder: Path, *lines: int) -> list[str]:
    return [f"{folder / 'items.jsonl'}:{line}" for line in lines]


def test_a_run_of_words_in_common_touches(tmp_path: Path) -> None:
    items = load(tmp_path, [{"question": FOX, "answer": "No"}, {"question": FOX.replace("quick", "slow")}])
    words = FOX.split()
    thirteen = " ".join(words[3:16])
    assert touched(items, f"Long ago {thirteen.upper()}, they say.") == names(tmp_path, 1, 2)
    assert touched(items, " ".join(words[1:14])) == names(tmp_path, 1)
    assert touched(items, " ".join(words[3:15])) == []  # twelve
    assert touched(items, "") == touched(items, "...") == []
    assert items.too_short == 0


def test_strings_are_found_however_deep_and_kept_apart(tmp_path: Path) -> None:
    half, rest = FOX.split()[:9], FOX.split()[9:]
    items = load(tmp_path, [{"a": [{"b": " ".join(half)}, " ".join(rest)], FOX: 1, "c": None, "d": [[FOX + " twice"]]}])
    assert touched(items, " ".join(half)) == names(tmp_path, 1)
    assert touched(items, " ".join(rest)) == names(tmp_path, 1)
    alone = load(tmp_path, [{"a": " ".join(half), "b": " ".join(rest), FOX: "a key is no item"}])
    assert touched(alone, " ".join(half[2:] + rest[:6])) == []  # thirteen words over the border of two strings


def test_short_items_count_as_a_whole_down_to_a_limit(tmp_path: Path) -> None:
    records = ["one two three four five six seven eight", "nine ten eleven", {"q": "yes", "a": "no"}, {"n": 1}]
    items = load(tmp_path, records)
    assert touched(items, "zero one two three four five six seven eight nine ten eleven") == names(tmp_path, 1)
    assert touched(items, "one two three four five six seven nine") == []
    assert (len(items.names), items.too_short) == (4, 3)
    shorter = load(tmp_path, records, minimum_words=3)
    assert touched(shorter, "zero nine ten eleven") == names(tmp_path, 2)
    assert shorter.too_short == 2


def test_unicode_is_compared_in_one_form(tmp_path: Path) -> None:
    decomposed = "cafe\u0301 " * 13
    items = load(tmp_path, [decomposed])
    assert touched(items, "CAFÉ " * 13) == names(tmp_path, 1)


@pytest.mark.parametrize(
    "text",
    [
        FOX.replace("fox", "f\xadox").replace("farmer", "far\xad\nmer"),
        FOX.replace("quick", "qu\u200cick").replace("brown", "br\u2060own"),
        FOX.replace("jumps", "jum-\nps").replace("angry", "an-\n\n   gry"),
        "".join(chr(ord(letter) + 0xFEE0) if letter.isalpha() else letter for letter in FOX),
        FOX.replace("from", "\U0001d41f\U0001d42b\U0001d428\U0001d426").replace("quick", "qu\u2071ck"),
        FOX.replace(" ", "&nbsp;").replace("angry", "an&shy;gry"),
        "<p>" + "</b> <b>".join(FOX.split()) + "</p>",
        "".join(f"{number} {word}\n" for number, word in enumerate(FOX.split(), start=7)),
    ],
    ids=["soft hyphens", "not shown", "hyphenation", "full width", "bold", "entities", "tags", "numbers of lines"],
)
def test_an_item_is_found_however_its_letters_are_written(text: str, tmp_path: Path) -> None:
    assert touched(load(tmp_path, [FOX]), text) == names(tmp_path, 1)
    assert touched(load(tmp_path, [text]), FOX) == names(tmp_path, 1)


def test_ligatures_are_their_letters(tmp_path: Path) -> None:
    plain = "the officers of the firm affirmed that the final offer was sufficient and effective for them"
    written = plain.replace("ffi", "ﬃ").replace("ff", "ﬀ").replace("fi", "ﬁ")
    assert touched(load(tmp_path, [plain]), written) == names(tmp_path, 1)
    assert touched(load(tmp_path, [written]), plain.upper()) == names(tmp_path, 1)


def test_a_word_parted_at_the_end_of_a_line_is_read_with_and_without_its_hyphen(tmp_path: Path) -> None:
    """It may be a compound: what was found before words were joined is found still."""
    items = load(tmp_path, [FOX.replace("quick brown", "quick-brown")])
    assert touched(items, FOX.replace("quick brown", "quick-\nbrown")) == names(tmp_path, 1)
    assert touched(items, FOX.replace("quick brown", "quick brown")) == names(tmp_path, 1)
    assert touched(load(tmp_path, [FOX.replace("quick brown", "quick-\nbrown")]), FOX) == names(tmp_path, 1)


def test_what_looks_like_markup_or_a_number_of_a_line_may_be_text(tmp_path: Path) -> None:
    for text in (FOX.replace("fox", "Map<fox>"), FOX.replace("fox", "\n1 fox\n2"), FOX.replace("fox", "&lt;fox&gt;")):
        words = text.replace("&lt;", "<").replace("&gt;", ">").replace("<", " ").replace(">", " ")
        assert touched(load(tmp_path, [" ".join(words.split())]), text) == names(tmp_path, 1)


def test_how_much_of_an_item_an_ngram_is(tmp_path: Path) -> None:
    items = load(tmp_path, [FOX, FOX + " and more", "nine words of another item that nobody has seen"])
    found = items.found(" ".join(FOX.split()[:14]))
    assert items.shares(found) == {name: (2, of) for name, of in zip(names(tmp_path, 1, 2), (6, 8), strict=True)}
    assert items.shares(found[:0]) == {}
    assert items.names_of(found[:0]) == []


def grams(text: str, size: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[first : first + size]) for first in range(len(words) - size + 1)}


texts = st.lists(st.sampled_from("abc"), max_size=12).map(" ".join)


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=8), texts, st.integers(1, 5), st.integers(1, 3))
def test_as_a_plain_implementation_finds(
    tmp_path_factory: pytest.TempPathFactory, strings: list[str], text: str, ngram: int, minimum: int
) -> None:
    folder = tmp_path_factory.mktemp("items")
    expected = []
    for line, item in enumerate(strings, start=1):
        size = min(ngram, len(item.split()))
        if len(item.split()) >= minimum and grams(item, size) & grams(text, size):
            expected.append(line)
    if all(len(item.split()) < minimum for item in strings):
        with pytest.raises(DataError, match=f"none of the {len(strings)} items"):
            load(folder, strings, ngram=ngram, minimum_words=minimum)
    else:
        items = load(folder, strings, ngram=ngram, minimum_words=minimum)
        assert touched(items, text) == names(folder, *expected)


def test_many_items_are_told_apart(tmp_path: Path) -> None:
    """The table's chains are walked: each of a thousand items is found by its own text and by no other's."""
    source = random.Random(0)
    records = [" ".join(f"w{source.randrange(10_000)}" for _ in range(40)) for _ in range(1_000)]
    items = load(tmp_path, records)
    for line in range(0, 1_000, 37):
        assert touched(items, f"x {records[line][5:-5]} y") == names(tmp_path, line + 1)


def test_kinds_of_files_and_where_they_are_found(tmp_path: Path) -> None:
    deep = tmp_path / "sets" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / "sets" / "a.txt").write_text(f"\ufeff{FOX} first\n\n{FOX} third\n", "utf-8")
    (deep / "b.jsonl.gz").write_bytes(gzip.compress(json.dumps(FOX).encode() + b"\n\n"))
    (deep / "c.ndjson.zst").write_bytes(zstandard.compress(json.dumps({"q": FOX}).encode()))
    (deep / "_metadata").write_bytes(b"no item")
    rows = [{"q": "short", "choices": ["a", FOX], "n": 3}, {"q": FOX.replace("dog", "cat"), "choices": None, "n": None}]
    pq.write_table(pa.Table.from_pylist(rows), deep / "e.parquet")
    folder = DecontaminationConfig(paths=(str(tmp_path / "sets"),))
    found = [name.removeprefix(str(tmp_path / "sets")) for name in touched(load_items(folder), FOX)]
    assert found == ["/a.txt:1", "/a.txt:3", "/deep/b.jsonl.gz:1", "/deep/c.ndjson.zst:1", "/deep/e.parquet:1"]
    pattern = DecontaminationConfig(paths=(str(tmp_path / "sets" / "**" / "*.txt"), str(deep / "b.jsonl.gz")))
    stamps = item_stamps(pattern)
    assert list(stamps) == [str(tmp_path / "sets" / "a.txt"), str(deep / "b.jsonl.gz")]
    assert stamps[str(deep / "b.jsonl.gz")] == file_stamp(deep / "b.jsonl.gz")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"q": "a"}\n{"q": ', r"a.jsonl:2 cannot be read: .*mend"),
        ("a.jsonl", b'"\xff"\n', r"a.jsonl:1 cannot be read"),
        ("a.jsonl", b"[" * 100_000, r"a.jsonl:1 cannot be read"),
        ("a.jsonl.gz", b"no gzip", r"a.jsonl.gz:0 cannot be read"),
        ("a.jsonl.zst", zstandard.compress(b'"a"\n' * 1000)[:-4], r"a.jsonl.zst:\d+ cannot be read"),
        ("a.parquet", b"PAR1 and no more", r"a.parquet:0 cannot be read"),
        ("a.jsonl", b"", r"none of the 0 items in .*minimum_words"),
        ("a.csv", b"a,b", r"a.csv: unknown extension: known are .jsonl"),
    ],
)
def test_what_cannot_be_compared_with_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_items(DecontaminationConfig(paths=(str(tmp_path / name),)))


@pytest.mark.parametrize("missing", ["absent", "absent.jsonl", "*.jsonl", "absent/**/*.txt", ""])
def test_a_path_without_files_is_refused(missing: str, tmp_path: Path) -> None:
    path = tmp_path / missing
    with pytest.raises(DataError, match=r"no files at .*: correct data.decontamination.paths"):
        item_stamps(DecontaminationConfig(paths=(str(path),)))


def test_a_lone_surrogate_is_read_as_something(tmp_path: Path) -> None:
    assert touched(load(tmp_path, [f"\ud800 {FOX}"]), FOX) == names(tmp_path, 1)


def test_a_pointer_in_the_place_of_a_file_of_items_is_refused(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("one two three four five six seven eight nine")
    (tmp_path / "items.txt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n")
    with pytest.raises(DataError, match=r"items\.txt:0 cannot be read: it is a Git LFS pointer, not the file"):
        load_items(DecontaminationConfig(paths=(str(tmp_path),)))
