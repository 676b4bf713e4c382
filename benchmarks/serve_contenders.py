"""One contender of the benchmark of serve: `NAME RUN` loads the model and answers lines of JSON by lines of JSON.

Asked: `prompt`, `tokens`. Answered: `text`, `tokens`, `wall` and `cpu` seconds, `first` and `first_cpu` until the first
text.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Told = Callable[[str], object]
"""Is called with each piece of the text as it comes."""


def generate(run: Path) -> Callable[[str, int, Told], tuple[str, int]]:
    from dataclasses import replace

    from domainlm.generate import continue_texts, load_writer, sample_settings
    from train.config_file import load_config

    config = load_config(run / "config.yaml")
    writer, settings = load_writer(config), replace(sample_settings(config), temperature=0.0)

    def answer(prompt: str, tokens: int, tell: Told) -> tuple[str, int]:
        wanted = replace(settings, new_tokens=tokens)
        (done,), _ = continue_texts(writer, [prompt], wanted, lambda place, text: tell(text))
        return done.text, done.tokens

    return answer


def transformers(run: Path) -> Callable[[str, int, Told], tuple[str, int]]:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.generation.streamers import BaseStreamer

    tokenizer = AutoTokenizer.from_pretrained(run / "export")
    model = AutoModelForCausalLM.from_pretrained(run / "export").eval()

    class Streamer(BaseStreamer):  # type: ignore[misc]
        """Tells each token's text; the prompt comes first and is passed over."""

        def __init__(self, tell: Told) -> None:
            self.tell, self.prompt_came = tell, False

        def put(self, value: Any) -> None:
            if self.prompt_came:
                self.tell(tokenizer.decode(value))
            self.prompt_came = True

        def end(self) -> None: ...

    def answer(prompt: str, tokens: int, tell: Told) -> tuple[str, int]:
        asked = tokenizer(tokenizer.bos_token + prompt, add_special_tokens=False, return_tensors="pt")
        written = model.generate(**asked, max_new_tokens=tokens, do_sample=False, streamer=Streamer(tell))[0]
        new = written[asked["input_ids"].shape[1] :]
        return tokenizer.decode(new, skip_special_tokens=True), len(new)

    return answer


def now() -> tuple[float, float]:
    """Seconds of the clock and of the CPU."""
    return time.perf_counter(), time.process_time()


def main() -> None:
    name, run = sys.argv[1], Path(sys.argv[2])
    answer = {"generate": generate, "transformers": transformers}[name](run)
    times: list[tuple[float, float]] = []
    for line in sys.stdin:
        asked = json.loads(line)
        times.clear()
        begin, cpu = now()
        text, tokens = answer(asked["prompt"], asked["tokens"], lambda piece: times.append(now()))
        times.append(now())  # also the first, where there was no text
        (first, first_cpu), (end, end_cpu) = times[0], times[-1]
        answered = {"text": text, "tokens": tokens, "first": first - begin, "first_cpu": first_cpu - cpu}
        print(json.dumps(answered | {"wall": end - begin, "cpu": end_cpu - cpu}), flush=True)


if __name__ == "__main__":
    main()
