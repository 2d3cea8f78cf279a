"""What this machine is, found without torch: devices, the CPU's instruction sets, memory."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import socket
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

from vvbatch.profiles import Profile

TOLD = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "asimd", "bf16", "sve")
"""Instruction sets that matter to the engine's speed."""
BFLOAT16_NEEDS = {"avx512bw", "avx512vl", "avx512dq"}
"""oneDNN multiplies bfloat16 on x86 CPUs with these (in hardware with avx512_bf16 or amx_bf16, else emulated)."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def pin_threads(profile: Profile) -> str:
    """Set how many threads the libraries of this process use; to be called before one of them is imported."""
    threads = str(profile.threads or os.cpu_count() or 1)
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, threads))
    return threads


@cache
def identity() -> dict[str, str]:
    """What the last bits of a render may depend on, besides versions: the processor and its instruction sets."""
    return {
        "host": socket.gethostname(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cpu": cpu_name(),
        "instruction_sets": " ".join(instruction_sets()),
    }


def cpu_name() -> str:
    """The processor's name as its maker writes it; empty where it cannot be asked."""
    if sys.platform == "darwin":
        asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def peak_memory() -> int:
    """The most memory that this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux' ru_maxrss begins with what the parent process held
        return next(int(line.split()[1]) << 10 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most << 10


@cache
def versions() -> dict[str, str]:
    """What makes a file of an engine's samples, and is no engine's own package."""
    from vvbatch import __version__

    packages = {name: metadata.version(name) for name in ("numpy", "soundfile")}
    return {"vvbatch": __version__, "python": platform.python_version(), **packages}


@cache
def cpu_flags() -> frozenset[str]:
    """The CPU's instruction sets in Linux's words; empty where they cannot be asked."""
    if sys.platform == "darwin":
        asked = ["/usr/sbin/sysctl", "-n", "hw.optional.arm.FEAT_BF16", "machdep.cpu.leaf7_features"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False).stdout.lower().split()
        return frozenset({*said} | ({"bf16"} if said[:1] == ["1"] else set()))
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    except OSError:
        return frozenset()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def instruction_sets() -> list[str]:
    return [each for each in TOLD if each in cpu_flags()]


def has(device: str) -> bool:
    """Whether the hardware and its driver are here; whether torch can use it, only torch knows."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        return (
            Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()
        )
    if kind == "mps":
        return sys.platform == "darwin" and platform.machine() == "arm64"
    return device == "cpu"


def place(profile: Profile) -> tuple[str, str] | None:
    """The device and dtype that a profile would get here; None when it can have none of its devices, or not its
    int8."""
    device = next((each for each in [profile.device, *profile.fallback] if has(each)), None)
    if device is None:
        return None
    if profile.dtype == "int8":
        return (device, "int8") if device == "cpu" and "avx512_vnni" in cpu_flags() else None
    if device == "cpu" and profile.dtype != "float32" and profile.engine == "vibevoice":
        return device, "bfloat16" if bfloat16_on_cpu() else "float32"
    return device, profile.dtype


def bfloat16_on_cpu() -> bool:
    """Whether torch's CPU kernels take bfloat16 here; its builds for macOS do not."""
    return cpu_flags() >= BFLOAT16_NEEDS or (sys.platform == "linux" and "bf16" in cpu_flags())


def memory_total(device: str) -> int | None:
    """Bytes of memory that a device has in all; None when it cannot be asked."""
    if not device.startswith("cuda"):
        return int(psutil.virtual_memory().total)  # on Apple silicon also the GPU's
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    index = device.partition(":")[2] or "0"
    asked = [program, f"--id={index}", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    said = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False).stdout.strip()
    return int(said) << 20 if said.isdigit() else None
