"""The memory that a model needs, computed from its headers and its configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.models.layout import is_original, transformers_name
from vvbatch.models.weights import read_header, read_json, weight_files

POSITIONS = 900 + 450  # of a line's two branches: 60 s of speech with 30 s of voices and text
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 2}  # int8: of everything but the layers' matrices
INT8 = ("model.language_model.layers.", "model.diffusion_head.layers.")


def memory_needed(
    shapes: Mapping[str, Sequence[int]], position: int, language: int, audio: int, slots: int, int8: bool = False
) -> int:
    """Bytes of the weights in memory, and of every slot's key/value cache.

    `shapes` by transformers' names; `position`: numbers that the cache holds for one token; `language` and `audio`:
    bytes a number of the language model and of the rest; `int8`: the layers' matrices take one byte a number.
    """
    total = 0
    for name, shape in shapes.items():
        if name.startswith("model.audio_tower.encoder"):  # loaded for new voices only, then freed
            continue
        if int8 and len(shape) == 2 and name.startswith(INT8):
            total += math.prod(shape)
        else:
            total += math.prod(shape) * (language if "language_model" in name else audio)
    return total + slots * POSITIONS * position * language


class LanguageModel(msgspec.Struct, frozen=True):
    """What `config.json` says of the language model; its other keys are not needed here."""

    num_hidden_layers: int
    num_key_value_heads: int
    hidden_size: int
    num_attention_heads: int

    @property
    def numbers_per_token(self) -> int:
        """Keys and values of all layers, as the cache holds them for one token."""
        return self.num_hidden_layers * 2 * self.num_key_value_heads * (self.hidden_size // self.num_attention_heads)


def language_model(described: object, folder: Path) -> LanguageModel:
    """Raises EngineUnavailable for a description that lacks a number."""
    try:
        return msgspec.convert(described, LanguageModel)
    except msgspec.ValidationError as error:
        raise EngineUnavailable(f"{folder / 'config.json'}: {error}; pull the model again") from error


def of_snapshot(folder: Path, dtype: str, slots: int) -> int:
    """Bytes that a snapshot needs with the language model in `dtype`.

    Raises EngineUnavailable, BadWeights, OSError, KeyError.
    """
    config = read_json(folder / "config.json")
    original = is_original(config)
    text = language_model(config["decoder_config" if original else "text_config"], folder)
    shapes = {
        transformers_name(name) if original else name: entry.shape
        for file in weight_files(folder)
        for name, entry in read_header(file).tensors.items()
    }
    language = DTYPE_BYTES[dtype]
    return memory_needed(
        shapes, text.numbers_per_token, language, 4 if dtype == "float16" else language, slots, dtype == "int8"
    )
