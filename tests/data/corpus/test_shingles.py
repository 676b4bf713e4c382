import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from data.corpus.shingles import EXPANDED, FOLDED_CHARACTERS, IGNORED, NOT_SHOWN, Shingles, folding, shingle, shown

MASK = 2**64 - 1
IGNORABLE = set(regex.findall(r"\p{Default_Ignorable_Code_Point}", "".join(map(chr, range(0x110000)))))


def is_unspaced(character: str) -> bool:
    """By its name, where the code goes by ranges; planes 2 and 3 are for ideographs, named or not yet."""
    scripts = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HENTAIGANA")
    name = unicodedata.name(character, "").removeprefix("HALFWIDTH ")
    is_letter = unicodedata.category(character) in ("Lo", "Lm", "Nl")
    return 0x20000 <= ord(character) <= 0x3FFFF or (is_letter and name.startswith(scripts))


def fold(character: str) -> str:
    """What one character counts as."""
    if character in "™℠":
        return " "
    if character in IGNORABLE:
        return ""
    if 0x20000 <= ord(character) <= 0x3FFFF:
        return character
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
    categories = {unicodedata.category(each)[0] for each in character + folded}
    return folded if categories & set("LN") or unicodedata.category(character)[0] == "M" else " "


def without_numbers_of_lines(text: str) -> str:
    lines, last = text.split("\n"), -1
    numbers = [regex.match(r"[ \t]*([0-9]{1,3})(?=[ \t-\r])", f"{line}\n") for line in lines]
    if not lines[-1][numbers[-1].end() if numbers[-1] else 0 :]:
        numbers[-1] = None  # the text ends with it
    for place, (number, behind) in enumerate(zip(numbers, [*numbers[1:], None], strict=True)):
        if number:
            if int(number[1]) == last + 1 or (behind and int(behind[1]) == int(number[1]) + 1):
                lines[place] = lines[place][number.end() :]
            last = int(number[1])
    return "\n".join(lines)


def reference_words(text: str) -> list[str]:
    text = without_numbers_of_lines(shown(text))
    text = regex.sub(r"[ｦ-ﾝ][ﾞﾟ]", lambda pair: unicodedata.normalize("NFKC", pair[0]), text)
    text = regex.sub(
        r"(?<=([\p{L}\p{M}\p{N}])[\p{DI}]*)(?<![0-9])[-\xad\u2010\u2011][ \t-\r]+(?=[^ \t-\r0-9])", "", text
    )
    words, word = [], ""
    for character in "".join(map(fold, text)):
        if is_unspaced(character):
            words += [word, character]
            word = ""
        elif unicodedata.category(character)[0] in "LMN":
            word += character
        else:
            words.append(word)
            word = ""
    return [word for word in [*words, word] if word]


def mix(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & MASK
    value = (value ^ value >> 27) * 0x94D049BB133111EB & MASK
    return value ^ value >> 31


def fnv(codes: list[int]) -> int:
    value = 0xCBF29CE484222325
    for code in codes:
        value = (value ^ code) * 0x100000001B3 & MASK
    return mix(value)


def reference_hashes(text: str, ngram: int) -> list[int]:
    words = [fnv([ord(character) for character in word]) for word in reference_words(text)]
    if not words:
        return [fnv(list(text.encode()))]
    size = min(ngram, len(words))
    grams = [words[first : first + size] for first in range(len(words) - size + 1)]
    return [
        mix(sum(word * 0x9E3779B97F4A7C15**power for power, word in enumerate(reversed(gram))) & MASK) for gram in grams
    ]


def of_each(shingles: Shingles) -> list[list[int]]:
    return [shingles.hashes[a:b].tolist() for a, b in zip(shingles.offsets, shingles.offsets[1:], strict=False)]


@settings(deadline=None)  # the first call compiles
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]))
        | st.text("aB9 -,éÉǅßİς१्中文カーไทย𠀀𝐀😀\n\xad‐‑\u200cﬁＡ㌖½ｶﾞ\ufe0f\U000e0100")
        | st.text("a12- \n", max_size=30),
        max_size=4,
    ),
    st.integers(1, 4),
)
def test_the_hashes_are_those_of_a_plain_implementation(texts: list[str], ngram: int) -> None:
    shingles = shingle(texts, ngram)
    assert of_each(shingles) == [reference_hashes(text, ngram) for text in texts]
    assert shingles.words.tolist() == [len(reference_words(text)) for text in texts]


def test_every_character_is_a_letter_a_word_or_neither() -> None:
    table, expansions, _ = folding()
    for code in range(FOLDED_CHARACTERS):
        values = [int(table[code])]
        if values[0] >= EXPANDED:
            first = values[0] - EXPANDED + 1
            values = expansions[first : first + expansions[first - 1]].tolist()
        expected = []
        for character in fold(chr(code)):
            letter = unicodedata.category(character)[0] in "LMN"
            expected.append((0 if not letter else -1 if is_unspaced(character) else 1) * ord(character))
        assert values == (expected or [IGNORED]), hex(code)


def test_what_is_not_shown_is_the_property_of_unicode() -> None:
    listed = {code for first, end in NOT_SHOWN for code in range(first, end)}
    assert listed == set(map(ord, IGNORABLE))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Fed's rate: 5.25 %", "the FED s rate 5 25"),
        ("ΟΔΟΣ οδος", "οδος ΟΔΟΣ"),  # the final sigma is a sigma
        ("利率上调。", "利率 上调"),
        ("हिन्दी", "हिन्दी!"),  # vowel signs and viramas do not part a word
        ("snake_case-word", "snake case word"),
        # as PDF files have it
        ("the ﬁnancial eﬀects oﬄine", "the financial effects offline"),
        ("fi\xadnan\xadcial effects", "financial effects"),
        ("finan-\ncial and non-\n  finan‐\r\ncial", "financial and nonfinancial"),
        ("finan\xad\ncial", "financial"),
        ("Ｆｅｄ　ｆｕｎｄｓ ２０１９", "fed funds 2019"),
        ("fi\u200cnan\u200dcial\ufe0f \u2060rate\U000e0101", "financial rate"),
        ("10 m² ㎏ 𝐛𝐨𝐥𝐝 ①", "10 m2 kg bold 1"),
        ("STRASSE", "straße"),
        ("ｶﾞｲﾄﾞ ㍿", "ガイド 株式会社"),
        ("Acme™ rates", "acme rates"),
        ("in 2018-\n2019 a", "in 2018 2019 a"),  # a range is no word
        ("o¨ ´e", "o e"),
        # as HTML has it
        ("the&nbsp;rate of AT&amp;T &eacute;t&#233;&#xA0;x &amp;nbsp;y&shy;z", "the rate of AT T été x yz"),
        ("<b>a</b> <b>b</b>c<sup>2</sup>", "a bc2"),
        ('<td class="x y">a</td><td>b</td><br/>c<br>d<!-- e -->f', "a b c d f"),
        ("<p\nid='a'>W<span style=\"a: b\">hereas</span></P>", "whereas"),
        ("if a <b and c> d, <a@b.org> &c. a&b", "if a b and c d a b org c a b"),
        # as pleadings have it
        ("1 The plaintiff\n2  alleges under-\n 3\twriters\n4\n5 of", "the plaintiff alleges underwriters of"),
        ("of it\n28 the end\n\n1 of one\n2 page", "of it 28 the end of one page"),
        ("10 years\nand 11 more\n100.5\n101.5\n2019 a\n2020 b", "10 years and 11 more 100 5 101 5 2019 a 2020 b"),
    ],
)
def test_texts_of_the_same_words(one: str, other: str) -> None:
    first, second = of_each(shingle([one, other], 2))
    assert first == second


def test_texts_of_attributes_alone_are_told_apart() -> None:
    rows = [f'<row Id="{number}" Body="of {word}"/>' for number, word in enumerate(("a", "b"))]
    first, second = of_each(shingle(rows, 5))
    assert first != second
    assert shown(rows[0]).strip() == ""


def test_markup_that_does_not_end_takes_no_long_time() -> None:
    for text in ("<a ", "<a =", "<!--", "&", "&amp;", "<", "</"):
        shown(text + text[-1] * 100_000)
        shown(text * 20_000)


def test_other_words_are_other_hashes() -> None:
    texts = [f"{a} {b}" for a in ("a", "b", "ab", "ba", "1", "é") for b in ("a", "b", "ab", "ba", "1", "é")]
    assert len(np.unique(shingle(texts, 2).hashes)) == len(texts)


def test_no_texts() -> None:
    assert of_each(shingle([], 5)) == []
    assert len(of_each(shingle([""], 5))[0]) == 1


def test_texts_without_words_are_equal_only_if_their_bytes_are() -> None:
    hashes = of_each(shingle(["...", "...", "....", "", "- - -"], 5))
    assert hashes[0] == hashes[1]
    assert len({tuple(text) for text in hashes}) == 4
