"""The first token and the tokens of an answer: `domainlm serve` beside `generate` and transformers' generate.

    python benchmarks/serve.py [--run runs/demo] [--tokens 64] [--json]

All three continue the same prompts out of one run, likeliest tokens, on one thread each, a prompt in turn; transformers
has the run's export. `serve` is the command as users start it, asked by HTTP for a stream. The first token is that of a
request for one token alone, by the clock and in CPU time until its text is there; that of the server is read when the
client has the text, so that the end of the answer is in it where the client had to wait for a core. The texts are
compared, or the script stops.
"""

import http.client
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.harness import PEERS_PYTHON, ROOT, figures, parser, show

NAMES = {"serve": "domainlm serve", "generate": "domainlm generate", "transformers": "transformers, the export"}
KINDS = {
    "first_wall": ("first token", "ms"),
    "first_cpu": ("first token, CPU", "CPU-ms"),
    "rate_wall": ("tokens", "per s"),
    "rate_cpu": ("tokens, CPU", "per CPU-s"),
}
WARM = 5  # rounds before those that count
PROMPTS = [  # of few tokens and of many
    "My fellow citizens",
    "The report of the Secretary of the Treasury will exhibit in detail the state of the public finances and the "
    "condition of the various branches of the public service administered by that Department. The expenditures for "
    "the fiscal year have been less than the revenues, and the surplus has been applied to the debt of the Union.",
]


class Process:
    """A contender that is asked by a line and answers by one; see serve_contenders.py."""

    def __init__(self, name: str, run: Path) -> None:
        python = sys.executable if name == "generate" else PEERS_PYTHON
        command = [str(python), "-W", "ignore", "-m", "benchmarks.serve_contenders", name, str(run)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )

    def ask(self, prompt: str, tokens: int) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"prompt": prompt, "tokens": tokens}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


class Server:
    """`domainlm serve`, asked over a connection that is open before the clock runs."""

    def __init__(self, run: Path) -> None:
        command = [sys.executable, "-m", "domainlm", "serve", str(run), "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        assert self.process.stderr
        said = next((line for line in self.process.stderr if " at http://" in line), "")
        if not said:
            raise RuntimeError(f"{' '.join(command)} ended: exit status {self.process.wait()}")
        self.model, address = said.split(" by ")[1].split(",")[0], said.split("http://")[1].split("/")[0]
        self.connection = http.client.HTTPConnection(address)

    def ask(self, prompt: str, tokens: int) -> dict[str, Any]:
        fields = {"model": self.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True}
        body = json.dumps(fields | {"stream_options": {"include_usage": True}})
        self.connection.close()  # the server closes those that wait longer than 5 s
        self.connection.connect()
        cpu, begin = self._cpu_seconds(), time.perf_counter()
        self.connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
        first = first_cpu = 0.0
        text, written = "", 0
        for line in self.connection.getresponse():
            event = line.removeprefix(b"data: ").strip()
            if not event or event == b"[DONE]":
                continue
            content = json.loads(event)
            text += "".join(choice["text"] for choice in content["choices"])
            if not first:
                first, first_cpu = time.perf_counter() - begin, self._cpu_seconds() - cpu
            written = content.get("usage", {}).get("completion_tokens", 0)
        wall, cpu = time.perf_counter() - begin, self._cpu_seconds() - cpu
        return {"text": text, "tokens": written, "first": first, "first_cpu": first_cpu, "wall": wall, "cpu": cpu}

    def _cpu_seconds(self) -> float:
        """Of all its threads, in nanoseconds' steps, which the times of /proc/PID/stat do not have."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def main() -> None:
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--run", type=Path, default=ROOT / "runs/demo", help="the folder of a run that has an export")
    options.add_argument("--tokens", type=int, default=64, help="of a whole answer")
    options.set_defaults(repeats=20)
    arguments = options.parse_args()
    run = arguments.run.resolve()
    if not (run / "export").is_dir():
        sys.exit(f"{run} has no export: name the folder of a finished run by --run, or run `make demo` first")
    contenders: dict[str, Server | Process] = {}
    try:
        contenders = {"serve": Server(run), "generate": Process("generate", run)}
        contenders["transformers"] = Process("transformers", run)
        rows = []
        for prompt in PROMPTS:
            runs: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
            for number in range(WARM + arguments.repeats):
                for name, one in round_of(contenders, prompt, arguments.tokens).items():
                    runs[name] += [one] if number >= WARM else []
            label = {name: f"{said}, prompt of {len(prompt.split())} words" for name, said in NAMES.items()}
            rows += figures(runs, label, KINDS)
    finally:
        for contender in contenders.values():
            contender.process.terminate()
    show(f"answers of {arguments.tokens} tokens by {run.name}", rows, arguments.json)


def round_of(contenders: dict[str, Server | Process], prompt: str, tokens: int) -> dict[str, dict[str, float]]:
    """One token and one whole answer of each. Raises AssertionError: they did not write the same."""
    ones = {name: contender.ask(prompt, 1) for name, contender in contenders.items()}
    wholes = {name: contender.ask(prompt, tokens) for name, contender in contenders.items()}
    for answers in (ones, wholes):
        texts = {answer["text"] for answer in answers.values()}
        assert len(texts) == 1, f"different answers to {prompt!r}: {texts}"
    return {
        name: {
            "first_wall": 1e3 * ones[name]["first"],
            "first_cpu": 1e3 * ones[name]["first_cpu"],
            "rate_wall": wholes[name]["tokens"] / wholes[name]["wall"],
            "rate_cpu": wholes[name]["tokens"] / wholes[name]["cpu"],
        }
        for name in contenders
    }


if __name__ == "__main__":
    main()
