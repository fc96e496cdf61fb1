"""What machine this is."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from typing import Any

_SECONDS = 5.0


def facts(folder: str) -> dict[str, Any]:
    """Say what machine this is.

    Args:
        folder: where room on the disk is asked for; it need not be there yet.
    """
    place = os.path.expanduser(folder)
    while not os.path.exists(place):
        place = os.path.dirname(place)
    memory, free_memory = _memory()
    return {
        "name": platform.node(),
        "system": platform.system(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "chip": _chip() or platform.machine(),
        "processors": os.cpu_count(),
        "memory": memory,
        "free_memory": free_memory,
        "free_disk": shutil.disk_usage(place).free,
        "is_writable": os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK),
        "time": time.time(),
        "boot": boot(),
        "home": os.path.expanduser("~"),
        "gpu_users": _gpu_users(),
    }


def free_memory() -> int | None:
    """Return the bytes that new processes can have, None where the system does not say."""
    return _memory()[1]


def clock() -> float:
    """Return the seconds since 1970 that it is there."""
    return time.time()


def hub_cache() -> str:
    """Return where the hub's cache lies there: as its own client finds it."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(home, "huggingface")
    cache = os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")
    return os.path.expanduser(os.path.expandvars(cache))


def boot() -> str:
    """Return what is another one after each start of this machine."""
    if sys.platform == "darwin":
        return _said("sysctl", "-n", "kern.bootsessionuuid")
    # A container shares the kernel's: its first process is what begins anew.
    begun = _text("/proc/1/stat").rpartition(")")[2].split()[19]
    return f"{_text('/proc/sys/kernel/random/boot_id').strip()}/{begun}"


def _chip() -> str:
    if sys.platform == "darwin":
        return _said("sysctl", "-n", "machdep.cpu.brand_string")
    lines = _text("/proc/cpuinfo").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else ""


def _memory() -> tuple[int | None, int | None]:
    """Return the bytes of memory, and those that new processes can have."""
    return _memory_of_mac() if sys.platform == "darwin" else _memory_of_linux()


def _memory_of_linux() -> tuple[int | None, int | None]:
    if not os.path.exists("/proc/meminfo"):
        return None, None
    lines = _text("/proc/meminfo").splitlines()
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return sizes["MemTotal"], sizes["MemAvailable"]


def _memory_of_mac() -> tuple[int | None, int | None]:
    counted = ("Pages free", "Pages inactive", "Pages speculative")
    lines = _said("vm_stat").splitlines()
    pages = [int(line.split()[-1].rstrip(".")) for line in lines if line.startswith(counted)]
    size = int(_said("sysctl", "-n", "hw.memsize") or 0)
    return size or None, sum(pages) * os.sysconf("SC_PAGE_SIZE") if pages else None


def _gpu_users() -> list[str] | None:
    """Return which processes use the GPU, None where that cannot be known."""
    if not shutil.which("nvidia-smi"):
        return None
    query = ("--query-compute-apps=pid,process_name", "--format=csv,noheader")
    return _said("nvidia-smi", *query).splitlines()


def _said(*words: str) -> str:
    """Return what a program says, nothing where there is none or it fails."""
    try:
        done = subprocess.run(words, capture_output=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
