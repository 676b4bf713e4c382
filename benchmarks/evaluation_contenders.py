"""What benchmarks/evaluation.py stands side by side: FUNCTION MODEL ASKED OPTION → {"seconds", "answers"} as JSON."""

import json
import math
import sys
import time
from pathlib import Path


def ours(model: str, kind: str, requests: list, option: str) -> tuple[list[float], float]:
    """Choices as `domainlm tasks` asks them, texts as `domainlm compare` does."""
    import numpy as np

    from evaluation.general_model import load_general_model

    loaded = load_general_model(Path(model))
    loaded.token_losses(np.zeros((1, 2), np.int64), np.zeros((1, 2), np.int64))  # reads the weights
    if kind == "loglikelihood":
        from lm_eval.api.instance import Instance

        from evaluation.tasks.adapter import Adapter

        adapter = Adapter(loaded)
        adapter.loglikelihood([Instance(kind, {}, ("a", " b"), 0, metadata=("", 0, 1))])
        asked = [Instance(kind, {}, tuple(request), 0, metadata=("", 0, 1)) for request in requests]
        begin = time.process_time()
        return [nats for nats, _ in adapter.loglikelihood(asked)], time.process_time() - begin
    from data.shards.format import EncodedDocument
    from evaluation.bits_per_byte import score_encoded

    begin = time.process_time()
    documents = [
        EncodedDocument("", None, np.array(loaded.encode(text)[1:]), len(text.encode()), loaded.encode("")[0])
        for (text,) in requests
    ]
    scores = score_encoded(
        loaded.token_losses,
        documents,
        window=loaded.window,
        batch_tokens=max(loaded.batch_tokens, loaded.window),
        rule="disjoint",
        shown=False,
    )
    return [score.bits_per_byte for score in scores], time.process_time() - begin


def theirs(model: str, kind: str, requests: list, option: str) -> tuple[list[float], float]:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    loaded = HFLM(pretrained=model, device="cpu", batch_size=int(option), dtype="float32")
    end = "<|endoftext|>" if kind == "loglikelihood" else ""  # what ours puts before a text by itself
    asked = [Instance(kind, {}, (end + text, *rest), 0, metadata=("", 0, 1)) for text, *rest in requests]
    begin = time.process_time()
    answers = getattr(loaded, kind)(asked, disable_tqdm=True)
    seconds = time.process_time() - begin
    if kind == "loglikelihood":
        return [nats for nats, _ in answers], seconds
    bits = [-nats / math.log(2) / len(text.encode()) for nats, (text,) in zip(answers, requests, strict=True)]
    return bits, seconds


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # beside this file, `evaluation` is the benchmark
    import torch

    torch.set_num_threads(1)
    function, model, file, option = sys.argv[1:]
    content = json.loads(Path(file).read_text())
    answers, seconds = {"ours": ours, "theirs": theirs}[function](model, content["kind"], content["requests"], option)
    print(json.dumps({"seconds": seconds, "answers": answers}))
