"""What a slot holds while its line is rendered, and what lines share of their prompts."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vvbatch.engine.contract import Request
from vvbatch.engine.vibevoice.key_values import KeyValues
from vvbatch.engine.vibevoice.prompt import Prompt

PREFIX_CACHE_BYTES = 1 << 30


@dataclass
class Utterance:
    """What a slot holds."""

    request: Request
    generator: torch.Generator
    prompt: Prompt
    voices: list[Tensor]  # latents with their noise, (frames, latent)
    prefix_key: tuple[object, ...]
    tokens_left: int
    frames_left: float
    cache: KeyValues
    negative: KeyValues
    admitted: float  # time.perf_counter()
    pieces: deque[Tensor] | None = None  # of the prompt, still to be read; None: not begun
    prefix_cached: bool = False
    tokens: list[int] = field(default_factory=list)
    frames: int = 0
    first_chunk_s: float | None = None
    latents: list[Tensor] = field(default_factory=list)


class Prefixes:
    """Keys and values of prompt prefixes, the least recently used thrown away first."""

    def __init__(self, limit: int = PREFIX_CACHE_BYTES) -> None:
        self.limit = limit
        self._kept: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def get(self, key: tuple[object, ...]) -> Tensor | None:
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def put(self, key: tuple[object, ...], prefix: Tensor) -> None:
        self._kept[key] = prefix
        while len(self._kept) > 1 and sum(kept.nbytes for kept in self._kept.values()) > self.limit:
            self._kept.popitem(last=False)
