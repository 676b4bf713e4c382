"""MosaicML's streaming imports torchvision for images, which no benchmark here has: it is given empty names instead."""

import sys
from types import ModuleType


def leave_out_torchvision() -> None:
    for name, needed in (("transforms.functional", "to_tensor"), ("datasets", "VisionDataset")):
        module = sys.modules[f"torchvision.{name}"] = ModuleType(name)
        setattr(module, needed, object)
