"""Items that training text touches: a planted one is found, a mere phrase is not."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from evaluation.questions.documents import Document
from evaluation.questions.items import Item
from evaluation.questions.make import make_items
from evaluation.questions.overlap import touched_items
from tests.evaluation.questions.test_documents import write

FAR = "Nothing of this was ever said about any other matter by anyone in all of the years before today. " * 3


@pytest.mark.parametrize("kind", ["next_sentence", "name", "order"])
def test_a_planted_document_touches_its_items_alone(documents: Sequence[Document], tmp_path: Path, kind: str) -> None:
    items = make_items(kind, documents, 60, seed=1)  # type: ignore[arg-type]
    planted = documents[7]
    write(tmp_path / "corpus", [Document("t", "news", None, f"{FAR} {planted.text.upper()}")], "train")
    touched = touched_items(items, tmp_path / "corpus", tmp_path, workers=1)
    theirs = {item.id for item in items if planted.id in (item.document, *item.others)}
    own = {item.id for item in items if item.document == planted.id}
    assert own
    assert own <= touched <= theirs
    assert list(tmp_path.iterdir()) == [tmp_path / "corpus"]


def test_thirteen_words_touch_and_twelve_do_not(item: Callable[..., Item], tmp_path: Path) -> None:
    words = [f"word{chr(97 + number)}" for number in range(26)]
    items = [item(" ".join(words[:20]), [" " + " ".join(words[20:]), " and so on."], 0)]
    for number, expected in ((12, set()), (13, {items[0].id})):
        corpus = tmp_path / str(number)
        write(corpus, [Document("t", "news", None, f"{FAR} {' '.join(words[10 : 10 + number])}. {FAR}")], "train")
        assert touched_items(items, corpus, tmp_path, workers=1) == expected
    assert touched_items([], tmp_path / "12", tmp_path, workers=1) == set()
