#!/usr/bin/env bash
# deepspeed 0.19.8 (torch 2.13.0, CPU, gloo, fp32): the ZeRO stage decides whether one NaN batch destroys the model.
#
# Expected: the ZeRO stage says where optimizer state, gradients and parameters lie. It changes memory, not results:
#   stages 0 to 3 give the same losses, and one batch with a non-finite gradient is treated alike by all four.
# What happens: on sound batches the four stages agree. At stages 1, 2 and 3 a step whose gradient is NaN is skipped
#   ("OVERFLOW! Skipping step", skipped_steps 1) although there is no loss scale in fp32, and training goes on. At
#   stage 0 the step is applied: all parameters are NaN from then on, skipped_steps stays 0, no message, and the run
#   goes on to its end and saves its checkpoints. gradient_clipping does not save it: the norm is NaN as well.
#   At stages 1 to 3, the other way round, global_steps counts the step that never was.
# Why it matters: a pilot run on one GPU at stage 0 dies of the document that the large run at stage 1 swallowed with
#   one line of log; a comparison "stage 0 against stage 2" ends in NaN for one of them and is read as a bug of ZeRO or
#   of the data order. A guard that relies on DeepSpeed's skipping works until somebody sets stage 0.
# Seen on 2026-11-30: five steps, the third with a NaN loss. Stage 0: nan from there to the end, with and without
#   clipping. Stages 1, 2, 3: the losses of a run without that step.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check \
    setuptools torch==2.13.0 numpy==2.4.6
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check deepspeed==0.19.8

cd "$work"
export DS_ACCELERATOR=cpu OMP_NUM_THREADS=1 RANK=0 LOCAL_RANK=0 WORLD_SIZE=1 MASTER_ADDR=127.0.0.1
MASTER_PORT=$(venv/bin/python -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
export MASTER_PORT
venv/bin/python -W ignore - 2> log <<'PYTHON' || { tail -20 log; exit 1; }
import contextlib
import io
import math
import sys

with contextlib.redirect_stdout(io.StringIO()):
    import deepspeed
    import deepspeed.ops
    import torch
    from torch import nn
    from torch.nn import functional

    # No extension is compiled at run time: plain gloo is enough here.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)

print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__}")


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(256, 32)
        self.layer = nn.Linear(32, 32)
        self.head = nn.Linear(32, 256)

    def forward(self, tokens):
        hidden = self.embedding(tokens)
        hidden = hidden + functional.gelu(self.layer(hidden))
        return functional.cross_entropy(self.head(hidden)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def losses(stage, clipping, bad_step):
    torch.manual_seed(0)
    settings = {
        "train_micro_batch_size_per_gpu": 4,
        "optimizer": {"type": "AdamW", "params": {"lr": 1e-2, "torch_adam": True}},
        "zero_optimization": {"stage": stage},
        "gradient_clipping": clipping,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        engine, *_ = deepspeed.initialize(model=Decoder(), config=settings)
        tokens = torch.randint(0, 256, (4, 32), generator=torch.Generator().manual_seed(1))
        seen = []
        for step in range(5):
            loss = engine(tokens)
            if step == bad_step:
                loss = loss * float("nan")
            engine.backward(loss)
            engine.step()
            seen.append(round(loss.item(), 4))
    return seen, engine.skipped_steps, engine.global_steps


sound, damaged = {}, {}
for stage in range(4):
    for clipping in (0.0, 1.0):
        sound[stage, clipping] = losses(stage, clipping, None)[0]
        damaged[stage, clipping] = losses(stage, clipping, 2)
        seen, skipped, steps = damaged[stage, clipping]
        print(
            f"  stage {stage}, clipping {clipping}: sound {sound[stage, clipping]}, with one NaN {seen},"
            f" skipped_steps {skipped}, global_steps {steps}"
        )

as_found = all(
    max(abs(a - b) for a, b in zip(sound[stage, clipping], sound[0, clipping])) < 1e-3
    and all(math.isnan(loss) for loss in seen[3:]) == (stage == 0)
    and (skipped, steps) == (0 if stage == 0 else 1, 5)
    and (stage == 0 or abs(seen[3] - sound[stage, clipping][2]) < 1e-3)
    for (stage, clipping), (seen, skipped, steps) in damaged.items()
)
if not as_found:
    sys.exit("NOT AS FOUND: the four stages now treat a NaN batch in another way")
print("as found: one NaN batch is skipped at ZeRO 1, 2 and 3 and destroys the model in silence at ZeRO 0")
PYTHON
