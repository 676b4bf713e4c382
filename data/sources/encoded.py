"""Text that is an encoding of text: what another program wrote in quotes, with escapes, where the text was meant."""

import json
import re

_HTML = re.compile(r"\s*<(?:!doctype\s+html|(?:html|head|body|div|p|span|table|font|center|h[1-6])[\s>])", re.I)
_ESCAPED_HTML = re.compile(r"&lt;/?(?:p|div|br|span|a)\b", re.I)
_ESCAPED_NEWLINE = re.compile(r"\\n(?!(?:abla|eq?|ewline|i|oindent|ot|u)(?![a-z]))")  # and no command of LaTeX
LEAST_ESCAPED_NEWLINES = 3
_SOFT_LINE_END = re.compile(r"^[^\n]{50,76}=\r?\n", re.M)  # as quoted-printable breaks lines, of 76 characters at most
_QUOTED_BYTE = re.compile(r"=[0-9A-F]{2}")
LONGEST_WORD = 200
_HALF_A_WORD = re.compile(rf"[A-Za-z0-9+/]{{{LONGEST_WORD // 2}}}")
_BASE64 = re.compile(rf"[A-Za-z0-9+/]{{{LONGEST_WORD + 1},}}+")
_BYTES = re.compile(r"b'[^\n]*'|b\"[^\n]*\"")


def encoding_of(text: str, text_field: str) -> str | None:
    """What of a text's encodings this one is; None for text, and quickly: the first character tells nearly always."""
    first = text[:1]
    if first == "b" and _BYTES.fullmatch(text):
        return "bytes as Python prints them (b'…')"
    if first not in ('"', "{") or not text.rstrip().endswith('"' if first == '"' else "}"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, str):
        return "a JSON string, in quotes and with escapes"
    return "a JSON record" if text_field.rpartition(".")[2] in value else None


def doubt_about(text: str) -> str | None:
    """What of a text may not be meant, as the end of a sentence about several; None where nothing is seen."""
    if "<|endoftext|>" in text:
        return (
            "have <|endoftext|> in them, which is text there and parts no documents: write each as a record of its own"
        )
    if text[:1] in "<\n \t" and _HTML.match(text) and text.rstrip().endswith(">"):
        return "are HTML, of which a model learns the tags: extract the text if they are not meant"
    if text.startswith("{\\rtf"):
        return "are RTF, of which a model learns the control words: extract the text"
    if "&lt;" in text and _ESCAPED_HTML.search(text):
        return "have escaped tags of HTML in them (&lt;p&gt;): undo the escapes and extract the text if not meant"
    if "\\n" in text and "\n" not in text.strip() and len(_ESCAPED_NEWLINE.findall(text)) >= LEAST_ESCAPED_NEWLINES:
        return "have \\n in place of newlines: undo the escapes"
    if ("=\n" in text or "=\r\n" in text) and _SOFT_LINE_END.search(text) and _QUOTED_BYTE.search(text):
        return "are quoted-printable, as in e-mail (=E2=80=99, lines that end in =): decode them"
    if _has_base64(text):
        return f"have words above {LONGEST_WORD} characters of base64 in them: decode them or take them out"
    return None


def _has_base64(text: str) -> bool:
    """Whether a word above LONGEST_WORD characters is of base64, with capitals, small letters and digits.

    Such a word holds half a one from one of the places so far apart, which few texts do.
    """
    places = range(0, len(text), LONGEST_WORD // 2)
    if len(text) <= LONGEST_WORD or not any(_HALF_A_WORD.match(text, place) for place in places):
        return False
    words = (found[0] for found in _BASE64.finditer(text))
    return any(not word.isupper() and not word.islower() and re.search("[0-9]", word) for word in words)
