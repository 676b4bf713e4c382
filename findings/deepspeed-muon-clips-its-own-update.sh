#!/usr/bin/env bash
# deepspeed 0.19.8 (torch 2.13.0, CPU, gloo, fp32): Muon's update is what gradient_clipping clips, at ZeRO 1 to 3.
#
# Expected: gradient_clipping bounds the norm of the gradient, and the ZeRO stage changes memory, not results. Muon
#   orthogonalises its momentum, so that its step hardly depends on how large gradients are: clipping should change
#   next to nothing, at any stage. get_global_grad_norm() is the gradient's norm.
# What happens: at stages 1, 2 and 3 in fp32 the matrices are orthogonalised while gradients are reduced, and clipping
#   comes after it: it bounds the norm of the finished update. The update of two 16 x 16 matrices has a norm of 2.5 to
#   4.5 (it grows with the square root of all rows of a model), so that gradient_clipping 1.0 divides every step by
#   that and 0.01 by a hundred times as much. At stage 0 the gradient is clipped, as expected. get_global_grad_norm() at stages 1 to 3 is the norm
#   of the update: it stays the same whether the gradient vanishes or explodes.
# Why it matters: with the usual gradient_clipping 1.0 the learning rate of a Muon run is silently divided by a number
#   that grows with the model, and is another one at stage 0: a rate found on one GPU is not that of the cluster. The
#   curve of the gradient norm, by which spikes are found, is flat and says nothing.
# Seen on 2026-12-01: how far three steps move the first matrix, at stage 0 and at 1 to 3: 0.122 both without clipping;
#   0.122 and 0.034 with 1.0; 0.123 and 0.0003 with 0.01. Norms reported at stage 1: 2.55, 3.70, 4.51, of gradients a
#   thousand times smaller the same.
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
import sys

with contextlib.redirect_stdout(io.StringIO()):
    import deepspeed
    import deepspeed.ops
    import torch
    from deepspeed.runtime import compiler
    from deepspeed.utils import safe_get_full_fp32_param

    # No extension and no kernel is compiled at run time: they would take minutes and change nothing.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    compiler.compile = lambda *settings, **more: lambda function: function
    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)

print(f"deepspeed {deepspeed.__version__}, torch {torch.__version__}")


def weights(engine):
    whole = [safe_get_full_fp32_param(parameter) for parameter in engine.module.parameters()]
    kept = zip(whole, engine.module.parameters())
    return [(parameter if value is None else value).detach().clone() for value, parameter in kept]


def train(stage, clipping, size=1.0):
    """How far three steps move the first matrix, and the norms that DeepSpeed reports; gradients times `size`."""
    torch.manual_seed(0)
    linear = [torch.nn.Linear(16, 16, bias=False) for _ in range(2)]
    model = torch.nn.Sequential(linear[0], torch.nn.Tanh(), linear[1])
    for parameter in model.parameters():
        parameter.use_muon = True
    zero = {"stage": stage} | ({"reduce_scatter": False, "stage3_param_persistence_threshold": 0} if stage == 3 else {})
    settings = {
        "train_micro_batch_size_per_gpu": 4,
        "zero_optimization": zero,
        "gradient_clipping": clipping,
        "optimizer": {"type": "Muon", "params": {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.0}},
    }
    with contextlib.redirect_stdout(io.StringIO()):
        engine, *_ = deepspeed.initialize(model=model, config=settings, model_parameters=list(model.parameters()))
        before, norms, chance = weights(engine), [], torch.Generator().manual_seed(1)
        for _ in range(3):
            inputs, targets = (torch.randn(4, 16, generator=chance) for _ in range(2))
            engine.backward(((engine(inputs) - targets) ** 2).mean() * size)
            engine.step()
            norms.append(round(float(engine.get_global_grad_norm() or 0.0), 3))
        moved = (weights(engine)[0] - before[0]).norm().item()
        engine.destroy()
    return moved, norms


seen = {(stage, clipping): train(stage, clipping) for clipping in (0.0, 1.0, 0.01) for stage in range(4)}
for (stage, clipping), (moved, norms) in seen.items():
    print(f"  clipping {clipping}, stage {stage}: the first matrix has moved by {moved:.5f}, norms reported {norms}")
small = train(1, 0.0, size=1e-3)
print(f"  stage 1, gradients a thousand times smaller: norms reported {small[1]}")

moved = {case: distance for case, (distance, _) in seen.items()}
as_found = (
    all(abs(moved[0, clipping] / moved[0, 0.0] - 1) < 0.05 for clipping in (1.0, 0.01))
    and all(abs(moved[stage, 0.0] / moved[0, 0.0] - 1) < 0.05 for stage in (1, 2, 3))
    and all(moved[stage, 1.0] < 0.3 * moved[0, 1.0] for stage in (1, 2, 3))
    and all(moved[stage, 0.01] < 0.01 * moved[0, 0.01] for stage in (1, 2, 3))
    and all(0.5 < a / b < 2 for a, b in zip(small[1], seen[1, 0.0][1]))
)
if not as_found:
    sys.exit("NOT AS FOUND: clipping now bounds the gradient that Muon is given at every stage")
print("as found: at ZeRO 1 to 3 gradient_clipping divides Muon's finished update, at stage 0 it does not")
PYTHON
