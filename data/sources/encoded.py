"""Text that is an encoding of text: what another program wrote in quotes, with escapes, where the text was meant."""

import json
import re

_HTML = re.compile(r"\s*<(?:!doctype\s+html|(?:html|head|body|div|p|span|table|font|center|h[1-6])[\s>])", re.I)
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
    return None
