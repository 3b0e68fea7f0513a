"""The machine: device, driver, versions, cores, memory; and the images, decoded once for all."""

import platform
import shutil
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version

import psutil
import torch

from on_gpu.record import Rows, Settings
from sweep.plan.resources import cpu_count
from tl_core import TrainConfig
from tl_core.datasets import load_data
from tl_core.machine.hardware import device_name


def machine(settings: Settings, rows: Rows) -> None:
    """One row a fact, then how long decoding took."""
    on_gpu = settings.device == "cuda"
    facts = {
        "device": device_name(torch.device(settings.device)),
        "device memory, GB": torch.cuda.mem_get_info()[1] / 1e9 if on_gpu else None,
        "driver": _driver() if on_gpu else None,
        "CUDA, cuDNN": f"{torch.version.cuda}, {torch.backends.cudnn.version()}",
        "torch": torch.__version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torchvision", "ray", "optuna", "timm", "pandas")},
        "cores": cpu_count(),
        "memory, GB": psutil.virtual_memory().total / 1e9,
    }
    for name, value in facts.items():
        rows.add(what=name, value=value)
    start = time.perf_counter()
    data = load_data(TrainConfig(dataset=settings.dataset, cache_dir=settings.cache))
    rows.add(what="training images", value=len(data.train))
    rows.add(what="seconds to decode all", value=time.perf_counter() - start)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _driver() -> str | None:
    if not shutil.which("nvidia-smi"):
        return None
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
