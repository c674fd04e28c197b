"""Limits of this machine, and what this process took of it."""

from __future__ import annotations

import sys
import time

import torch

BUFFER_BYTES = 256 * 2**20
"""Far more than any cache of a CPU core holds."""


def peak_memory_bytes() -> int | None:
    """The most memory this process ever held (resident set), or None where nobody counts it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_bandwidth(device: torch.device, num_bytes: int = BUFFER_BYTES, repeats: int = 5) -> float:
    """Bytes per second that can be read from memory, by summing a large buffer; the best of
    some."""
    buffer = torch.ones(num_bytes // 4, dtype=torch.float32, device=device)
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        buffer.sum().item()
        best = min(best, time.perf_counter() - start)
    return num_bytes / best
