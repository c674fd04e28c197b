"""What the measurements were taken on, and what this machine can do at best."""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

BUFFER_BYTES = 256 * 2**20
"""Far more than any cache of a CPU core holds."""


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
    torch_version: str
    """Version of PyTorch."""
    python_version: str
    """Version of Python."""
    system: str
    """Operating system."""

    @staticmethod
    def here(device: torch.device) -> Machine:
        """This machine."""
        usable = getattr(os, "sched_getaffinity", None)
        cuda = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        return Machine(
            cpu=_cpu_name(),
            cores=len(usable(0)) if usable else os.cpu_count() or 1,
            threads=torch.get_num_threads(),
            device=f"{device} {cuda}".strip(),
            torch_version=torch.__version__,
            python_version=platform.python_version(),
            system=platform.platform(terse=True),
        )


def peak_memory_bytes() -> int | None:
    """The most memory this process ever held (resident set), or None where nobody counts it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_bandwidth(device: torch.device, num_bytes: int = BUFFER_BYTES, repeats: int = 5) -> float:
    """Bytes a second that can be read from memory, by summing a large buffer; the best of some."""
    buffer = torch.ones(num_bytes // 4, dtype=torch.float32, device=device)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        buffer.sum().item()
        best = min(best, time.perf_counter() - start)
    return num_bytes / best


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
