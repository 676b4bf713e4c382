"""A general model by the command line: a folder that transformers wrote is taken, extended, trained, given back.

`tests/model/test_huggingface_folder.py` takes and gives the other classes, without a run between.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from tests.conftest import sentences
from tests.launched.runs import run_train
from train.checkpoints.trained import load_trained
from train.config_file import load_config

PIECES, NEW_PIECES = 300, 20
SPLITTING = (  # of Qwen2's tokenizer: transformers takes these rules for this class, whatever the file says
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.fixture
def general(tmp_path: Path) -> Path:
    """A folder as people publish theirs; its tokenizer has read capitals alone."""
    made = Tokenizer(models.BPE())
    made.normalizer, made.decoder = normalizers.NFC(), decoders.ByteLevel()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITTING), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    end, letters = "<|endoftext|>", pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=PIECES, special_tokens=[end], initial_alphabet=letters)
    made.train_from_iterator([sentences(99, 40).upper()], trainer)
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=PIECES,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
            tie_word_embeddings=True,
        )
    )
    with torch.no_grad():
        for parameter in model.parameters():  # biases too
            parameter += 0.05 * torch.randn(parameter.shape)
    folder = tmp_path / "general"
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token=end, eos_token=end).save_pretrained(folder)
    return folder


def test_a_general_model_is_extended_continued_and_given_back(
    general: Path,
    write_small_config: Callable[..., Path],
    command_line: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
) -> None:
    file = write_small_config(
        tmp_path / "run.yaml",
        tmp_path / "run",
        init_from=str(general),
        training={"steps": 2, "save_every": 2, "warmup_steps": 1},
    )
    content = json.loads(file.read_text())
    content["model"] = {"from_hugging_face": str(general), "vocabulary_size": 320, "sequence_length": 32}
    content["tokenizer"] = {"path": str(general), "extend": NEW_PIECES, "vocabulary_size": PIECES + NEW_PIECES}
    file.write_text(json.dumps(content))

    def run(*words: str | Path) -> str:
        code, shown, said = command_line(words[0], file, *words[1:])
        assert code == 0, said
        return shown

    for command in ("prepare", "tokenize", "plan"):
        run(command)
    done = run_train(file)
    assert done.returncode == 0, done.stderr
    run("evaluate")
    answer = json.loads(run("generate", "--prompt", "raised its policy rate", "--temperature", "0", "--json"))[
        "samples"
    ][0]
    run("export", "--out", tmp_path / "out")

    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert type(theirs) is Qwen2ForCausalLM
    ours = load_trained(load_config(file)).model
    ids = torch.randint(PIECES + NEW_PIECES, (2, 30), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=0, atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    asked = tokenizer(tokenizer.bos_token + "raised its policy rate", return_tensors="pt")["input_ids"]
    before = AutoTokenizer.from_pretrained(general)
    assert asked.shape[1] < len(before("raised its policy rate")["input_ids"]) + 1
    written = theirs.generate(asked, max_new_tokens=answer["tokens"], do_sample=False)[0, asked.shape[1] :]
    assert tokenizer.decode(written) == answer["text"]
