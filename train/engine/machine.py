"""What ranks are started on: this machine's GPUs and a free port of it. Where no GPU can be, torch is not loaded."""

import os
import socket
from pathlib import Path

from train.config import TrainingConfig
from train.config_file import ConfigError
from train.deepspeed_settings import needs_gpu

DEVICES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""By which a process speaks to the driver of NVIDIA's GPUs, of AMD's, and of Windows under its Linux."""


def gpus() -> int:
    """How many GPUs torch sees. It is asked only where there is a driver: it takes a second and a half to load."""
    if not any(Path(device).exists() for device in DEVICES):
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def name_accelerator() -> None:
    """Tell DeepSpeed that a machine without a GPU is meant: it looks when it is imported, and warns when not told."""
    if not gpus():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def check_device(training: TrainingConfig) -> None:
    """Raises ConfigError where the run needs a GPU and there is none."""
    needed = needs_gpu(training.deepspeed)
    if needed and not gpus():
        raise ConfigError(f"training.deepspeed: `{needed}` works on CUDA GPUs alone, and there is none: take it out")


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
