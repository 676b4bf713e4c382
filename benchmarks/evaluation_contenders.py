"""What benchmarks/evaluation.py stands side by side: FUNCTION MODEL ASKED OPTION → {"seconds", "answers"} as JSON."""

import json
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file, `evaluation` is the benchmark


def ours(model: str, kind: str, requests: list, option: str) -> tuple[float, list[float]]:
    import numpy as np

    from data.shards.format import EncodedDocument
    from evaluation.bits_per_byte import score_encoded
    from evaluation.continuations import Request
    from evaluation.general_model import load_general_model

    loaded = load_general_model(Path(model))
    losses = loaded.continuation_losses
    losses([Request([0, 1, 2], [3, 4])])  # reads the weights
    loaded.token_losses(np.zeros((1, 2), np.int64), np.zeros((1, 2), np.int64))
    begin = time.process_time()
    if kind == "loglikelihood":
        asked = []
        for context, continuation in requests:
            before = loaded.encode(context)
            asked.append(Request(before, loaded.encode(context + continuation)[len(before) :]))
        answers = [-scored.nats for scored in losses(asked)]
    else:
        documents = [
            EncodedDocument("", None, np.array(loaded.encode(text)[1:]), len(text.encode()), loaded.encode("")[0])
            for (text,) in requests
        ]
        scores = score_encoded(
            loaded.token_losses, documents, window=loaded.window, batch_tokens=4096, rule="disjoint", shown=False
        )
        answers = [-score.nats / 0.6931471805599453 / score.bytes for score in scores]
    return time.process_time() - begin, answers


def theirs(model: str, kind: str, requests: list, option: str) -> tuple[float, list[float]]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    loaded = HFLM(pretrained=model, device="cpu", batch_size=int(option), dtype="float32")
    end = "<|endoftext|>" if kind == "loglikelihood" else ""  # what ours puts before a text by itself
    asked = [Instance(kind, {}, (end + text, *rest), 0, metadata=("", 0, 1)) for text, *rest in requests]
    begin = time.process_time()
    answers = getattr(loaded, kind)(asked, disable_tqdm=True)
    seconds = time.process_time() - begin
    if kind == "loglikelihood":
        return seconds, [nats for nats, _ in answers]
    return seconds, [
        -nats / 0.6931471805599453 / len(text.encode()) for nats, (text,) in zip(answers, requests, strict=True)
    ]


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    function, model, file, option = sys.argv[1:]
    content = json.loads(Path(file).read_text())
    seconds, answers = {"ours": ours, "theirs": theirs}[function](model, content["kind"], content["requests"], option)
    print(json.dumps({"seconds": seconds, "answers": answers}))
