import codecs

import pytest

from data.readers.encodings import decoded
from data.readers.rows import MalformedError

JAPANESE, KOREAN, THAI = "判決の理由を述べる。髙島屋①㈱", "똠방각하 안녕하세요", "สวัสดีครับ"


@pytest.mark.parametrize(
    ("text", "written", "named"),
    [
        ("判決の理由を述べる。", "iso2022_jp", "ISO-2022-JP"),
        ("判決の理由を述べる。ｶﾅ", "iso2022_jp_ext", "iso-2022-jp"),
        ("判決の理由を述べる。", "iso2022_jp", None),  # its escapes tell
        ("안녕하세요", "iso2022_kr", "iso-2022-kr"),
        (JAPANESE, "cp932", "Shift_JIS"),
        (JAPANESE, "cp932", "x-sjis"),
        (JAPANESE, "cp932", "windows-31j"),
        (KOREAN, "cp949", "ks_c_5601-1987"),
        (KOREAN, "cp949", "euc-kr"),
        (THAI, "cp874", "windows-874"),
        (THAI, "cp874", "TIS-620"),
        ("法院認為碁恒", "big5hkscs", "big5"),
        ("朱镕基", "gbk", "x-gbk"),
        ("Größe der Straße", "mac_roman", "x-mac-roman"),
        ("שלום", "iso8859-8", "iso-8859-8-i"),
        ("Суд", "cp1251", "x-cp1251"),
        ("“schön”", "cp1252", "unknown-8bit"),
        ("“schön”", "cp1252", None),
        ("<p>Größe der Straße</p>", "utf-16-le", None),
        ("<p>Größe der Straße</p>", "utf-16-be", "utf-16"),
        ("schön", "utf-8", "no-such"),
        ("plain", "ascii", "no-such"),
        ("$B is no escape", "ascii", "utf-8"),
    ],
)
def test_bytes_are_read_by_the_name_that_programs_give(text: str, written: str, named: str | None) -> None:
    assert decoded(text.encode(written), named) == text


def test_a_declared_encoding_of_seven_bits_does_not_count_where_there_are_eight() -> None:
    assert decoded("判決".encode(), "iso-2022-jp") == "判決"
    assert decoded(codecs.BOM_UTF8 + b"a", "iso-2022-jp") == "a"


def test_an_encoding_that_nobody_knows_is_not_guessed() -> None:
    with pytest.raises(MalformedError, match="unknown encoding: x-house-9 is said"):
        decoded("Größe".encode("cp1252"), "x-house-9")
    assert decoded("Größe".encode("cp1252"), "x-house-9", "iso-8859-1") == "Größe"
