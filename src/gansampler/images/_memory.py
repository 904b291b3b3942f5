"""How much memory may still be taken."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_memory"]

MEMINFO = Path("/proc/meminfo")
CGROUP = Path("/sys/fs/cgroup")
FALLBACK = 2**31


def available_memory() -> int:
    """Return the bytes that this process may still take, as far as the system tells.

    On Linux the kernel's estimate, within the limit of the container; elsewhere half
    of what the machine has.
    """
    return min(_of_machine(), _of_container())


def _of_machine() -> int:
    try:
        return _read_table(MEMINFO)["MemAvailable:"] * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return FALLBACK


def _of_container() -> int:
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
        # Cached files are given up when memory is needed.
        used -= _read_table(CGROUP / "memory.stat")["inactive_file"]
    # No container, or one without a limit, which says "max".
    except (OSError, KeyError, ValueError):
        return 2**63
    return max(0, limit - used)


def _read_table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
