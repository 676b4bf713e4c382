"""Pieces of text and where they stand on pages as running text: columns in order, paragraphs whole, repetitions out."""

import itertools
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

LEAST_LINES = 5  # of a column
WIDTH_OF_A_GUTTER = 8.0  # points
FILLED = 0.5  # of a column's width that half of its lines fill
WORDS = 4  # that half of a column's lines have or more; a table's cells have fewer
MOST_ACROSS = 0.3  # of a page's lines that may reach over a gutter, such as headings of the whole page
GAP_OF_CELLS = 1.5  # of the height of letters
GAP_OF_PARAGRAPHS = 1.35  # of the usual distance of lines
EDGE = 3  # lines at the top and at the bottom of a page that may be its header or footer
LEAST_REPEATED = 3  # pages that have a header or footer in common
HYPHEN = "\x02"  # as PDFium says of one at the end of a line
MARK = re.compile(r"[•◦▪■●‣∙–*-]|\(?\w{1,3}[.)]|\d+(?:\.\d+)+\.?")  # of an item or a heading
NUMBERED = re.compile(r"\d+(?:\.\d+)+\.? +[A-Z]|[•◦▪■●‣] ")
ENDS_OF_SENTENCES = '.:;!?)"”'
PAGE_NUMBER = re.compile(r"(?:page |- ?)?(?:\d{1,4}|[ivxlc]{1,7})(?: ?-| ?(?:of|/) ?\d{1,4})?", re.IGNORECASE)


class Piece(NamedTuple):
    """A piece of a line; points from the left and from the bottom of the page."""

    left: float
    bottom: float
    right: float
    top: float
    text: str


class Line(NamedTuple):
    """A line of one column."""

    left: float
    bottom: float
    right: float
    top: float
    text: str
    has_cells: bool
    column: int  # of the page, in the order of reading

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2


def lines_of(pieces: Sequence[Piece]) -> list[Line]:
    """The lines of a page in the order of reading."""
    return [line for number, column in enumerate(_columns(list(pieces))) for line in _lines(column, number)]


def text_of(pages: Iterable[Sequence[Line]]) -> str:
    """The text of a document's pages, without what the edges of several repeat; hyphenation is undone."""
    kept = _without_repeated([list(lines) for lines in pages])
    words = Counter(re.findall(r"[\w-]+", " ".join(line.text.lower() for lines in kept for line in lines)))
    paragraphs = [text for lines in kept for text in _paragraphs(lines, words)]
    text = ""
    for paragraph in paragraphs:
        if not text:
            text = paragraph
        elif text.endswith(HYPHEN):
            text = _joined(text, paragraph, words)
        else:
            text += f"\n\n{paragraph}"
    return text.replace(HYPHEN, "-")


def _columns(pieces: list[Piece]) -> Iterator[list[Piece]]:
    """Pieces of columns in the order of reading: what reaches over a gutter parts what stands above from what below."""
    gutter = _gutter(pieces)
    if gutter is None:
        yield pieces
        return
    across = sorted((piece for piece in pieces if piece.left < gutter < piece.right), key=lambda piece: -piece.top)
    rest = [piece for piece in pieces if not piece.left < gutter < piece.right]
    for piece in across:
        above = [other for other in rest if other.bottom >= piece.bottom]
        rest = [other for other in rest if other.bottom < piece.bottom]
        yield from _two(above, gutter)
        yield [piece]
    yield from _two(rest, gutter)


def _two(pieces: list[Piece], gutter: float) -> Iterator[list[Piece]]:
    for side in ([p for p in pieces if p.right <= gutter], [p for p in pieces if p.left >= gutter]):
        if side:
            yield from _columns(side)


def _gutter(pieces: list[Piece]) -> float | None:
    """The middle of the gap between the two columns that pieces stand in, or None where they do not.

    Of several it is the one over which the fewest pieces reach.
    """
    if len(pieces) < 2 * LEAST_LINES:
        return None
    found: list[tuple[int, float]] = []
    for left in sorted({round(piece.left) for piece in pieces}):
        gutter = left - WIDTH_OF_A_GUTTER / 2
        before = [p for p in pieces if p.right <= gutter]
        after = [p for p in pieces if p.left >= gutter]
        across = len(pieces) - len(before) - len(after)
        if min(len(before), len(after)) < LEAST_LINES or across > MOST_ACROSS * len(pieces):
            continue
        if max(p.right for p in before) <= left - WIDTH_OF_A_GUTTER and _are_prose(before) and _are_prose(after):
            found.append((across, gutter))
    return min(found)[1] if found else None


def _are_prose(pieces: list[Piece]) -> bool:
    if statistics.median(len(p.text.split()) for p in pieces) < WORDS:
        return False
    width = max(p.right for p in pieces) - min(p.left for p in pieces)
    return statistics.median(p.right - p.left for p in pieces) >= FILLED * width


def _lines(pieces: list[Piece], column: int) -> Iterator[Line]:
    """Pieces beside one another as lines; gaps between them are borders of cells."""
    rows: list[list[Piece]] = []
    for piece in sorted(pieces, key=lambda piece: -(piece.top + piece.bottom)):
        last = rows[-1][0] if rows else None
        if last and min(last.top, piece.top) - max(last.bottom, piece.bottom) > 0.5 * min(
            last.top - last.bottom, piece.top - piece.bottom
        ):
            rows[-1].append(piece)
        else:
            rows.append([piece])
    for row in rows:
        row.sort()
        text, has_cells = row[0].text.strip(" "), False
        for before, piece in itertools.pairwise(row):
            gap = piece.left - before.right
            is_mark = before is row[0] and MARK.fullmatch(before.text.strip())
            is_cell = not is_mark and gap > GAP_OF_CELLS * (before.top - before.bottom)
            has_cells |= is_cell
            text += (" | " if is_cell else " " if gap > 0.5 else "") + piece.text.strip(" ")
        bottom, top = min(p.bottom for p in row), max(p.top for p in row)
        yield Line(row[0].left, bottom, max(p.right for p in row), top, text, has_cells, column)


def _without_repeated(pages: list[list[Line]]) -> list[list[Line]]:
    """Without the lines at the edges that several pages have in common but for numbers, and without page numbers."""
    edges = [_edges(lines) for lines in pages]
    shapes = Counter(shape for both in edges for shape in {_shape(line) for edge in both for line in edge})
    least = max(LEAST_REPEATED, 0.3 * len(pages))
    kept = []
    for lines, both in zip(pages, edges, strict=True):
        out: list[Line] = []
        for edge in both:  # from outside to the first line that is the page's own
            for line in edge:
                if shapes[_shape(line)] < least and not PAGE_NUMBER.fullmatch(line.text.strip()):
                    break
                out.append(line)
        kept.append([line for line in lines if line not in out])
    return kept


def _edges(lines: list[Line]) -> tuple[list[Line], list[Line]]:
    """The lines at the top and at the bottom of a page, each from outside."""
    ordered = sorted(lines, key=lambda line: -line.middle)
    return ordered[:EDGE], ordered[::-1][:EDGE]


def _shape(line: Line) -> tuple[str, int]:
    """What a line has in common with that of another page: its words, and its height on the page to a few points."""
    return re.sub(r"\d+|\b[ivxlc]+\b", "#", line.text.lower()), round(line.middle / 6)


def _paragraphs(lines: list[Line], words: Counter[str]) -> Iterator[str]:
    """Lines that follow each other closely as one; rows of cells, headings and items stay lines."""
    if not lines:
        return
    pitches = [a.middle - b.middle for a, b in itertools.pairwise(lines) if a.column == b.column]
    pitch = statistics.median([gap for gap in pitches if gap > 0] or [0])
    right = {
        column: max(line.right for line in lines if line.column == column) for column in {li.column for li in lines}
    }
    text = lines[0].text
    for before, line in itertools.pairwise(lines):
        height = before.top - before.bottom
        gap = before.middle - line.middle
        if line.column != before.column:
            goes_on = not before.has_cells and text[-1:] not in ".:;!?" and line.text[:1].islower()
            is_apart = not goes_on
        else:
            is_apart = gap > GAP_OF_PARAGRAPHS * pitch + 1
            room = right[line.column] - before.right
            may_end = text[-1:] in ENDS_OF_SENTENCES or room > 0.4 * (right[line.column] - before.left)
            is_short = room > 4 * height and may_end and text[-1:] != HYPHEN
            is_indented = line.left - before.left > height
            has_cells = before.has_cells or line.has_cells
            goes_on = not (is_apart or is_short or is_indented or has_cells or NUMBERED.match(line.text))
        if goes_on:
            text = _joined(text, line.text, words)
        elif is_apart:
            yield text
            text = line.text
        else:
            text += f"\n{line.text}"
    yield text


def _joined(text: str, line: str, words: Counter[str]) -> str:
    """Two lines of a paragraph; a word that hyphenation parted is whole again, as the document writes it elsewhere."""
    if not text.endswith((HYPHEN, "-")) or len(text) < 2 or not text[-2].isalnum():
        return f"{text} {line}"
    first = re.search(r"\w*$", text[:-1])
    second = re.match(r"\w*", line)
    before, after = first[0] if first else "", second[0] if second else ""
    compound = f"{before}-{after}".lower()
    if not after[:1].islower() or words[compound] > words[f"{before}{after}".lower()]:
        return f"{text[:-1]}-{line}"
    return text[:-1] + line
