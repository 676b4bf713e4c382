"""The model card: what the run's files say and no more, safe against what stands in them, readable by the hub."""

from typing import Any

import pytest
from huggingface_hub import ModelCard

from evaluation.pages.model_card import CardFacts, model_card

CONFIG = {
    "name": "bank-7b",
    "seed": 5,
    "init_from": None,
    "model": {"positions": "alibi", "sequence_length": 2048, "layers": 32},
    "training": {
        "steps": 2000,
        "batch_size": {0: 8, 100: 16},
        "learning_rate": 3e-4,
        "minimum_learning_rate": 3e-5,
        "schedule": "cosine",
        "warmup_steps": 50,
        "weight_decay": 0.1,
        "gradient_clipping": 1.0,
        "precision": "bf16",
    },
}
KEPT = {"documents": 1200, "tokens": 34_567, "bytes": 98_765}
DATA: dict[str, Any] = {
    "cutoff": "2021-01-01",
    "totals": {"read": 3000, "documents": 2500},
    "digests": {"tokenizer": "feed5eed"},
    "sources": {
        "filings": {
            "domain": True,
            "language": "en",
            "licences": {"public domain": 1300, "unknown": 10},
            "kept": {
                "train": KEPT | {"first_date": "1999-02-03", "last_date": "2020-12-31"},
                "future": KEPT | {"first_date": "2021-01-01", "last_date": "2022-06-30"},
            },
        },
        "wiki": {
            "domain": False,
            "language": "de",
            "licences": {"CC BY-SA 4.0": 1190},
            "kept": {"train": KEPT | {"first_date": None, "last_date": None}},
        },
    },
}
EVALUATION = {
    "step": 2000,
    "sources": {
        "filings": {"future": {"bits_per_byte": 0.91234}, "past": {"bits_per_byte": 0.87}},
        "wiki": {"past": {"bits_per_byte": 1.55}},
    },
    "baselines": {
        "ngram": {"filings": {"future": 1.21, "past": 1.1}, "wiki": {"past": 1.5}},
        "xz": {"filings": {"future": 1.4}},
    },
}


def facts(**changes: Any) -> CardFacts:
    content: dict[str, Any] = {
        "class_name": "BloomForCausalLM",
        "parameters": 6_981_042_176,
        "dtype": "bfloat16",
        "end_of_text": "<|endoftext|>",
        "step": 2000,
        "tokens": 65_536_000,
        "config": CONFIG,
        "data_digest": "abcd1234",
        "environment": {"versions": {"torch": "2.13.0"}, "device": "H100", "ranks": 8},
        "events": [{"event": "start", "time": "t0", "step": 0}],
        "data": DATA,
        "evaluation": EVALUATION,
    }
    return CardFacts(**content | changes)


def test_the_hub_reads_the_header() -> None:
    header = ModelCard(model_card(facts())).data
    assert header.library_name == "transformers"
    assert header.pipeline_tag == "text-generation"
    assert header.license == "other"
    assert header.language == ["de", "en"]
    assert ModelCard(model_card(facts(data=None))).data.language is None


def test_it_says_what_the_run_was() -> None:
    card = model_card(facts())
    for words in (
        "# bank-7b",
        "6.98 billion parameters for filings, pretrained from scratch on 65.5 million tokens",
        "`BloomForCausalLM`; the weights are in bfloat16",
        "| filings | 1,200 | 34,567 | 98.8 kB | 1999-02-03 to 2020-12-31 | public domain, unknown |",
        "| wiki | 1,200 | 34,567 | 98.8 kB | undated | CC BY-SA 4.0 |",
        "3,000 records were read and 2,500 documents kept",
        "nothing dated 2021-01-01 or later is in the training text",
        "| public domain | 1,300 | 52.0% |",
        "| unknown | 10 | 0.4% |",
        "| filings | future | 0.912 | 1.210 | 1.400 |",
        "| filings | past | 0.870 | 1.100 |  |",
        "**A baseline does better than the model on** wiki / past (ngram).",
        "is of 2020-12-31; of later events it knows nothing, and what undated text says",
        "| begun from | random weights |",
        "| step | 2,000 of 2,000 |",
        "| sequences in a batch | {0: 8, 100: 16} |",
        "| tokenizer | feed5eed |",
        "| hardware | 8 ranks, H100 |",
        "it runs on more (ALiBi)",
        "has not been tuned to follow instructions",
    ):
        assert words in card, words
    assert "journal" not in card


def test_a_newer_evaluation_is_not_taken_for_that_of_these_weights() -> None:
    assert "at step 2,000; lower" in model_card(facts())
    assert "at step 2,000 (the weights here are of step 1,500); lower" in model_card(facts(step=1500))


def test_what_was_measured_in_part_is_said() -> None:
    noted = EVALUATION | {"notes": ["10 of 90 held-out tokens were measured"]}
    assert "\n10 of 90 held-out tokens were measured.\n" in model_card(facts(evaluation=noted))
    assert "were measured" not in model_card(facts())


def test_a_model_that_wins_everywhere_says_so() -> None:
    beaten = EVALUATION | {"baselines": {"ngram": {"filings": {"future": 2.0, "past": 2.0}, "wiki": {"past": 2.0}}}}
    card = model_card(facts(evaluation=beaten))
    assert "better than every baseline shown on every text" in card
    assert "**A baseline" not in card


def test_without_baselines_none_is_beaten() -> None:
    """A fine-tuning has none: the card said that the model is better than every one."""
    card = model_card(facts(evaluation=EVALUATION | {"baselines": {}}))
    assert "better than every baseline" not in card
    assert "other columns" not in card


def test_a_model_of_conversations_is_asked_by_its_template() -> None:
    card = model_card(facts(chat=True))
    assert "apply_chat_template(asked, add_generation_prompt=True" in card
    assert "Begin a prompt with it" not in card
    assert "responses in examples that" in card


def test_what_is_not_known_is_not_said() -> None:
    card = model_card(facts(data=None, evaluation=None, environment=None))
    assert "has not been evaluated on held-out text" in card
    assert "cannot say what text is in them" in card
    assert "| hardware |" not in card
    assert "None" not in card
    assert "bits per byte" not in card.lower()


def test_continued_pretraining_names_where_it_began() -> None:
    config = CONFIG | {
        "init_from": "/secret/place/General-8B/",
        "model": {"positions": "rope", "sequence_length": 4096, "layers": 32},
    }
    card = model_card(facts(config=config, class_name="Qwen3ForCausalLM"))
    assert "trained further from the weights of another model on" in card
    assert "| begun from | the weights of General-8B |" in card
    assert "/secret" not in card
    assert "knows what the model that it began from knew" in card
    assert "It reads at most 4,096 tokens at a time" in card
    assert "not been tuned" not in card, "the other model may have been"
    assert "Bits per byte of text that this run held out, at step" in card
    assert "that the model has not seen" not in card


@pytest.mark.parametrize(
    ("begun", "name"),
    [
        ("/models/General-8B/", "General-8B"),
        ("/home/me/.cache/huggingface/hub/models--Qwen--Qwen3-1.7B/snapshots/0a1b2c", "Qwen/Qwen3-1.7B"),
    ],
)
def test_the_hub_reads_which_model_it_began_from(begun: str, name: str) -> None:
    card = model_card(facts(config=CONFIG | {"init_from": begun}))
    assert ModelCard(card).data.base_model == name
    assert f"| begun from | the weights of {name} |" in card
    assert ModelCard(model_card(facts())).data.base_model is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_example_computes_alibi_in_float32_and_the_card_says_why(dtype: str) -> None:
    card = model_card(facts(dtype=dtype))
    code = card.partition("```python\n")[2].partition("```")[0]
    assert ('from_pretrained(folder, dtype="float32")' in code) == (dtype == "bfloat16")
    assert "`transformers` computes the biases of ALiBi in the dtype of the weights" in card
    rotated = CONFIG | {"model": {"positions": "rope", "sequence_length": 4096, "layers": 32}}
    assert "ALiBi" not in model_card(facts(config=rotated, dtype=dtype))


def test_events_of_the_journal_are_told() -> None:
    changed = {"event": "configuration changed", "time": "2026-01-02", "changes": {"training.learning_rate": "1e-4"}}
    card = model_card(facts(events=[{"event": "save", "step": 3}, changed]))
    assert "- 2026-01-02 configuration changed: changes {'training.learning_rate': '1e-4'}" in card
    assert "save" not in card.partition("## How it was made")[2].partition("```")[0].replace("saving", "")


@pytest.mark.parametrize(
    "hostile", ["a | b\n# Title", "<script>alert(1)</script>", "[x](javascript:y)", "`code` & more"]
)
def test_text_out_of_data_stays_text(hostile: str) -> None:
    source = DATA["sources"]["filings"] | {"licences": {hostile: 1}}
    card = model_card(facts(data=DATA | {"sources": {"filings": source}}))
    (row,) = (line for line in card.splitlines() if line.startswith("| filings | 1,200"))
    assert row.replace("\\|", "").count("|") == 7
    assert "<script" not in card
    assert "[x](" not in card.replace("\\[", "")
    assert "\n# Title" not in card


def test_the_example_in_it_is_python() -> None:
    code = model_card(facts()).partition("```python\n")[2].partition("```")[0]
    assert "<|endoftext|>" in code
    compile(code, "card", "exec")
