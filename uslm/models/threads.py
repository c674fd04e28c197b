"""Number of CPU threads to use: as many as there are idle cores.

A step of stage 1 takes about a millisecond, and its threads wait for each other some hundred times.
Where another process has one of the cores, each wait lasts until the scheduler gives it back, so
two threads on two busy cores are slower than one. `benchmarks/threads.py` measures it.
"""

import math
import os
import time
from pathlib import Path

import torch

SAMPLES, SAMPLE_SECONDS = 5, 0.004
"""How often, and how far apart, it is looked how many processes run."""
CGROUP, LOADAVG = Path("/sys/fs/cgroup/cpu.max"), Path("/proc/loadavg")


def set_threads(count: int | None) -> None:
    """Let PyTorch use so many threads; None: as many as idle cores, unless OMP_NUM_THREADS says."""
    if count is None and not os.environ.get("OMP_NUM_THREADS"):
        count = min(idle_threads(), torch.get_num_threads())
    if count is not None:
        torch.set_num_threads(count)


def idle_threads() -> int:
    """Cores that this process may use and that nobody else is using now; 1 at least."""
    return max(1, usable_cores() - busy_cores())


def usable_cores() -> int:
    """Cores that this process may use: by its affinity, and by the quota of its container."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    try:
        quota, period = CGROUP.read_text().split()
    except (OSError, ValueError):  # no such system, or one of the older kind
        return cores
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def busy_cores() -> int:
    """Processes beside this thread that run now; the median of some looks, on Linux."""
    looks = []
    for _ in range(SAMPLES):
        try:
            # "0.20 0.18 0.12 3/411 5203": 3 run now, of 411, with the one that looks.
            running = int(LOADAVG.read_text().split()[3].partition("/")[0]) - 1
        except (OSError, ValueError, IndexError):
            return round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
        looks.append(max(0, running))
        time.sleep(SAMPLE_SECONDS)
    return sorted(looks)[SAMPLES // 2]
