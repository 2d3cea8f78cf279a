"""Which device and which dtypes a profile gets here, and whether the model fits."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from vvbatch.engine import EngineUnavailable
from vvbatch.profiles import Profile

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Place:
    """`language` is the language model's dtype, `audio` the one of the diffusion head, the tokenizers and the connectors."""

    device: torch.device
    language: torch.dtype
    audio: torch.dtype

    @property
    def dtype(self) -> str:
        return str(self.language).removeprefix("torch.")


def available(device: str) -> bool:
    kind = device.partition(":")[0]
    if kind == "cuda":
        index = device.partition(":")[2]
        return torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()
    if kind == "mps":
        return torch.backends.mps.is_available()
    return device == "cpu"


def bfloat16_on_cpu() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (elsewhere it would be slower than float32)."""
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def place(profile: Profile) -> Place:
    """The first of the profile's devices that can be had, with the dtypes that it can do. Raises EngineUnavailable."""
    if profile.dtype not in DTYPES:
        raise EngineUnavailable(f"profile {profile.name!r}: unknown dtype {profile.dtype!r}: there is {', '.join(DTYPES)}")
    wanted = [profile.device, *profile.fallback]
    device = next((device for device in wanted if available(device)), None)
    if device is None:
        raise EngineUnavailable(
            f"profile {profile.name!r} asks for {' or '.join(wanted)}: this machine has none of them; "
            "add `fallback: [cpu]` to the profile or choose another model"
        )
    dtype = DTYPES[profile.dtype]
    if device == "cpu" and dtype != torch.float32:
        dtype = torch.bfloat16 if bfloat16_on_cpu() else torch.float32
    # float16 overflows in the diffusion head and the tokenizers; bfloat16 has float32's range.
    return Place(torch.device(device), dtype, torch.float32 if dtype == torch.float16 else dtype)


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken on a device, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    if device.type == "mps":
        free = min(free, int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory()))
    return free


def check_fits(profile: Profile, needed: int, device: torch.device) -> None:
    """Raises EngineUnavailable with the numbers when `needed` bytes are more than the device has free."""
    free = free_bytes(device)
    if needed > free:
        raise EngineUnavailable(
            f"profile {profile.name!r} needs about {needed / 1e9:.1f} GB on {device}, {free / 1e9:.1f} GB are free: "
            f"close other programs, lower `slots` (now {profile.slots}) or choose a smaller model"
        )
