"""How much memory a model takes, from its headers and its configuration alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from vvbatch.models.layout import is_original, transformers_name
from vvbatch.models.weights import read_header, read_json, weight_files

POSITIONS = 900 + 450  # of a line's two branches: 60 s of speech with 30 s of voices and text
DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 2}  # int8: of everything but the layers' matrices
INT8 = ("model.language_model.layers.", "model.diffusion_head.layers.")


def memory_needed(
    shapes: Mapping[str, Sequence[int]], position: int, language: int, audio: int, slots: int, int8: bool = False
) -> int:
    """Bytes of the weights as they will be held, and of every slot's key/value cache.

    `shapes` by transformers' names; `position`: numbers that the cache holds for one token; `language` and `audio`:
    bytes a number of the language model and of the rest; `int8`: the layers' matrices take one byte a number.
    """
    total = 0
    for name, shape in shapes.items():
        if name.startswith("model.audio_tower.encoder"):  # loaded for new voices alone, then given back
            continue
        if int8 and len(shape) == 2 and name.startswith(INT8):
            total += math.prod(shape)
        else:
            total += math.prod(shape) * (language if "language_model" in name else audio)
    return total + slots * POSITIONS * position * language


def of_snapshot(folder: Path, dtype: str, slots: int) -> int:
    """Bytes that a snapshot takes with the language model in `dtype`.

    Raises EngineUnavailable, BadWeights, OSError, KeyError.
    """
    config = read_json(folder / "config.json")
    original = is_original(config)
    text = config["decoder_config" if original else "text_config"]
    position = text["num_hidden_layers"] * 2 * text["num_key_value_heads"]
    position *= text["hidden_size"] // text["num_attention_heads"]
    shapes = {
        transformers_name(name) if original else name: entry.shape
        for file in weight_files(folder)
        for name, entry in read_header(file).tensors.items()
    }
    language = DTYPE_BYTES[dtype]
    return memory_needed(shapes, position, language, 4 if dtype == "float16" else language, slots, dtype == "int8")
