import pytest

from data.sources.encoded import doubt_about, encoding_of


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (r'"a\n\"b\""', "a JSON string, in quotes and with escapes"),
        ('"a" \n', "a JSON string, in quotes and with escapes"),
        (r"b'it is \xe2\x80\x99'", "bytes as Python prints them (b'…')"),
        (r"""b"it's" """.strip(), "bytes as Python prints them (b'…')"),
        ('{"body": "a", "id": 1}', "a JSON record"),
        ('{"text": "a"}', None),  # the field is called otherwise: JSON may be meant
        ('{"body": "a"', None),
        ('"To be", he said, "or not."', None),
        ('"To be,\nor not."', None),
        ("b's and c's", None),
        ("b'", None),
        ("{x | x is odd}", None),
        ("", None),
        ("text", None),
    ],
)
def test_what_is_an_encoding_of_text(text: str, kind: str | None) -> None:
    assert encoding_of(text, "metadata.body") == kind


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("one<|endoftext|>two", "have <|endoftext|>"),
        ("<!DOCTYPE html>\n<html>a</html>\n", "are HTML"),
        ("\n  <p class='x'>a</p>", "are HTML"),
        ("<p>is how a paragraph begins", None),
        ("<pre>a</pre>", None),
        ("a < b", None),
        ("", None),
    ],
)
def test_what_may_not_be_meant(text: str, doubt: str | None) -> None:
    found = doubt_about(text)
    assert (found or "").startswith(doubt or "none") or found is doubt
