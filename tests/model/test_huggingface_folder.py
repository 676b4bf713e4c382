"""The exported folder: whole or not there, in files of limited size, with a tokenizer that gives our ids."""

import json
import multiprocessing
import random
import time

import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer

from data.tokenizer.bpe import Bpe
from data.tokenizer.build import load_tokenizer
from data.tokenizer.model import BYTE_LETTERS, bpe_tokenizer, unigram_tokenizer
from model.huggingface import hugging_face_state
from model.huggingface_folder import RECORD, check_weights_as_written, export_folder
from tests.models import PUBLISHED

END = "<|endoftext|>"
FORK = multiprocessing.get_context("fork")


def write_tokenizer(folder, pieces=61):
    vocabulary = {END: 0} | {f"p{i}": i for i in range(1, pieces)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    tokenizer.add_special_tokens([END])
    (folder / "tokenizer").mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer" / "tokenizer.json"))
    return folder / "tokenizer"


def export(model, folder, **changes):
    arguments = {"tokenizer": None, "end_of_text": END} | changes
    export_folder(model.state_dict(), model.config, folder, **arguments)
    return folder


def test_weights_are_rounded_to_bfloat16_when_asked(family, random_model, tmp_path):
    model = random_model(family)
    folder = export(model, tmp_path / "export", dtype=torch.bfloat16)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    assert theirs.dtype == torch.bfloat16
    for name, tensor in hugging_face_state(model.state_dict(), model.config).items():
        assert torch.equal(theirs.get_parameter(name), tensor.bfloat16())


def test_shards_hold_everything_and_stay_below_their_limit(family, random_model, tmp_path):
    model, progress = random_model(family), []
    folder = export(
        model, tmp_path / "export", max_file_bytes=40_000, progress=lambda done, total: progress.append((done, total))
    )
    shards = sorted(folder.glob("*.safetensors"))
    assert shards[0].name == f"model-00001-of-{len(shards):05d}.safetensors"
    assert len(shards) > 2
    # The header takes some bytes of its own.
    assert all(shard.stat().st_size < 40_000 + 4096 for shard in shards)
    whole = 4 * sum(parameter.numel() for parameter in model.parameters())
    assert json.loads((folder / "model.safetensors.index.json").read_text())["metadata"]["total_size"] == whole
    assert len(progress) == len(shards)
    assert progress[-1] == (whole, whole)
    tokens = torch.randint(61, (3, 13), generator=torch.Generator().manual_seed(1))
    theirs = AutoModelForCausalLM.from_pretrained(folder)
    torch.testing.assert_close(model(tokens), theirs(tokens).logits, rtol=0, atol=1e-4)


def test_the_tokenizer_comes_along(families, random_model, tmp_path):
    model = random_model(families["bloom"])
    folder = export(model, tmp_path / "export", tokenizer=write_tokenizer(tmp_path))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.encode(f"p7{END}") == [7, 0]
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (END, END, END)
    assert tokenizer.model_max_length == 64
    config = json.loads((folder / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (0, 0, None)
    assert json.loads((folder / "special_tokens_map.json").read_text())["eos_token"] == END


def learnt_bpe():
    """Merges of a few words of several scripts, all bytes, and two special tokens."""
    special = [END, "<|user|>"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = bpe_tokenizer(
        Bpe([bytes([b]) for b in range(256)], []), special, "words", "single"
    ).pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=list(BYTE_LETTERS), show_progress=False)
    text = ["the bank of Zürich raised rates by 0.25 % — 日本銀行 не повысил ставку in 2023!\n\n"] * 20
    trained.train_from_iterator(text, trainer)
    definition = json.loads(trained.to_str())["model"]
    pieces = sorted(definition["vocab"], key=definition["vocab"].get)
    to_bytes = {letter: bytes([byte]) for byte, letter in enumerate(BYTE_LETTERS)}
    places = {piece: place for place, piece in enumerate(pieces)}
    merges = [(places[left], places[right]) for left, right in definition["merges"]]
    return bpe_tokenizer(Bpe([b"".join(to_bytes[c] for c in p) for p in pieces], merges), special, "words", "single")


def learnt_unigram():
    words = ["the", "bank", "", "of", "rates", "raised", "", "in", "Zürich", "日本"]
    pieces = [bytes([byte]) for byte in range(256)] + [f"{word} ".encode() for word in words if word]
    return unigram_tokenizer(pieces, [-6.0 - 0.01 * i for i in range(len(pieces))], [END], "bloomberggpt", "single")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory, random_model, families):
    """Ours and what AutoTokenizer makes of the exported folder, for both algorithms and all three classes."""
    found = []
    for kind, tokenizer in (("bpe", learnt_bpe()), ("unigram", learnt_unigram())):
        for name in ("bloom", "llama", "qwen3"):
            folder = tmp_path_factory.mktemp(f"{kind}-{name}")
            tokenizer.save(str(folder / "tokenizer.json"))
            model = random_model(families[name] | {"vocabulary_size": 512})
            found.append(
                (
                    load_tokenizer(folder),
                    AutoTokenizer.from_pretrained(export(model, folder / "export", tokenizer=folder)),
                )
            )
    return found


@settings(max_examples=200)
@given(
    st.one_of(
        st.text(),
        st.lists(
            st.sampled_from(["the bank", "  ", "Z\u00fcrich", "0.25", "\n", "\t", " of", "\u65e5\u672c", "'s"])
        ).map("".join),
    )
)
def test_auto_tokenizer_gives_our_ids_and_our_text_back(tokenizers, text):
    for ours, theirs in tokenizers:
        ids = ours.encode(text).ids
        assert theirs.encode(text) == ids
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids, skip_special_tokens=False) == ours.decode(ids, skip_special_tokens=False) == text


def test_marks_in_a_text_are_read_as_marks_unless_asked_otherwise(tokenizers):
    ours, theirs = tokenizers[0]
    quoted = f"a {END} b <|user|>"
    assert theirs.encode(quoted, split_special_tokens=True) == ours.encode(quoted).ids
    assert theirs.encode(END) == [0]
    assert "<|user|>" in theirs.all_special_tokens


def test_a_new_tokenizer_leaves_with_every_class_but_qwen2(random_model, tmp_path):
    """transformers rebuilds the rules of that one; with its own, as a continued model has, it leaves."""
    learnt_bpe().save(str(tmp_path / "tokenizer.json"))
    for name in ("mistral", "ministral", "smollm3", "olmo2", "olmo3"):
        model = random_model(PUBLISHED[name] | {"vocabulary_size": 512})
        export(model, tmp_path / name, tokenizer=tmp_path)
    model = random_model(PUBLISHED["qwen2.5"] | {"vocabulary_size": 512})
    with pytest.raises(ValueError, match=r"AutoTokenizer of transformers .* gives .* others"):
        export(model, tmp_path / "new", tokenizer=tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    AutoTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path / "its-own")
    export(model, tmp_path / "qwen2", tokenizer=tmp_path / "its-own")


def test_a_tokenizer_of_another_model_is_refused(families, random_model, tmp_path):
    model = random_model(families["bloom"])
    with pytest.raises(ValueError, match="has no piece '<end>'"):
        export(model, tmp_path / "a", tokenizer=write_tokenizer(tmp_path), end_of_text="<end>")
    with pytest.raises(ValueError, match="62 pieces, the model only 61"):
        export(model, tmp_path / "b", tokenizer=write_tokenizer(tmp_path, pieces=62))


def test_an_earlier_export_is_replaced_and_nothing_else(families, random_model, tmp_path):
    bloom, llama = random_model(families["bloom"]), random_model(families["llama"])
    export(bloom, tmp_path / "export", max_file_bytes=10_000, tokenizer=write_tokenizer(tmp_path))
    export(llama, tmp_path / "export", card="# mine")
    names = ["README.md", "config.json", "domainlm.json", "generation_config.json", "model.safetensors"]
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == names
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="mine is not empty and is no earlier export"):
        export(bloom, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_weights_that_are_not_as_they_were_written_are_refused(families, random_model, tmp_path):
    """One bit of a weight was trained on, and compared, without a word."""
    folder = export(random_model(families["llama"]), tmp_path / "export")
    check_weights_as_written(folder)
    (folder / "generation_config.json").write_text("{}")  # which users edit
    check_weights_as_written(folder)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-100] ^= 64
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"not as domainlm.json says that it was written: model.safetensors"):
        check_weights_as_written(folder)
    (folder / RECORD).unlink()
    check_weights_as_written(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_what_weights_are_read_with_is_as_it_was_written_too(families, random_model, tmp_path, name):
    folder = export(random_model(families["llama"]), tmp_path / "export")
    (folder / "tokenizer.json").write_text("{}")
    record = json.loads((folder / RECORD).read_text())
    record["files"]["tokenizer.json"] = {"bytes": 2, "digest": xxhash.xxh3_128(b"{}").hexdigest()}
    (folder / RECORD).write_text(json.dumps(record))
    check_weights_as_written(folder)
    with (folder / name).open("a") as file:
        file.write(" ")
    with pytest.raises(ValueError, match=f"not as domainlm.json says that it was written: {name}: export it again"):
        check_weights_as_written(folder)


def test_a_model_that_is_no_export_of_ours_is_left_alone(families, random_model, tmp_path):
    model = random_model(families["llama"])
    AutoModelForCausalLM.from_pretrained(export(model, tmp_path / "export")).save_pretrained(tmp_path / "published")
    assert (tmp_path / "published" / "generation_config.json").exists()
    before = {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()}
    with pytest.raises(FileExistsError, match=r"published is not empty and is no earlier export \(it has no "):
        export(model, tmp_path / "published")
    assert {path.name: path.read_bytes() for path in (tmp_path / "published").iterdir()} == before


def test_what_a_user_has_put_into_an_export_is_not_deleted(families, random_model, tmp_path):
    model = random_model(families["llama"])
    folder = export(model, tmp_path / "export")
    (folder / "LICENSE").write_text("ours")
    (folder / "figures").mkdir()
    (folder / "model-of-ours.safetensors").touch()
    with pytest.raises(FileExistsError, match=r"\(LICENSE, figures, model-of-ours.safetensors\), and would"):
        export(model, folder)
    assert (folder / "LICENSE").read_text() == "ours"


def test_a_full_disk_leaves_the_earlier_export_and_the_next_succeeds(families, random_model, tmp_path, monkeypatch):
    bloom, llama = random_model(families["bloom"]), random_model(families["llama"])
    folder = export(bloom, tmp_path / "export")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("model.huggingface_folder.os.fsync", full)
        with pytest.raises(OSError, match="no space"):
            export(llama, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    export(llama, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"


def export_in_turns(models, folder):
    while True:
        for model in models:
            export(model, folder, max_file_bytes=40_000)


def test_a_killed_export_never_looks_whole(families, random_model, tmp_path):
    models = [random_model(families[name]) for name in ("bloom", "llama")]
    folder, chance, loaded = tmp_path / "export", random.Random(3), 0
    for _ in range(12):
        process = FORK.Process(target=export_in_turns, args=(models, folder))
        process.start()
        time.sleep(0.05 + 0.1 * chance.random())
        process.kill()
        process.join()
        if folder.exists():
            theirs, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
            assert not any(report.values()), report
            loaded += theirs.config.model_type in ("bloom", "llama")
    assert loaded > 6
    export(models[0], folder)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
