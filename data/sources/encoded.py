"""Text that is an encoding of text: what another program wrote in quotes, with escapes, where the text was meant."""

import ast
import itertools
import json
import re
import warnings

_HTML = re.compile(r"\s*<(?:!doctype\s+html|(?:html|head|body|div|p|span|table|font|center|h[1-6])[\s>])", re.I)
_ESCAPED_HTML = re.compile(r"&lt;/?(?:p|div|br|span|a)\b", re.I)
_ESCAPED_NEWLINE = re.compile(r"\\n(?!(?:abla|eq?|ewline|i|oindent|ot|u)(?![a-z]))")  # and no command of LaTeX
# As JSON, Python, R and Office (SharePoint's and Excel's XML) write them.
_ESCAPED_CHARACTER = re.compile(
    r"\\u[0-9a-fA-F]{4}|\\x[89a-fA-F][0-9a-fA-F]|<U\+[0-9A-F]{4,8}>|_x[0-9A-F]{4}_(?![A-Za-z])"
)
# What tokenizers and chat templates put into text: before words, and around texts.
_WORD_MARKS = (" Ġ", " ▁", " ##")
_WORD_MARK = re.compile(r" (?:Ġ|▁|##)(?=\w)")
_AROUND_TEXTS = ("[SEP]", "[CLS]", "[PAD]", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "[/INST]")
_XML = re.compile(r"\s*<(?:\?xml\s|[A-Za-z][\w.-]*:[\w.-]+[\s>])")
_TAG = re.compile(r"</[A-Za-z][\w:.-]*\s*>|<(?:br|BR)\s*/?>")
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#[0-9]{2,7}|#[xX][0-9A-Fa-f]{2,6});")
_URL_CODE = re.compile("%[0-9A-F]{2}")
LEAST_PIECES = 3  # of markup or escapes in a text, fewer of which may be quoted
_SOFT_LINE_END = re.compile(r"^[^\n]{50,76}=\r?\n", re.M)  # as quoted-printable breaks lines, of 76 characters at most
_QUOTED_BYTE = re.compile(r"=[0-9A-F]{2}")
LONGEST_WORD = 200
LONGEST_LITERAL = 1_000_000  # characters of a text that is tried as what Python prints, which takes a thousandfold
_HALF_A_WORD = re.compile(rf"[A-Za-z0-9+/]{{{LONGEST_WORD // 2}}}")
_BASE64 = re.compile(rf"[A-Za-z0-9+/]{{{LONGEST_WORD + 1},}}+")
_BASE64_LINES = re.compile(r"\n[A-Za-z0-9+/]{60,76}\r?\n[A-Za-z0-9+/]{60,76}(?=\r?\n)")  # as e-mail has it
# What de-identification leaves in notes (MIMIC) and complaints (CFPB), and treebanks in place of brackets.
_REMOVED = re.compile(r"\[\*\*[^\n]{0,80}?\*\*\]|\bXXXX\b")
_BRACKET = re.compile(r"-[LR][RCS]B-")
# How messages of HL7 begin, of X12 and EDIFACT, SWIFT and FIX.
_SEGMENTS = ("MSH|", "FHS|", "BHS|", "ISA*", "ISA|", "UNA:+", "UNB+", "{1:F01", "8=FIX")
_UNMAPPED = re.compile(r"\(cid:[0-9]+\)")  # what pdfminer writes for a glyph whose character it does not know
_PRIVATE = re.compile("[\ue000-\uf8ff]")
MOST_PRIVATE = 0.02  # of a text's characters; fewer are bullets
_CELL = r'"?[\w. -]{1,40}"?'
_HEAD = re.compile(rf"{_CELL}([\t,;|]){_CELL}(?:\1{_CELL})*(?=\r?\n.)")  # of a table
TEXT_COLUMNS = {"text", "body", "content"}
# What stands above each of the documents that LexisNexis and Factiva deliver in one file.
_DELIVERED = re.compile(r"^[ \t]*(?:[0-9]+ of [0-9]+ DOCUMENTS?|Document [A-Z][A-Za-z0-9]{20,30})[ \t]*\r?$", re.M)
_STATEMENT = re.compile(r"\s*(?:INSERT (?:IGNORE )?INTO|REPLACE INTO|COPY|CREATE TABLE)\s[^\n]*[(`\"]", re.I)
_TEASER = re.compile(r"(?:\[(?:…|\.{3}|&#8230;|\+[0-9,]+ chars|truncated)\]|…|\.{3}|[Rr]ead more(?: ?[»›>])?)\Z")
_LOST_LETTER = re.compile(r"\?(?<=[^\W\d_]\?)\?*[^\W\d_A-Z]+(?![\w/=&?:])")  # begins with its sign, for speed
_REREAD = ("ï¿½", "锟斤拷")  # U+FFFD in UTF-8, read as Windows-1252 and as GBK
_OF_OTHER_SCRIPTS = re.compile(
    "[À-ÖØ-öø-ÿ](?<![A-Za-z].)[À-ÖØ-öø-ÿ]{4,}(?![A-Za-z])"
)  # as Cyrillic is in Latin-1: no words have so many
_SPACED = re.compile(r"(?:[^\W\d_] ){20}")
SPACED_WITHIN = 400  # characters
_ESCAPED_JAPANESE = re.compile(r"\$[B@](?:[!-~]{2})+?\([BJ]")  # ISO-2022-JP without its escapes
_MESSAGE = re.compile(r"^From \S+ .*[0-9]{2}:[0-9]{2}.* [0-9]{4}\r?$", re.M)
_BYTES = re.compile(r"b'[^\n]*'|b\"[^\n]*\"")


def encoding_of(text: str, text_field: str) -> str | None:
    """What of a text's encodings this one is; None for text, and quickly: the first character tells nearly always."""
    if text[:1] == "b" and _BYTES.fullmatch(text):
        return "bytes as Python prints them (b'…')"
    value = _spelt(text)
    if isinstance(value, str):
        return "a JSON string, in quotes and with escapes"
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return "a list of texts, in brackets and quotes"
    if isinstance(value, dict) and text_field.rpartition(".")[2] in value:
        return "a JSON record"
    if value is None and text[:1] == '"' and _is_field_of_csv(text.rstrip()):
        return 'a field of CSV, in quotes that are doubled within ("")'
    return None


def _spelt(text: str) -> object:
    """The string, list or object that a text spells in JSON or as Python prints it; None where it spells none."""
    ends = {'"': '"', "{": "}", "[": "]"}.get(text[:1])
    if ends is None or not text.rstrip().endswith(ends):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if text[:2] not in ("['", '["', "{'", '{"') or len(text) > LONGEST_LITERAL:
        return None
    with warnings.catch_warnings(action="ignore"):  # of escapes that Python does not know
        try:
            return ast.literal_eval(text.rstrip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None


def _is_field_of_csv(text: str) -> bool:
    inner = text[1:-1]
    return text.endswith('"') and '""' in inner and '"' not in inner.replace('""', "")


def doubt_about(text: str) -> str | None:
    """What of a text may not be meant, as the end of a sentence about several; None where nothing is seen."""
    if "<|endoftext|>" in text:
        return (
            "have <|endoftext|> in them, which is text there and parts no documents: write each as a record of its own"
        )
    if text[:1] in "<\n \t" and _HTML.match(text) and text.rstrip().endswith(">"):
        return "are HTML, of which a model learns the tags: extract the text if they are not meant"
    if (head := _HEAD.match(text)) and TEXT_COLUMNS & {cell.strip('" ').lower() for cell in head[0].split(head[1])}:
        return "are tables, with a text in each row: write each as a record of its own, such as a line of .jsonl"
    if ("DOCUMENT" in text or "\nDocument " in text) and _has_several(_DELIVERED, text):
        return "are deliveries of several documents (1 of 50 DOCUMENTS): write each as a record of its own"
    if _STATEMENT.match(text) and text.rstrip().endswith((";", "\\.")):
        return "are statements of SQL: write the texts that they hold"
    if text.startswith("From ") and _has_several(_MESSAGE, text):
        return "are mailboxes of several messages: write each as a record of its own"
    beginning = text[:40].lstrip()
    if beginning.startswith("{\\rtf"):
        return "are RTF, of which a model learns the control words: extract the text"
    if beginning.startswith(("%PDF-", "%!PS")):
        return "are PDF or PostScript, of which a model learns the operators: extract the text"
    if text[:1] in ("{", "[") and isinstance(_spelt(text), dict | list):
        return "are JSON, or as Python prints it, of which a model learns quotes and names: extract the text"
    if "&" in text and _ESCAPED_HTML.search(text):
        return "have escaped tags of HTML in them (&lt;p&gt;): undo the escapes and extract the text if not meant"
    is_xml = text[:1] in "<\n \t" and _XML.match(text) and text.rstrip().endswith(">")
    if is_xml or ("<" in text and _has_several(_TAG, text)):
        return "have tags of HTML or XML in them (</p>, <br>), which a model learns: extract the text if not meant"
    if "&" in text and _has_several(_ENTITY, text):
        return "have entities of HTML in them (&nbsp;, &#8217;) in place of characters: undo them if not meant"
    if "\\" in text and "\n" not in text.strip() and _has_several(_ESCAPED_NEWLINE, text):
        return "have \\n in place of newlines: undo the escapes"
    if found := _marked_by_programs(text):
        return found
    if any(sign in text for sign in ("\\", "<U+", "_x")) and _has_several(_ESCAPED_CHARACTER, text):
        return "have escapes in place of characters (\\u2019, <U+2019>, _x000D_): undo them if not meant"
    if "%" in text and text.count(" ") < text.count("%20") + text.count("+") and _has_several(_URL_CODE, text):
        return "are encoded as in addresses of the web (%20, %2C): decode them"
    if ("=\n" in text or "=\r\n" in text) and _SOFT_LINE_END.search(text) and _QUOTED_BYTE.search(text):
        return "are quoted-printable, as in e-mail (=E2=80=99, lines that end in =): decode them"
    if _has_base64(text) or any(map(_is_base64, _BASE64_LINES.findall(text))):
        return f"have words above {LONGEST_WORD} characters, or lines, of base64 in them: decode them or take them out"
    if "(cid:" in text and _has_several(_UNMAPPED, text):
        return "have (cid:…) in place of characters, which a reader of PDF did not know: extract the text otherwise"
    if "?" in text and _has_several(_LOST_LETTER, text):
        return "have question marks within words (client?s), where a program could not write a character: export anew"
    if "$" in text and _has_several(_ESCAPED_JAPANESE, text):
        return "are Japanese in ISO-2022-JP that lost its escapes ($B…(B): decode the originals"
    if _SPACED.search(text[:SPACED_WITHIN]):
        return "have a space behind each letter: extract the text otherwise"
    if not text.isascii() and (found := _in_other_characters(text)):
        return found
    if _TEASER.search(text.rstrip()[-20:]):
        return "end in … or [...], as teasers and cut texts do: look at their ends"
    if not text.isascii() and len(_PRIVATE.findall(text)) > MOST_PRIVATE * len(text):
        return "have characters of private use, which are a font's own (U+E000 to U+F8FF): extract the text otherwise"
    return None


def _marked_by_programs(text: str) -> str | None:
    """What of a text tokenizers, chat templates and hospitals' systems have put into it."""
    if text.rstrip().endswith("</s>") or any(mark in text for mark in _AROUND_TEXTS):
        return "have marks of a tokenizer or chat template in them ([SEP], <|im_end|>, </s>): take them out"
    if any(mark in text for mark in _WORD_MARKS) and _has_several(_WORD_MARK, text):
        return "have a tokenizer's marks before words ( Ġthe,  ▁the,  ##ing): undo them"
    if text.startswith(_SEGMENTS):
        return "are messages of HL7, X12, EDIFACT, SWIFT or FIX, of which a model learns the segments: extract the text"
    if "B-" in text and _has_several(_BRACKET, text):
        return "have -LRB- and -RRB- in place of brackets, as in treebanks, and may be cut into tokens: undo it"
    if ("[**" in text or "XXXX" in text) and _has_several(_REMOVED, text):
        return "have marks of de-identification in them ([**Name**], XXXX), which a model learns: replace them"
    return None


def _in_other_characters(text: str) -> str | None:
    """What of a text outside of ASCII shows that it was decoded by an encoding that it does not have."""
    if any(sign in text for sign in _REREAD):
        return "have ï¿½ or 锟斤拷, which were replacement characters, in place of what was lost: decode the originals"
    if _has_several(_OF_OTHER_SCRIPTS, text):
        return (
            "have words of accented letters alone (ïîñòàíîâèë), as Cyrillic, Greek or Thai that was read in a Western "
            "encoding: decode the originals"
        )
    return None


def _has_several(piece: re.Pattern[str], text: str) -> bool:
    return sum(1 for _ in itertools.islice(piece.finditer(text), LEAST_PIECES)) == LEAST_PIECES


def _has_base64(text: str) -> bool:
    """Whether a word above LONGEST_WORD characters is of base64, with capitals, small letters and digits.

    Such a word holds half a one from one of the places so far apart, which few texts do.
    """
    places = range(0, len(text), LONGEST_WORD // 2)
    if len(text) <= LONGEST_WORD or not any(_HALF_A_WORD.match(text, place) for place in places):
        return False
    return any(map(_is_base64, _BASE64.findall(text)))


def _is_base64(word: str) -> bool:
    return not word.isupper() and not word.islower() and re.search("[0-9]", word) is not None
