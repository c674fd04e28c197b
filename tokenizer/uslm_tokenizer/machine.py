"""The machine that measurements were taken on."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch as pytorch


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Names of what it ran on."""

    cpu: str
    """Model of the processor."""
    cores: int
    """Cores that this process may use."""
    threads: int
    """Threads that PyTorch uses."""
    device: str
    """Where the model lies."""
    torch: str
    """Version of PyTorch."""
    python: str
    """Version of Python."""
    system: str
    """Operating system."""

    @staticmethod
    def here(device: str | pytorch.device = "cpu") -> "Machine":
        """This machine."""
        usable = getattr(os, "sched_getaffinity", None)
        is_cuda = pytorch.device(device).type == "cuda"
        cuda = pytorch.cuda.get_device_name(device) if is_cuda else ""
        return Machine(
            cpu=_cpu_name(),
            cores=len(usable(0)) if usable else os.cpu_count() or 1,
            threads=pytorch.get_num_threads(),
            device=f"{device} {cuda}".strip(),
            torch=pytorch.__version__,
            python=platform.python_version(),
            system=platform.platform(terse=True),
        )


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
