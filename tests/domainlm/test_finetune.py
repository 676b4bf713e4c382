"""`domainlm finetune`, whole: a trained run becomes one that answers, resumes to the bit, and transformers reads it."""

import datetime
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from data.errors import DataError
from data.shards.format import read_manifest
from domainlm.export import _facts
from domainlm.finetune import make_finetuning
from domainlm.generate import continue_texts, load_writer, sample_settings
from domainlm.trace import trace_step
from model.initialise import initialise
from model.pretrained import load_pretrained
from model.transformer import Transformer
from tests.conftest import WORDS
from tests.launched.runs import assert_same_run, lines, metrics, run_to_the_end
from train.checkpoints.folders import find_checkpoint, saved_steps, step_folder
from train.checkpoints.identity import to_carry
from train.checkpoints.trained import load_trained
from train.config import RunConfig
from train.config_file import ConfigError, load_config
from train.engine.initial_weights import trained_rows
from train.records.journal import read_journal
from train.token_stream import open_stream

CommandLine = Callable[..., tuple[int, str, str]]
SETTINGS = {"training.local_ranks": 2, "training.save_every": 3, "evaluation.every": 3, "evaluation.new_tokens": 6}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Two sources: conversations of one word, and sentences that are good or bad news by their second word."""
    folder, chance = tmp_path_factory.mktemp("examples"), random.Random(3)
    talks, pairs = [], []
    for number in range(40):
        word = chance.choice(WORDS)
        turns = [("user", f"say {word} {number}"), ("assistant", word), ("user", "more"), ("assistant", f"{word} " * 3)]
        messages = [{"role": role, "content": content} for role, content in turns]
        talks.append({"id": f"t{number}", "date": "2011-01-01", "messages": messages})
    for number in range(60):
        verb, label = chance.choice([("rose", "good"), ("fell", "bad")])
        pairs.append({"id": f"p{number}", "prompt": f"{number} {verb} in spring", "response": label})
    for name, records in (("talks", talks), ("news_labels", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return [
        {"name": "talks", "path": str(folder / "talks.jsonl")},
        {"name": "news_labels", "path": str(folder / "news_labels.jsonl"), "form": "pairs", "undated": "train"}
        | {"labels": ["good", "bad"]},
    ]


@pytest.fixture(scope="module")
def base(undisturbed: RunConfig, examples: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    """The trained run, with a section that says what to learn then."""
    finetune = {
        "name": "desk",
        "folder": str(tmp_path_factory.mktemp("finetuned") / "desk"),
        "examples": examples,
        "held_out_share": 0.2,
        "sequence_length": 64,  # the base is an ALiBi model of 32
        "batch_size": 4,
        "micro_batch": 1,
        "steps": 6,
        "learning_rate": 2e-2,
        "settings": SETTINGS,
    }
    given = undisturbed.model_dump()
    # As if it had been trained at rates of another size, which are not those of its fine-tuning.
    training = given["training"] | {"tuned_at": {"width": 16}}
    return RunConfig.model_validate(given | {"training": training, "finetune": finetune})


@pytest.fixture(scope="module")
def finetuned(base: RunConfig) -> RunConfig:
    config, _ = make_finetuning(base)
    run_to_the_end(config.run_folder / "config.yaml")
    return config


def test_the_run_begins_with_the_weights_and_a_mean_row_for_each_mark(
    finetuned: RunConfig, undisturbed: RunConfig
) -> None:
    model = Transformer(finetuned.model)
    initialise(model, 1)
    load_pretrained(model, Path(str(finetuned.init_from)))
    trained = load_trained(undisturbed).model
    weight, before = model.embedding.weight, trained.embedding.weight
    assert torch.equal(weight[:400], before)
    assert torch.equal(weight[400:], before.mean(dim=0).repeat(4, 1))
    for (name, ours), theirs in zip(model.named_parameters(), trained.parameters(), strict=True):
        assert name == "embedding.weight" or torch.equal(ours, theirs)


def test_its_rate_is_its_own(base: RunConfig, finetuned: RunConfig) -> None:
    assert base.training.tuned_at
    assert (finetuned.training.tuned_at, finetuned.training.learning_rate) == (None, 2e-2)


def test_it_is_asked_questions_beside_the_run_that_it_came_from(
    finetuned: RunConfig, undisturbed: RunConfig, command_line: CommandLine
) -> None:
    code, shown, said = command_line("questions", undisturbed.run_folder, finetuned.run_folder, "--items", "24")
    assert code == 0, said
    own, tuned = json.loads((undisturbed.reports / "questions.json").read_bytes())["models"]
    assert (own["name"], tuned["name"]) == ("small", "small-desk")
    assert "difference" in tuned["tasks"]["questions/date"]
    assert "note: small-desk" not in shown, "the documents are of after the cutoff, which is the run's own"


def test_loss_and_gradient_are_those_of_the_mean_over_all_counted_tokens(finetuned: RunConfig) -> None:
    """On two ranks with two micro-batches each, none of which has as many counted tokens as another."""
    model = Transformer(finetuned.model)
    load_pretrained(model, Path(str(finetuned.init_from)))
    model.double()
    stream = open_stream(finetuned)
    batch = stream.batch(0, 4)
    assert batch.counted is not None
    assert len(set(batch.counted.sum(axis=1).tolist())) > 1
    tokens, documents = torch.from_numpy(batch.tokens), torch.from_numpy(batch.documents)
    logits_and_targets = []
    for row in range(4):
        hidden = model.hidden_states(tokens[row : row + 1, :-1], documents=documents[row : row + 1])
        wanted = torch.from_numpy(batch.counted[row])
        logits_and_targets.append((F.linear(hidden, model.head.weight)[0, wanted], tokens[row, 1:][wanted]))
    logits, targets = (torch.cat(parts) for parts in zip(*logits_and_targets, strict=True))
    loss = F.cross_entropy(logits, targets)
    loss.backward()
    norm = torch.cat(
        [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    ).norm()
    first = metrics(finetuned)[1]
    assert first["loss"] == pytest.approx(loss.item(), rel=1e-6)
    assert first["gradient_norm"] == pytest.approx(norm.item(), rel=1e-5)


def test_it_learns_and_says_so_of_what_is_held_out(finetuned: RunConfig) -> None:
    evaluations = lines(finetuned, "evaluation")
    assert len(evaluations) == 2
    first, last = evaluations[0]["tasks"], evaluations[-1]["tasks"]
    assert first["talks"].keys() == {"loss", "token_accuracy"}
    assert last["news_labels"].keys() == {"loss", "token_accuracy", "label_accuracy", "label_macro_f1"}
    assert last["news_labels"]["loss"] < first["news_labels"]["loss"]
    assert last["news_labels"]["token_accuracy"] > first["news_labels"]["token_accuracy"]
    assert [event["event"] for event in read_journal(finetuned.run_folder)][:2] == ["start", "initial weights"]


def test_a_stopped_fine_tuning_goes_on_to_the_bit(base: RunConfig, finetuned: RunConfig, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(finetuned.run_folder, again)
    file = again / "config.yaml"
    config = load_config(file, [f"folder={again}", f"data.shards={again}/shards"])
    assert saved_steps(config.checkpoints) == [3, 6]
    shutil.rmtree(step_folder(config.checkpoints, 6))
    (config.checkpoints / "latest").write_text("step_000003")
    for done in again.glob("*DONE*"):
        done.unlink()
    run_to_the_end(file, f"folder={again}", f"data.shards={again}/shards", code=0)
    assert_same_run(config, finetuned)


def test_ranks_that_share_rows_learn_alike(finetuned: RunConfig, tmp_path: Path) -> None:
    """Of a slice of a row more or fewer tokens count than of the other, or none."""
    again = tmp_path / "again"
    past = shutil.ignore_patterns("checkpoints", "*.jsonl", "*DONE*")
    shutil.copytree(finetuned.run_folder, again, ignore=past)
    settings = (f"folder={again}", f"data.shards={again}/shards", "training.sequence_ranks=2")
    run_to_the_end(again / "config.yaml", *settings)
    shared = metrics(load_config(again / "config.yaml", settings))
    for step, line in metrics(finetuned).items():
        assert shared[step]["loss"] == pytest.approx(line["loss"], rel=1e-6)
        assert shared[step]["gradient_norm"] == pytest.approx(line["gradient_norm"], rel=1e-5)


def test_the_ledger_names_the_examples_of_a_step(finetuned: RunConfig) -> None:
    found = trace_step(finetuned, 2, text=True)
    assert {document["source"] for document in found["documents"]} <= {"talks", "news_labels"}
    assert {document["id"][0] for document in found["documents"]} <= {"t", "p"}
    assert len(found["documents"]) > 4
    assert all(text.startswith("<|endoftext|><|user|>") for text in found["texts"])


def test_evaluation_report_and_the_same_command_again(
    finetuned: RunConfig, command_line: CommandLine, base: RunConfig, undisturbed: RunConfig, tmp_path: Path
) -> None:
    folder = finetuned.run_folder
    code, out, err = command_line("evaluate", folder, "--json")
    assert code == 0, err
    result = json.loads(out.splitlines()[-1])
    labels = result["labels"]["news_labels"]
    held_out = read_manifest(finetuned.shards).splits["past"]
    assert labels["items"] == held_out["news_labels"].documents
    assert 0 <= labels["accuracy"]["low"] <= labels["accuracy"]["value"] <= labels["accuracy"]["high"] <= 1
    assert result["sources"]["talks"]["past"]["bytes"] == held_out["talks"].bytes
    code, out, err = command_line("evaluate", folder)
    assert "news_labels, macro_f1 of" in out
    for words in (("run", folder), ("status", folder), ("trace", folder, "--document", "t1")):
        code, _, err = command_line(*words)
        assert code == 0, err
    job = ("--nodes", "1", "--ranks-per-node", "2", "--gpus-per-node", "0", "--time", "1:00:00", "--dry-run")
    code, out, err = command_line("submit", folder, *job)
    assert code == 0, err
    assert "#SBATCH --job-name=small-desk" in out
    code, _, err = command_line("compare", folder, undisturbed.run_folder)
    assert "has another tokenizer than the fine-tuned run" in err
    (tmp_path / "base.yaml").write_text(json.dumps(base.model_dump(mode="json")))
    code, out, err = command_line("finetune", tmp_path / "base.yaml")
    assert code == 0, err
    assert "examples is up to date" in err
    assert "has begun, its weights are those of its own checkpoints" in err
    assert "⟦" in out
    kept = (folder / "config.yaml").read_bytes()
    *_, earlier, last = saved_steps(base.checkpoints)
    code, _, err = command_line("finetune", tmp_path / "base.yaml", f"finetune.checkpoint={earlier}")
    assert code == 2
    assert f"{folder} began with step {last} of small (checkpoint " in err
    assert f"step {earlier} of small (checkpoint " in err
    assert f"`domainlm train {folder}` goes on with what it began with" in err
    code, _, err = command_line("finetune", tmp_path / "base.yaml", "finetune.learning_rate=0.5")
    assert code == 0, err
    assert "was trained with training.learning_rate " in err
    assert (folder / "config.yaml").read_bytes() == kept


def test_what_it_is_trained_with_is_not_overwritten(
    base: RunConfig, finetuned: RunConfig, command_line: CommandLine, tmp_path: Path
) -> None:
    """Changed examples took the place of those that the weights are of; train, evaluate and report refused then."""
    folder = shutil.copytree(finetuned.run_folder, tmp_path / "desk")
    content = base.model_dump(mode="json")
    content["finetune"]["folder"] = str(folder)
    (tmp_path / "base.yaml").write_text(json.dumps(content))
    (tmp_path / "other.jinja").write_text("{{ bos_token }}{{ messages[0].content }}")
    before = {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}
    examples = Path(content["finetune"]["examples"][1]["path"])
    right = examples.read_text()
    examples.write_text(right.replace("p59", "p60"))
    for words, said in (
        ([], "other examples, or other limits for them, would take the place"),
        (["finetune.held_out_share=0.5"], "other examples, or other limits"),
        ([f"finetune.template={tmp_path}/other.jinja"], "another chat template, marks or tokenizer would"),
    ):
        code, _, err = command_line("finetune", tmp_path / "base.yaml", "--prepare", *words)
        assert code == 2
        assert f"{folder} has begun, and {said}" in err
        assert "give finetune.name another" in err
        assert {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()} == before
    examples.write_text(right)
    code, _, err = command_line("finetune", tmp_path / "base.yaml", "--prepare")
    assert code == 0, err


def test_it_is_asked_as_it_has_learnt_or_that_is_said(finetuned: RunConfig, command_line: CommandLine) -> None:
    words = ("generate", finetuned.run_folder, "--prompt", "say rate 90", "--tokens", "4", "--temperature", "0")
    plain, asked = command_line(*words), command_line(*words, "--chat")
    assert "this model was tuned on turns, and continues plain text here: --chat" in plain[2]
    assert "--chat" not in asked[2]
    prompts = ("evaluation.prompts=[say rate 90]", "evaluation.temperature=0", "evaluation.new_tokens=4")
    assert command_line("report", finetuned.run_folder, *prompts)[0] == 0
    [sample] = json.loads((finetuned.reports / "samples.json").read_bytes())
    assert asked[1].strip() == f"{sample['prompt']}▸{sample['text']}".strip()


def test_a_template_that_was_edited_leaves_with_no_checkpoint(
    base: RunConfig, finetuned: RunConfig, command_line: CommandLine, tmp_path: Path
) -> None:
    """The next save carried it, and the export asked in another way than was learnt."""
    folder = shutil.copytree(finetuned.run_folder, tmp_path / "desk")
    template = folder / "tokenizer" / "chat_template.jinja"
    right = template.read_text()
    template.write_text(right.replace("<|assistant|>", "<|xssistant|>"))
    own = (f"data.shards={folder}/shards", f"tokenizer.path={folder}/tokenizer")
    moved = load_config(folder / "config.yaml", [f"folder={folder}", *own])
    with pytest.raises(DataError, match=r"chat_template.jinja is not as it was written, and checkpoints would carry"):
        to_carry(moved, open_stream(moved))
    (tmp_path / "base.yaml").write_text(json.dumps(base.model_dump(mode="json")))
    code, _, err = command_line("finetune", tmp_path / "base.yaml", "--prepare", f"finetune.folder={folder}")
    assert code == 0, err
    assert "chat_template.jinja in" in err
    assert template.read_text() == right
    assert to_carry(moved, open_stream(moved))


def test_it_is_served_without_passages(finetuned: RunConfig, capsys: pytest.CaptureFixture[str]) -> None:
    from domainlm.serve.server import _retrieve

    assert _retrieve(finetuned, wanted=False) is None
    assert "serve: without passages: " in capsys.readouterr().err
    with pytest.raises(ConfigError, match="is a fine-tuning"):
        _retrieve(finetuned, wanted=True)


def test_a_cutoff_is_held_against_the_days_of_the_examples(finetuned: RunConfig) -> None:
    assert finetuned.data.cutoff
    assert open_stream(finetuned)
    early = finetuned.model_copy(
        update={"data": finetuned.data.model_copy(update={"cutoff": datetime.date(1990, 1, 1)})}
    )
    with pytest.raises(DataError, match=r"its training text goes up to .*, and data.cutoff is 1990-01-01"):
        open_stream(early)


def test_what_needs_a_corpus_is_refused_in_its_folder(
    finetuned: RunConfig, command_line: CommandLine, tmp_path: Path
) -> None:
    folder = finetuned.run_folder
    of_trace = [("trace", folder, option, "t1") for option in ("--find", "--forget")]
    for words in (*((command, folder) for command in ("prepare", "tokenizer", "retrieve", "questions")), *of_trace):
        code, _, err = command_line(*words)
        assert code == 2
        assert f"{folder} is a fine-tuning, which has examples" in err.strip().splitlines()[-1]
    assert not (folder / "corpus").exists()
    code, _, err = command_line("export-shards", folder, "--out", tmp_path / "megatron")
    assert code == 0, err
    assert "train/talks.bin: 31 documents" in err
    assert "which of them count in the loss, the format cannot say" in err


def test_transformers_asks_as_we_do_and_stops_at_the_turns_end(
    finetuned: RunConfig, command_line: CommandLine, tmp_path: Path
) -> None:
    import transformers

    code, _, err = command_line("export", finetuned.run_folder, "--out", tmp_path / "export")
    assert code == 0, err
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "export")
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "export")
    card = (tmp_path / "export" / "README.md").read_text()
    assert f"\nbase_model: {Path(str(finetuned.init_from)).name}\n" in card
    assert "base_model: start" not in card
    assert "apply_chat_template" in card
    assert model.generation_config.eos_token_id == [403, 0]
    writer = load_writer(finetuned, chat=True)
    messages = [{"role": "user", "content": "say rate 90"}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    assert ids["input_ids"][0].tolist() == writer.encode("say rate 90")
    theirs = model.generate(**ids, max_new_tokens=30, do_sample=False)[0, ids["input_ids"].shape[1] :].tolist()
    settings = replace(sample_settings(finetuned), temperature=0.0, new_tokens=30)
    [ours], _ = continue_texts(writer, ["say rate 90"], settings)
    assert tokenizer.decode([token for token in theirs if token not in (403, 0)]) == ours.text
    assert "<|" not in ours.text
    code, out, err = command_line(
        "generate", finetuned.run_folder, "--chat", "--prompt", "3 fell in spring", "--temperature", "0", "--json"
    )
    assert code == 0, err
    [sample] = json.loads(out.splitlines()[-1])["samples"]
    assert sample["ended_by"] in ("end of turn", "length")


def test_the_card_names_what_the_run_began_with(finetuned: RunConfig, tmp_path: Path) -> None:
    """It named what init_from said when the step was saved, which a resume may have changed."""
    folder = shutil.copytree(finetuned.run_folder, tmp_path / "desk", ignore=shutil.ignore_patterns("reports"))
    copied = finetuned.model_copy(update={"folder": str(folder)})
    found = find_checkpoint(copied, None)
    edited = found.manifest["config"] | {"init_from": "models/another"}
    facts = _facts(copied, replace(found, manifest=found.manifest | {"config": edited}), "", "float32")
    assert facts.config["init_from"] == finetuned.init_from


def test_what_cannot_be_fine_tuned_is_said_in_one_line(
    base: RunConfig, undisturbed: RunConfig, command_line: CommandLine, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="there is no `finetune` section"):
        make_finetuning(undisturbed)
    plain = base.model_dump(mode="json")

    def said(*overrides: str) -> str:
        (tmp_path / "base.yaml").write_text(json.dumps(plain))
        own = f"finetune.folder={tmp_path}/other"
        code, _, err = command_line("finetune", tmp_path / "base.yaml", "--prepare", own, *overrides)
        assert code != 0
        return err.strip().splitlines()[-1]

    assert "finetune.template: no such file: x.jinja" in said("finetune.template=x.jinja")
    assert "no checkpoint of step 5" in said("finetune.checkpoint=5")
    assert "batch_size 3 is not a multiple of micro_batch 2" in said("finetune.batch_size=3", "finetune.micro_batch=2")
    assert "training.stepz: unknown key" in said("finetune.settings={training.stepz: 1}")
    assert "leave out the other" in said("finetune.init_from=x", "finetune.checkpoint=4")
    assert "finetune.init_from: x has no tokenizer.json" in said("finetune.init_from=x")


def test_an_adapter_trains_the_marks_that_are_new(base: RunConfig, tmp_path: Path) -> None:
    assert base.finetune is not None

    def derived(**lora: Any) -> RunConfig:
        settings = {"lora": {"rank": 2} | lora, "training.local_ranks": 2}
        changes = {"settings": settings, "folder": str(tmp_path / "desk")}
        finetune = base.finetune.model_copy(update=changes)
        return make_finetuning(base.model_copy(update={"finetune": finetune}))[0]

    with pytest.raises(ConfigError, match="marks are 4 new pieces, which the adapter would not train"):
        derived()
    config = derived(embeddings="new", tokens=[3])
    assert config.lora is not None
    assert (config.lora.embeddings, config.lora.tokens) == ("none", (3, 400, 401, 402, 403))
    assert trained_rows(load_config(config.run_folder / "config.yaml")) == (3, 400, 401, 402, 403)


LLAMA_3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0} | {
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
LLAMA_3_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.mark.parametrize(
    ("kind", "rope", "template", "marks"),
    [
        ("Llama", LLAMA_3, LLAMA_3_TEMPLATE, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]),
        ("Qwen2", {"rope_type": "default", "rope_theta": 1000000.0}, CHATML, ["<|im_start|>", "<|im_end|>"]),
    ],
)
def test_it_begins_with_a_general_model_its_tokenizer_and_template(
    base: RunConfig, tmp_path: Path, kind: str, rope: dict[str, Any], template: str, marks: list[str]
) -> None:
    import transformers
    from tokenizers import decoders, models, pre_tokenizers, trainers

    of_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = of_bytes, decoders.ByteLevel()
    special = ["<|endoftext|>", *marks]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=of_bytes.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator([" ".join(WORDS)], trainer)
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|endoftext|>", eos_token="<|endoftext|>", chat_template=template
    )
    folder = tmp_path / "general"
    theirs.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape |= {"num_key_value_heads": 1, "vocab_size": 400, "max_position_embeddings": 128, "rope_parameters": rope}
    settings = getattr(transformers, f"{kind}Config")(**shape, bos_token_id=0, eos_token_id=0)
    model = getattr(transformers, f"{kind}ForCausalLM")(settings).eval()
    model.save_pretrained(folder)

    assert base.finetune is not None
    finetune = base.finetune.model_dump(mode="json") | {"init_from": str(folder), "folder": str(tmp_path / "desk")}
    content = base.model_dump(mode="json") | {"model": {"from_hugging_face": str(folder)}, "finetune": finetune}
    (tmp_path / "general.yaml").write_text(json.dumps(content))
    config, report = make_finetuning(load_config(tmp_path / "general.yaml"))
    started = transformers.AutoModelForCausalLM.from_pretrained(str(config.init_from)).eval()
    assert {key: started.config.rope_parameters[key] for key in rope} == rope
    example = json.loads((config.run_folder / "examples/examples.jsonl").read_text().splitlines()[0])
    ids = theirs.apply_chat_template(example["messages"], return_dict=False)
    with torch.no_grad():
        tokens = torch.tensor([ids])
        torch.testing.assert_close(started(tokens).logits, model(tokens).logits, rtol=0, atol=1e-6)
    answer = example["messages"][1]["content"] + marks[-1]
    assert f"⟦{answer}⟧" in report["shown"]
    assert theirs.decode(ids).removeprefix("<|endoftext|>") == report["shown"].translate(dict.fromkeys(map(ord, "⟦⟧")))


def test_it_begins_with_an_export_too(
    base: RunConfig, undisturbed: RunConfig, command_line: CommandLine, tmp_path: Path
) -> None:
    code, _, err = command_line("export", undisturbed.run_folder, "--out", tmp_path / "export")
    assert code == 0, err
    assert base.finetune is not None
    changed = base.finetune.model_copy(update={"init_from": str(tmp_path / "export"), "folder": str(tmp_path / "desk")})
    config, _ = make_finetuning(base.model_copy(update={"finetune": changed}))
    ours, theirs = (
        (Path(str(one.init_from)) / "model.safetensors").read_bytes() for one in (config, make_finetuning(base)[0])
    )
    assert ours == theirs
    tokenizer = Tokenizer.from_file(str(tmp_path / "export" / "tokenizer.json"))
    tokenizer.add_tokens(["another piece"])
    tokenizer.save(str(tmp_path / "export" / "tokenizer.json"))
    with pytest.raises(ConfigError, match=r"not as domainlm.json says that it was written: tokenizer.json"):
        make_finetuning(base.model_copy(update={"finetune": changed}))
    (tmp_path / "export" / "domainlm.json").unlink()
    with pytest.raises(ConfigError, match="has ids up to 400, the model only 400 rows"):
        make_finetuning(base.model_copy(update={"finetune": changed}))
