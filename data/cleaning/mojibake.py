"""Mojibake, UTF-8 that was read as another encoding, undone where more than the piece itself says that it is some.

ftfy finds what could be mojibake piece by piece: it makes an Arabic letter of the tolerance in `Ø±5 %`, and leaves the
trademark in `Acmeâ„¢`. Here a piece is a run of characters outside ASCII, and is mended only when what comes out is
likelier than what stands there:

- control characters (U+0080 to U+009F) went, which nobody writes;
- punctuation and symbols that are in common use come out of three characters, or of Â and one behind it;
- Latin letters come out, next to letters and not lower case within capitals, or several of them;
- two letters or more of one other alphabet come out;
- the piece alone says too little, but others of the text were mended to the same alphabet;
- a space was part of it, and something else of its line is mended: an Â or Ã alone is an operator or a matrix.

`voilà »`, `5 Å²`, `CAFÉ†`, `»AMANHû`, `let Â be` and the like stay as they are.

What was misread more than once (`ÃƒÂ©`) is first taken back to what was misread once (`Ã©`), and then judged as that:
a piece that is valid UTF-8 twice over is no chance. So it is mended wholly, or to what might have been written (`Å²`).
"""

import re
import unicodedata

# Where ftfy could see mojibake, said so that the search is quick: at a control character or a letter with which misread
# UTF-8 begins, where two characters outside ASCII but of no other alphabet follow one another, and where such a one
# follows a Greek or Cyrillic letter. tests/data/cleaning/test_mojibake.py holds this against ftfy's own patterns.
_MISREAD = "\xa0-\u02ff\u0384\u0385\u0490\u0491\u2010-\u25ff\uf8ff\ufb01\ufb02\ufffd"
_MISREAD_BUT_QUOTES = "\xa0-\xaa\xac-\xba\xbc-\u02ff\u0490\u0491\u2020-\u2025\u2027-\u25ff\uf8ff\ufb01\ufb02\ufffd"
MAYBE_MOJIBAKE = re.compile(
    "[^\x00-\x7f](?:(?<=[\x80-\x9fÂÃŒœЂ])"
    f"|(?<=[{_MISREAD}])[{_MISREAD}]"
    f"|(?<=[\u0370-\u04ff])[{_MISREAD_BUT_QUOTES}]"
    f"|(?<=[ВГРСΒΓΞΟ])[{_MISREAD}][ВГРСΒΓΞΟ]"
    "|(?<=в)(?:„[ў–]|њ“))"
)


def _misread_byte(byte: int, encoding: str = "cp1252") -> str:
    return bytes([byte]).decode(encoding, "ignore") or chr(byte)


def _misread(character: str, encoding: str) -> str:
    """The UTF-8 of a character read as an encoding; bytes that it has no character for, as control characters."""
    return "".join(_misread_byte(byte, encoding) for byte in character.encode())


# What ftfy leaves although no text has it otherwise: a common symbol that has become three characters, one of Latin-1
# behind a Â that ends no word, and a letter behind small ones, or between letters of which the second is small.
COMMON = "‐‑‒–—―‘’‚“”„†‡•…‰′″‹›€₹№™−←↑→↓≈≠≤≥∞√∑∂■□▪►▲▼●★✓ﬁﬂ"
DASHED = re.compile("[–—][\xa0\u0400-\u04ff]")  # a dash between words, as in Київ–Європа
SYMBOLS = {
    misread: symbol
    for encoding in ("cp1252", "mac_roman", "cp437", "cp1251")
    for symbol in COMMON
    if not DASHED.search(misread := _misread(symbol, encoding))
}
SIGNS = {f"Â{sign}": sign for sign in map(chr, range(0xA1, 0xC0)) if sign != "»"}
LETTERS = {
    _misread(letter, "cp1252"): letter
    for letter in map(chr, [*range(0xC0, 0x180), *range(0x218, 0x21C), *range(0x1EA0, 0x1EFA)])
    if letter.isalpha()
}
# The square of an operator or a matrix, behind what begins a term, and an operator before French punctuation.
_OPERATOR = "(?<![^\\s(\\[{⟨|=+−<,;])(?:Â(?:[¹²³]|\xa0[:;?!»])|Ã[¹²](?!\\w))"
OPERATOR = re.compile(_OPERATOR)
_SMALL = "[a-z\xdf-\xf6\xf8-\xff]"
_SIGN, _LETTER = f"Â[{''.join(SIGNS.values())}]", f"(?:{'|'.join(LETTERS)})"
LEFT = re.compile(
    f"{'|'.join(SYMBOLS)}|(?<![«„“\"'‘A-Z\xc0-\xde])(?!{_OPERATOR}){_SIGN}"
    f"|(?:(?<={_SMALL}{_SMALL})|(?<={_SMALL})(?=[ÃÄ])){_LETTER}"
    f"|(?:(?<=[^\\W\\d_])|(?<![^\\W_])(?=[ÄÅ][šžœŸŒŽŠ]{_SMALL})){_LETTER}(?={_SMALL})"
)
MEANT = SYMBOLS | SIGNS | LETTERS
MAYBE_LEFT = re.compile(f"[{''.join(sorted({piece[0] for piece in MEANT}))}][^\\x00-\\x7f]")
ASCII = re.compile("([\x00-\x7f]+)")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# What a no-break space was part of that has become a space: itself, à with or without a space behind it, Р and Π.
SPACED = re.compile(
    "(?P<joined>Â |Ð (?=[ÐÑ])|Î (?=[ÎÏ])|(?<![A-Z\xc0-\xde])Ã (?=[,.;:!?)]|quel[ea]|quilo|s |$))"
    "|(?<![A-Z\xc0-\xde])Ã  ?"
)
LATIN = re.compile("[A-Za-z\xc0-\u017f\u0218-\u021b\u1ea0-\u1eff]")  # that living languages are written with
CAPITALS = re.compile("[A-Z][A-Z]\\Z")
_BYTES = {_misread_byte(byte): byte for byte in range(256)} | {chr(byte): byte for byte in range(0x80, 0xA0)}
_REST = f"[{re.escape(''.join(character for character, byte in _BYTES.items() if 0x80 <= byte < 0xC0))}]"
TWICE = re.compile(f"Ã{_REST}(?:[ÂÃÅÆË]{_REST}|â{_REST}{_REST})+")  # begin as UTF-8 of what cp1252 has
QUOTED = re.compile("[«»„“”‘’‹›]{2}")


def undo_mojibake(text: str) -> str:
    """A text with its mojibake undone, line by line: one line's encoding says nothing about the others'."""
    lines = text.split("\n")
    suspects = [place for place, line in enumerate(lines) if MAYBE_MOJIBAKE.search(line)]
    for place in suspects:
        lines[place] = _restore_spaces(TWICE.sub(_misread_once, lines[place]))
    proposals = {place: fixed for place in suspects if (fixed := _propose(lines[place])) != lines[place]}
    alphabets: set[str] = set()
    for _ in range(2 if proposals else 0):  # what is mended in the first pass counts in the second
        for place, fixed in proposals.items():
            lines[place] = _take(lines[place], fixed, alphabets)
    for place in suspects:
        lines[place] = _mend_left(lines[place])
    return "\n".join(lines)


def _misread_once(piece: re.Match[str]) -> str:
    """What a piece was when it had been misread once, if it was misread more often; else the piece."""
    text = piece[0]
    while (before := _read_as_utf8(text)) and _read_as_utf8(before):
        text = before
    return text


def _read_as_utf8(text: str) -> str | None:
    """The UTF-8 that was misread as cp1252 or Latin-1 to this; None where it is none."""
    try:
        return bytes(map(_BYTES.__getitem__, text)).decode()
    except (KeyError, UnicodeDecodeError):
        return None


def _restore_spaces(line: str) -> str:
    """A line with no-break spaces in pieces that have lost them, if something else of it is mojibake."""
    if not SPACED.search(line):
        return line
    if "â€" not in line and _mend_left(_take(line, _propose(line), set())) == line:
        return line
    return SPACED.sub(lambda piece: piece[0][0] + ("\xa0" if piece["joined"] else "\xa0 "), line)


def _propose(line: str) -> str:
    """What ftfy makes of a line whose ASCII stays; where that changes, of each other piece by itself."""
    from ftfy import fix_encoding

    fixed = fix_encoding(line, restore_byte_a0=False)
    old = ASCII.split(line)
    if old[1::2] == ASCII.split(fixed)[1::2]:
        return fixed
    old[::2] = [piece if ASCII.search(new := fix_encoding(piece)) else new for piece in old[::2]]
    return "".join(old)


def _take(line: str, fixed: str, alphabets: set[str]) -> str:
    """A line with those of the proposed changes that are likelier than what stands there; adds their alphabets."""
    old, new = ASCII.split(line), ASCII.split(fixed)
    around = ["", *old, ""]
    for place in range(0, len(old), 2):
        if old[place] != new[place] and _is_likelier(
            old[place], new[place], around[place], around[place + 2], alphabets
        ):
            alphabets.update(map(_alphabet, filter(str.isalpha, new[place])))
            old[place] = new[place]
    return "".join(old)


def _mend_left(line: str) -> str:
    return LEFT.sub(lambda piece: MEANT[piece[0]], line) if MAYBE_LEFT.search(line) else line


def _is_likelier(old: str, new: str, before: str, behind: str, alphabets: set[str]) -> bool:
    """Whether what a piece would become is likelier than the piece, by what stands before and behind it."""
    if not new or CONTROL.search(new) or any(unicodedata.category(character) in ("Cn", "Co") for character in new):
        return False
    if CONTROL.search(old):
        return True
    if OPERATOR.search(before[-1:] + old + behind[:1]):
        return False
    letters = [character for character in new if character.isalpha() and character not in "ªµº"]
    found = set(map(_alphabet, letters))
    if not letters:
        return _is_common(old, new, before)
    if found == {"LATIN"}:
        if not all(LATIN.match(letter) for letter in letters):
            return False
        if letters[0].islower() and CAPITALS.search(before):
            return False
        beside = before[-1:].isalpha() or behind[:1].isalpha()
        return beside or len(letters) > 1 or (old[0] == "Ã" and len(old) == 2)
    if found == {"GREEK"} and old[0] in "ÎÏ" and not CAPITALS.search(before):
        return True  # as in α-helix
    return found <= alphabets or (len(letters) > 1 and len(found - _EASTERN) <= 1 and not before[-1:].isalpha())


def _is_common(old: str, new: str, before: str) -> bool:
    """Whether symbols are in common use and do not come out of a capital and the quotes or the dash behind it."""
    if QUOTED.fullmatch(new) or (old[0] == "Ã" and before[-1:].isupper()):
        return False
    return all(character in COMMON or character <= "\xff" or character in old for character in new)


_EASTERN = {"CJK", "HIRAGANA", "KATAKANA"}  # one text has all of them


def _alphabet(letter: str) -> str:
    """The alphabet of a letter, which its name begins with: LATIN, CYRILLIC, CJK."""
    return unicodedata.name(letter, "").partition(" ")[0]
