"""The files that describe an exported tokenizer: AutoTokenizer gives the file's ids, or there is no export."""

import json

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

from model import exported_tokenizer
from model.config import ModelConfig
from model.huggingface_folder import export_folder
from tests.models import PUBLISHED

END = "<|endoftext|>"
FIGURES = "Net sales of the year 2024 rose to 1,234,567;"


def given(folder, **described):
    """A tokenizer as its owner has it: figures stay whole, and it is described in words of his own."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[END],
        show_progress=False,
    )
    trained.train_from_iterator([f"{FIGURES} café's 2024 shops don't fall"] * 20, trainer)
    folder.mkdir()
    trained.save(str(folder / "tokenizer.json"))
    if described:
        (folder / "tokenizer_config.json").write_text(json.dumps(described))
    return trained


@pytest.fixture
def export(families, random_model, tmp_path):
    """Exports a model of a family with the tokenizer in `given`; → the folder."""

    def write(family, **options):
        model = random_model(families[family] | {"vocabulary_size": 512})
        folder = tmp_path / "export"
        export_folder(model.state_dict(), model.config, folder, tmp_path / "given", END, **options)
        return folder

    return write


@pytest.mark.parametrize("family", ["bloom", "llama", "qwen3"])
@pytest.mark.parametrize("described", [{"eos_token": END}, {"tokenizer_class": "Qwen2Tokenizer"}])
def test_whatever_class_a_given_tokenizer_names_its_file_is_obeyed(export, tmp_path, family, described):
    """Without a class that keeps the file, transformers rebuilds it by model_type: 2024 became four tokens."""
    file = given(tmp_path / "given", **described)
    tokenizer = AutoTokenizer.from_pretrained(export(family))
    for text in (FIGURES, "cafe\u0301"):
        assert tokenizer(text)["input_ids"] == file.encode(text).ids
        assert tokenizer.decode(file.encode(text).ids) == text


def test_an_export_that_is_read_otherwise_is_refused_before_its_weights_are_written(export, tmp_path):
    also = {"5": {"content": "sales", "special": False}}
    given(tmp_path / "given", eos_token=END, added_tokens_decoder=also)
    written = []
    with pytest.raises(ValueError, match=r"AutoTokenizer of transformers \S+ gives \d+ ids for 'Net sales"):
        export("qwen3", progress=lambda done, total: written.append(done))
    assert not written
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_a_tokenizer_that_cannot_leave_is_found_before_there_is_a_model(tmp_path):
    """transformers takes Qwen2's rules for a Qwen2, whatever the file says, and obeys the file for the others."""
    given(tmp_path / "given")
    file = tmp_path / "given" / "tokenizer.json"
    qwen2, mistral = (
        ModelConfig.model_validate(PUBLISHED[name] | {"vocabulary_size": 512}) for name in ("qwen2.5", "mistral")
    )
    with pytest.raises(ValueError, match=r"ids for 'Net sales.* others: of a qwen2 it takes the rules of Qwen2's"):
        exported_tokenizer.try_tokenizer(file, qwen2, END)
    assert exported_tokenizer.try_tokenizer(file, mistral, END)


def test_every_piece_is_among_the_texts_that_are_compared(tmp_path):
    file = given(tmp_path / "given")
    texts = "".join(exported_tokenizer._texts_of_pieces(file))
    whole = [file.decode([token]) for token in range(1, file.get_vocab_size())]
    assert all(piece in texts for piece in whole)


def test_a_description_is_kept_but_for_what_the_export_needs(export, tmp_path):
    own = {
        "eos_token": END,
        "model_max_length": 131_072,  # the base's; the model has been trained on 64
        "auto_map": {"AutoTokenizer": ["code.py", None]},
        "clean_up_tokenization_spaces": True,
        "add_prefix_space": True,
        "pad_token": None,
    }
    given(tmp_path / "given", **own)
    (tmp_path / "given" / "chat_template.jinja").write_text("{{ messages }}")
    folder = export("bloom")
    assert json.loads((folder / "tokenizer_config.json").read_text()) == {
        "eos_token": END,
        "model_max_length": 64,
        "clean_up_tokenization_spaces": True,
        "bos_token": END,
        "pad_token": END,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "unk_token": END,
    }
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert (tokenizer.model_max_length, tokenizer.chat_template) == (64, "{{ messages }}")


@pytest.mark.parametrize("family", ["bloom", "llama", "qwen3"])
def test_a_learnt_tokenizer_is_described_for_programs_that_ask_for_more(export, tmp_path, family):
    """transformers 4 adds token_type_ids, at which these models fail, and CTranslate2 needs a piece for the unknown."""
    given(tmp_path / "given")
    folder = export(family)
    written = json.loads((folder / "tokenizer_config.json").read_text())
    assert written["model_input_names"] == ["input_ids", "attention_mask"]
    assert written["unk_token"] == END
    assert set(AutoTokenizer.from_pretrained(folder)("a")) == {"input_ids", "attention_mask"}


def test_what_describes_no_tokenizer_is_refused(export, tmp_path):
    given(tmp_path / "given")
    (tmp_path / "given" / "tokenizer_config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"tokenizer_config\.json does not describe a tokenizer"):
        export("llama")


def test_what_a_file_puts_around_every_text_is_not_in_the_export_nor_another_end(export, tmp_path):
    """As Llama's files do: the model has never had such a begin, and its documents end by another piece."""
    file = given(tmp_path / "given", bos_token="Ġ2024", eos_token="Ġ2024", pad_token="Ġ2024")
    begin = file.token_to_id("Ġ2024")
    file.post_processor = processors.TemplateProcessing(single="Ġ2024 $A", special_tokens=[("Ġ2024", begin)])
    file.enable_truncation(4)
    file.enable_padding(length=64)
    file.save(str(tmp_path / "given" / "tokenizer.json"))
    file.no_truncation()
    file.no_padding()
    (tmp_path / "given" / "special_tokens_map.json").write_text('{"eos_token": "Ġ2024"}')
    assert file.encode(FIGURES).ids[0] == begin
    folder = export("llama")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer(FIGURES)["input_ids"] == file.encode(FIGURES, add_special_tokens=False).ids
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (END, END, "Ġ2024")
    assert json.loads((folder / "special_tokens_map.json").read_text("utf-8"))["eos_token"] == END
