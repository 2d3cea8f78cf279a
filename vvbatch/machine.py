"""This machine, examined without torch: devices, the CPU's instruction sets, memory."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

from vvbatch.processes import limits
from vvbatch.profiles import Profile

REPORTED = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
"""Instruction sets that matter to the engine's speed."""
BFLOAT16_NEEDS = {"avx512bw", "avx512vl", "avx512dq"}
"""oneDNN multiplies bfloat16 on x86 CPUs with these (in hardware with avx512_bf16 or amx_bf16, else emulated)."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def allowed_threads(environment: Mapping[str, str]) -> int:
    """Threads for computing: as many as the smallest of the user's OMP_NUM_THREADS and its siblings, else one a CPU.

    The CPUs are those that affinity and cgroups allow. An OMP_NUM_THREADS of `4,2` sets 4, then 2 in nested regions.
    """
    given = [environment.get(name, "").partition(",")[0].strip() for name in THREAD_VARIABLES]
    chosen = [int(word) for word in given if word.isdecimal() and int(word) > 0]
    return min(chosen) if chosen else limits.cpus()


def threads_of(profile: Profile) -> int:
    """Threads that the profile's engine computes with: its own number, but no more than this process is allowed."""
    allowed = allowed_threads(os.environ)
    return min(profile.threads or allowed, allowed)


def pin_threads(profile: Profile) -> int:
    """Set the number of threads of this process's libraries. Call it before one of them is imported."""
    threads = threads_of(profile)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    return threads


@cache
def identity() -> dict[str, str]:
    """What the last bits of a render can depend on in addition to versions: the processor and its instruction sets."""
    return {
        "host": socket.gethostname(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": cpu_name(),
        "instruction_sets": " ".join(instruction_sets()),
    }


def cpu_name() -> str:
    """The processor's name as its maker writes it; empty if the system does not give it."""
    if sys.platform == "darwin":
        query = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(query, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def peak_memory() -> int:
    """Peak memory of this process in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux ru_maxrss starts at the parent process's peak
        return next(int(line.split()[1]) << 10 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


@cache
def versions() -> dict[str, str]:
    """Versions of what turns any engine's samples into a file."""
    from vvbatch import __version__

    packages = {name: metadata.version(name) for name in ("numpy", "soundfile")}
    return {"vvbatch": __version__, "python": platform.python_version(), **packages}


@cache
def cpu_flags() -> frozenset[str]:
    """The CPU's instruction sets by Linux's names; empty if the system does not give them."""
    if sys.platform == "darwin":
        query = ["/usr/sbin/sysctl", "-n", "hw.optional.arm.FEAT_BF16", "machdep.cpu.leaf7_features"]
        flags = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False).stdout.lower().split()
        return frozenset({*flags} | ({"bf16"} if flags[:1] == ["1"] else set()))
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def instruction_sets() -> list[str]:
    return [each for each in REPORTED if each in cpu_flags()]


def has(device: str) -> bool:
    """Whether the device and its driver are present. Whether this build of torch can use it, only torch can say."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        return (
            Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()
        )
    if kind == "mps":
        return sys.platform == "darwin" and platform.machine() == "arm64"
    return device == "cpu"


def bfloat16_on_cpu() -> bool:
    """Whether this CPU multiplies bfloat16 faster than float32 with torch; torch's builds for macOS do not."""
    return cpu_flags() >= BFLOAT16_NEEDS or (sys.platform == "linux" and "bf16" in cpu_flags())


def placement(
    profile: Profile, has: Callable[[str], bool] = has, bfloat16_on_cpu: Callable[[], bool] = bfloat16_on_cpu
) -> tuple[str, str] | None:
    """Device and dtype for a profile: the first of its devices that this machine has; None if it has none of them.

    A CPU gets bfloat16 in place of any 16-bit dtype where it is fast, else float32. int8 stays int8 on any device: see
    `can_run`. `has` and `bfloat16_on_cpu` are torch's answers where torch is loaded, else those of the system's files.
    """
    device = next((each for each in [profile.device, *profile.fallback] if has(each)), None)
    if device is None:
        return None
    if device == "cpu" and profile.dtype in ("bfloat16", "float16") and profile.engine == "vibevoice":
        return device, "bfloat16" if bfloat16_on_cpu() else "float32"
    return device, profile.dtype


def can_run(profile: Profile) -> tuple[str, str] | None:
    """`placement` without torch; also None for int8 where the CPU lacks its instructions."""
    found = placement(profile)
    return None if found and found[1] == "int8" and not (found[0] == "cpu" and int8_on_cpu()) else found


def int8_on_cpu() -> bool:
    """Whether this CPU has the instructions for products of int8."""
    return "avx512_vnni" in cpu_flags()


def memory() -> limits.Memory:
    """The machine's memory in bytes, or what a cgroup leaves of it if that is less."""
    host = psutil.virtual_memory()
    allowed = limits.memory()
    if allowed is None:
        return limits.Memory(int(host.total), int(host.available))
    return limits.Memory(min(int(host.total), allowed.total), min(int(host.available), allowed.free))


def memory_total(device: str) -> int | None:
    """Total memory of a device in bytes; None if it cannot be determined."""
    if not device.startswith("cuda"):
        return memory().total  # on Apple silicon also the GPU's
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    index = device.partition(":")[2] or "0"
    query = [program, f"--id={index}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    mebibytes = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    return int(mebibytes) << 20 if mebibytes.isdigit() else None
