"""The filters against the published rules, written out in plain Python."""

import itertools
import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.cleaning.clean import normalise
from data.cleaning.filters import Page, c4, fineweb, gopher_quality, gopher_repetition, make_filter, remove_c4_lines
from data.sources.demo import PACKAGES, demo_records

SENTENCE = "The Committee decided to keep the target range for the federal funds rate where it was."
STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}


def lines_of(text: str) -> list[str]:
    return re.findall(r"[^\n]+", text)


def gopher_quality_reference(text: str) -> str | None:
    words, lines = text.split(), lines_of(text)
    if len(words) < 50 or len(words) > 100_000:
        return "words"
    mean = sum(len(word) for word in words) / len(words)
    if mean < 3 or mean > 10:
        return "mean word length"
    if text.count("#") / len(words) > 0.1:
        return "hashes"
    if (text.count("...") + text.count("…")) / len(words) > 0.1:
        return "ellipses"
    if len([line for line in lines if re.match(r"\s*[-*•]", line)]) / len(lines) > 0.9:
        return "bullet lines"
    if len([line for line in lines if re.search(r"(\.\.\.|…)$", line)]) / len(lines) > 0.3:
        return "ellipsis lines"
    if len([word for word in words if any(character.isalpha() for character in word)]) / len(words) < 0.8:
        return "alphabetic words"
    if len(STOP_WORDS & set(words)) < 2:
        return "stop words"
    return None


def duplicate_characters(words: list[str], n: int) -> int:
    met, characters, place = set(), 0, 0
    while place <= len(words) - n:
        gram = tuple(words[place : place + n])
        if gram in met:
            characters += sum(len(word) for word in gram)
            place += n
        else:
            met.add(gram)
            place += 1
    return characters


def gopher_repetition_reference(text: str) -> str | None:
    for name, pieces in (("paragraphs", re.split(r"\n{2,}", text)), ("lines", lines_of(text))):
        repeated = [piece for place, piece in enumerate(pieces) if piece in pieces[:place]]
        if len(repeated) / len(pieces) > 0.3:
            return f"duplicate {name}"
        if sum(len(piece) for piece in repeated) / len(text) > 0.2:
            return f"characters in duplicate {name}"
    words = text.split()
    for n, share in ((2, 0.2), (3, 0.18), (4, 0.16)):
        for gram, count in Counter(zip(*(words[start:] for start in range(n)), strict=False)).most_common(1):
            if count * len(" ".join(gram)) / len(text) > share:
                return f"commonest {n}-gram"
    for n, share in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.1)):
        if duplicate_characters(words, n) / len(text) > share:
            return f"duplicate {n}-grams"
    return None


def c4_line_reference(line: str) -> bool:
    if line[-1] not in '.!?"”' or line.endswith("..."):
        return False
    if len(line.split()) < 5 or any(len(word) > 1_000 for word in line.split()):
        return False
    return not re.search(
        "javascript|terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies", line.lower()
    )


def c4_reference(text: str) -> str | None:
    if "{" in text or "}" in text:
        return "curly bracket"
    if "lorem ipsum" in text.lower():
        return "lorem ipsum"
    sentences = 0
    for line in lines_of(text):
        ends = [word.rstrip("\"'”’)]") for word in line.split()]
        sentences += max(1, len([word for word in ends if word.endswith((".", "!", "?"))]))
    return "sentences" if sentences < 3 else None


def fineweb_reference(text: str) -> str | None:
    lines = lines_of(text)
    if len([line for line in lines if line[-1] in ".!?\"”'。！？"]) / len(lines) <= 0.12:
        return "lines that end in punctuation"
    repeated = [line for place, line in enumerate(lines) if line in lines[:place]]
    if sum(map(len, repeated)) / sum(map(len, lines)) >= 0.1:
        return "characters in duplicate lines"
    if len([line for line in lines if len(line) < 30]) / len(lines) >= 0.67:
        return "short lines"
    return None


def assert_as_the_reference(text: str) -> None:
    page = Page(text)
    assert gopher_quality(page, english=True) == gopher_quality_reference(text)
    assert gopher_repetition(page) == gopher_repetition_reference(text)
    assert c4(page) == c4_reference(text)
    assert fineweb(page) == fineweb_reference(text)
    kept = [line for line in text.split("\n") if not line or c4_line_reference(line)]
    assert remove_c4_lines(text) == ("\n".join(kept), text.count("\n") + 1 - len(kept))


PIECES = [
    *(
        "the",
        "to",
        "of",
        "and",
        "that",
        "committee",
        "rate.",
        "said",
        "“so”",
        '"yes!"',
        "(no?)",
        "...",
        "…",
        "etc...",
        "#",
    ),
    *(
        "-",
        "•",
        "* ",
        "1",
        "2.5",
        "%",
        "a",
        "Javascript",
        "terms of use",
        "Lorem ipsum",
        "{",
        "中文。",
        "naïve",
        "x" * 1001,
    ),
    *(
        "\n",
        "\n",
        "\n\n",
        "\n- ",
        "\n  • ",
        ".\n",
        "...\n",
        "The committee met again today.\n",
        "one two three four five ",
    ),
]


@given(st.lists(st.sampled_from(PIECES), max_size=200), st.integers(1, 4), st.booleans())
def test_decisions_on_fuzzed_text(pieces: list[str], times: int, spaced: bool) -> None:
    text = normalise((" " if spaced else "").join(pieces * times), fix_mojibake=False, altered=set())
    if text:
        assert_as_the_reference(text)


def test_decisions_on_random_pages() -> None:
    """Pages whose measures come close to the thresholds: made of few lines, words and repeats in random shares."""
    chance = random.Random(5)
    reasons: Counter[str | None] = Counter()
    every = make_filter(("gopher_quality", "gopher_repetition", "c4", "fineweb"), None)
    for _ in range(1_500):
        words = [chance.choice(PIECES[:30]) if chance.random() < 0.3 else f"w{chance.randrange(90)}" for _ in range(12)]
        lines = [
            " ".join(chance.choices([*words, "the", "rates"], k=chance.randrange(1, 14)))
            + chance.choice([".", "", "..."])
            for _ in range(chance.randrange(1, 20))
        ]
        breaks = chance.choice(["\n", "\n\n"])
        text = normalise(
            breaks.join(chance.choices(lines, k=chance.randrange(1, 30))), fix_mojibake=False, altered=set()
        )
        if text:
            assert_as_the_reference(text)
            reasons[every(text)] += 1
            reasons.update((gopher_repetition(Page(text)), fineweb(Page(text))))
    assert len(reasons) > 15, "the pages should break most of the rules"


def test_decisions_on_real_text() -> None:
    for package in PACKAGES:
        for record in itertools.islice(demo_records(package), 0, 3_000, 20):
            text = normalise(str(record["text"]), fix_mojibake=False, altered=set())
            if text:
                assert_as_the_reference(text)


PROSE = " ".join(f"{SENTENCE[:-1]} number {number}." for number in range(12))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROSE, None),
        (SENTENCE, "words"),
        ("a be to of " * 20, "mean word length"),
        ("international " * 60, "mean word length"),
        (f"{PROSE} {'# ' * 40}", "hashes"),
        (f"{PROSE} {'well ... ' * 40}", "ellipses"),
        (f"{PROSE} {'well… ' * 40}", "ellipses"),
        ("- " + PROSE.replace(". ", ".\n- "), "bullet lines"),
        (PROSE.replace(". ", "...\n"), "ellipsis lines"),
        (PROSE + " 1234" * 60, "alphabetic words"),
        ("Der Ausschuss beschloss heute, den Zins unverändert zu lassen. " * 9, "stop words"),
    ],
)
def test_each_rule_of_gopher_quality(text: str, reason: str | None) -> None:
    assert gopher_quality(Page(text.strip()), english=True) == reason


def different_words(count: int, start: int = 0) -> str:
    return " ".join(f"word{start + number:04d}" for number in range(count))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (different_words(100), None),
        ("\n\n".join(["One.", "One.", different_words(50), "One."]), "duplicate paragraphs"),
        (
            "\n\n".join([different_words(10), different_words(10), different_words(20, 50), "x"]),
            "characters in duplicate paragraphs",
        ),
        ("\n".join(["One."] * 3 + [different_words(50)]), "duplicate lines"),
        (
            "\n".join([different_words(10), different_words(10), different_words(20, 50), "x"]),
            "characters in duplicate lines",
        ),
        (different_words(60) + " of the" * 30, "commonest 2-gram"),
        ("".join(f"of the rate {number} " for number in range(40)), "commonest 2-gram"),
        (
            f"{different_words(40)} {different_words(5)} {different_words(60, 60)} {different_words(20, 100)}",
            "duplicate 5-grams",
        ),
    ],
)
def test_each_rule_of_gopher_repetition(text: str, reason: str | None) -> None:
    assert gopher_repetition(Page(text.strip())) == reason


@pytest.mark.parametrize(("n", "most"), [(5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)])
def test_the_threshold_of_each_length_of_repeated_ngrams(n: int, most: float) -> None:
    repeats = 6
    least = int((8 * n * repeats / most + 1) / 9)  # words of eight letters, so many that the share is just above
    for words, reason in ((least, f"duplicate {n}-grams"), (least + 1, None)):
        different = different_words(words - n * repeats).split()
        text, spare = different[repeats:], iter(different[:repeats])
        for repeat in range(repeats):
            text += [*different[(repeat + 1) * 20 : (repeat + 1) * 20 + n], next(spare)]
        assert len(text) == words
        assert gopher_repetition(Page(" ".join(text))) == reason


def test_a_short_repeat_of_many_words_breaks_a_rule_on_long_ngrams() -> None:
    text = f"{different_words(70)} {different_words(10)}"  # 80 letters of 719 characters
    assert gopher_repetition(Page(text)) == "duplicate 10-grams" == gopher_repetition_reference(text)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (
            "Home\n\nThe Committee met again on Tuesday.\nRead more",
            "The Committee met again on Tuesday.",
        ),
        ("He said “we have met again.”\nThey met again on Tuesday...", "He said “we have met again.”"),
        ("Please enable Javascript to see it.\nOur Privacy Policy has been changed today.", ""),
        (f"It was {'long' * 251} to read it.\nIt was not long to read.", "It was not long to read."),
        ("They met[1] in March[edit] and again[[2]3] in May[citation needed].", "They met in March and again in May."),
    ],
)
def test_lines_that_c4_removes(text: str, kept: str) -> None:
    assert remove_c4_lines(text)[0].strip("\n") == kept.strip("\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("One sentence is here. Another one is there. A third one ends it.", None),
        ("One line is here.\nAnother one is there.\nA third one ends it.", None),
        ("He asked (“why?”) and went. She did not", "sentences"),
        ("Version 2.5 of it is there. It has been 3.14.", "sentences"),
        ("It is so. It is so. It is {so}.", "curly bracket"),
        ("It is so. It is so. Lorem Ipsum dolor sit amet.", "lorem ipsum"),
    ],
)
def test_pages_that_c4_drops(text: str, reason: str | None) -> None:
    assert c4(Page(text)) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{SENTENCE}\n{SENTENCE[:-1]} again.", None),
        ("\n".join([SENTENCE] + [f"{SENTENCE[:-1]} {number}" for number in range(8)]), "lines that end in punctuation"),
        ("\n".join([SENTENCE] + [f"{SENTENCE[:-1]} {number}" for number in range(7)]), None),
        ("\n".join([SENTENCE, SENTENCE]), "characters in duplicate lines"),
        ("\n".join(f"Line {number} is short." for number in range(9)), "short lines"),
    ],
)
def test_each_rule_of_fineweb(text: str, reason: str | None) -> None:
    assert fineweb(Page(text)) == reason


def test_the_share_of_ended_lines_that_fineweb_asks_for_is_exclusive() -> None:
    lines = [f"{SENTENCE[:-1]} {number}" for number in range(22)]
    ended = [f"{SENTENCE[:-1]} {number}." for number in range(3)]
    assert fineweb(Page("\n".join([*ended, *lines]))) == "lines that end in punctuation"  # 3 of 25
    assert fineweb(Page("\n".join([*ended, *lines[1:]]))) is None


def test_the_filters_are_asked_in_order_and_named() -> None:
    assert make_filter(("c4", "gopher_quality"), None)("Too short.") == "c4: sentences"
    assert make_filter(("gopher_quality", "c4"), None)("Too short.") == "gopher_quality: words"
    assert make_filter((), None)("Too short.") is None


def test_english_stop_words_are_asked_of_english_only() -> None:
    german = "Der Ausschuss beschloss heute, den Zins unverändert zu lassen. " * 9
    assert make_filter(("gopher_quality",), None)(german) == "gopher_quality: stop words"
    assert make_filter(("gopher_quality",), "en")(german) == "gopher_quality: stop words"
    assert make_filter(("gopher_quality",), "de")(german) is None
