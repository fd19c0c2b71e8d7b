"""Check that the memory suffices before a computation starts; if not, raise an error of one line."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch

from unfolded_ogamp.errors import InputError

UNCHECKED = 2**26  # bytes that are not checked
GIGABYTE = 1e9


class MemoryLimitError(InputError):
    """A computation needs more memory than is available; the message is one line."""


def require_memory(n_bytes: float, purpose: str, device: torch.device | None = None) -> None:
    """Raise an error if a computation needs more memory than is available.

    Args:
        n_bytes: estimated peak memory.
        purpose: subject of the message, such as "a search grid of 100 positions".
        device: device of the memory; main memory by default.

    Raises:
        MemoryLimitError: with one line that gives the needed and the available memory.
    """
    if n_bytes <= UNCHECKED:
        return
    limit = available_memory(device)
    if n_bytes > limit:
        raise MemoryLimitError(
            f"{purpose} would take {n_bytes / GIGABYTE:.3g} GB of memory, found {limit / GIGABYTE:.3g} GB available"
        )


def available_memory(device: torch.device | None = None) -> float:
    """Bytes that this process may still allocate: free memory, or less if the process is limited."""
    if device is not None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return float(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    return min(_left_on_the_machine(), _left_in_the_container(), _left_to_the_process())


def _left_on_the_machine() -> float:
    """Memory that Linux can free without swapping; inf on other systems."""
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return 1024.0 * int(line.split()[1])
    return math.inf


def _left_in_the_container() -> float:
    """Memory left in the control group (version 2); cached files count as free. inf without a limit."""
    folder = "/sys/fs/cgroup"
    limit, used = (_lines(f"{folder}/memory.{name}") for name in ("max", "current"))
    if not limit or not used or limit[0] == "max":
        return math.inf
    cached = [int(line.split()[1]) for line in _lines(f"{folder}/memory.stat") if line.startswith("inactive_file ")]
    return float(int(limit[0]) - int(used[0]) + sum(cached))


def _left_to_the_process() -> float:
    """Memory left below the limit of `ulimit -v`; inf without a limit."""
    pages = _lines("/proc/self/statm")
    if sys.platform != "linux" or not pages:
        return math.inf
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return math.inf
    return float(limit - int(pages[0].split()[0]) * resource.getpagesize())


def _lines(path: str) -> list[str]:
    """Lines of a file; no lines if it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
