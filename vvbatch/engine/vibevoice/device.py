"""Which device and which dtypes a profile gets here, and whether the model fits."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.engine.vibevoice.checkpoint import Checkpoint
from vvbatch.engine.vibevoice.ops import int8_products, packs
from vvbatch.machine import memory, peak_memory, placement
from vvbatch.models.memory import memory_needed
from vvbatch.profiles import Profile

DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int8": torch.bfloat16,  # of everything but the weights of the large products
}


@dataclass(frozen=True)
class Placement:
    """`language` is the language model's dtype, `audio` the one of the diffusion head, the tokenizers and the
    connectors. With `int8` the large products of language model and head have int8 weights."""

    device: torch.device
    language: torch.dtype
    audio: torch.dtype
    int8: bool = False

    @property
    def dtype(self) -> str:
        return "int8" if self.int8 else str(self.language).removeprefix("torch.")


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
    return packs(torch.device("cpu"), torch.bfloat16)


def placement_for(profile: Profile) -> Placement:
    """The first of the profile's devices that this machine has, with dtypes that it supports. Raises
    EngineUnavailable."""
    if profile.dtype not in DTYPES:
        raise EngineUnavailable(
            f"profile {profile.name!r}: unknown dtype {profile.dtype!r}: there is {', '.join(DTYPES)}"
        )
    found = placement(profile, available, bfloat16_on_cpu)
    if found is None:
        raise EngineUnavailable(
            f"profile {profile.name!r} renders on {' or '.join([profile.device, *profile.fallback])}: "
            "this machine has none of them; add `fallback: [cpu]` to the profile or choose another model"
        )
    return exact_placement(*found)


def exact_placement(device: str, dtype: str) -> Placement:
    """This device and dtype, without a fallback. Raises EngineUnavailable."""
    if not available(device):
        raise EngineUnavailable(f"this machine has no {device}")
    int8 = dtype == "int8"
    if int8 and (device != "cpu" or not int8_products()):
        raise EngineUnavailable(
            f"int8 needs a CPU with AVX-512 VNNI, this is {device if device != 'cpu' else 'another'}:"
            " choose the bfloat16 or float32 profile of the same model"
        )
    numbers = DTYPES[dtype]
    if int8 and not bfloat16_on_cpu():
        numbers = torch.float32
    # float16 overflows in the diffusion head and the tokenizers; bfloat16 has float32's range.
    return Placement(torch.device(device), numbers, torch.float32 if numbers == torch.float16 else numbers, int8)


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken on a device, in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = memory().free
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


def needed_bytes(checkpoint: Checkpoint, where: Placement, slots: int) -> int:
    """Weights as they will be held, and every slot's cache at 60 s of speech with 30 s of voices and text."""
    language = torch.empty(0, dtype=where.language).element_size()
    audio = torch.empty(0, dtype=where.audio).element_size()
    text = checkpoint.config.text_config
    position: int = (
        text.num_hidden_layers * 2 * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)
    )
    return memory_needed(checkpoint.shapes, position, language, audio, slots, where.int8)


def peak_bytes() -> int:
    """The most memory that this process has held, in bytes."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return int(torch.cuda.max_memory_allocated())
    return peak_memory()
