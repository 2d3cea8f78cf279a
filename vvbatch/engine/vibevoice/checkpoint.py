"""A model snapshot's configuration, and its tensors one at a time, memory-mapped.

Two layouts are read: the original's (`microsoft/VibeVoice-1.5B` and its relatives) and transformers'. Tensors
are given by transformers' names in transformers' shapes, which are the same numbers under other names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import VibeVoiceConfig

from vvbatch.engine.contract import EngineUnavailable
from vvbatch.engine.vibevoice.tensors import expected_shapes
from vvbatch.models.layout import is_original, transformers_name
from vvbatch.models.weights import read_json, weight_files

REOPEN_BYTES = 16 << 20
"""Mapped pages count as this process's memory until the file is closed, so it is reopened after so many bytes."""


def read_config(folder: Path) -> VibeVoiceConfig:
    """The snapshot's configuration, in transformers' terms whichever layout it has. Raises EngineUnavailable."""
    file = folder / "config.json"
    data = read_json(file)
    try:
        return _from_original(data) if is_original(data) else VibeVoiceConfig(**data)
    except KeyError as error:
        raise EngineUnavailable(
            f"{file} lacks {error.args[0]!r}: not a VibeVoice model that vvbatch can read"
        ) from error
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise EngineUnavailable(f"{file}: {error}") from error


def _from_original(data: Mapping[str, Any]) -> VibeVoiceConfig:
    acoustic, semantic = data["acoustic_tokenizer_config"], data["semantic_tokenizer_config"]
    head = data["diffusion_head_config"]
    text = {name: value for name, value in data["decoder_config"].items() if name != "torch_dtype"}
    text["tie_word_embeddings"] = text.get("tie_word_embeddings", data.get("tie_word_embeddings", False))
    for name, expected in (("prediction_type", "v_prediction"), ("ddpm_beta_schedule", "cosine")):
        if head.get(name, expected) != expected:
            raise ValueError(f"diffusion_head_config.{name} is {head[name]!r}: only {expected!r} is known")
    return VibeVoiceConfig(
        text_config=text,
        audio_config=_tokenizer(acoustic, "vibevoice_acoustic_tokenizer", vae_std=acoustic["fix_std"] / 0.8),
        semantic_model_config=_tokenizer(semantic, "vibevoice_acoustic_tokenizer_encoder"),
        diffusion_head_config={
            "num_hidden_layers": head["head_layers"],
            "intermediate_size": int(head["head_ffn_ratio"] * head["hidden_size"]),
            "rms_norm_eps": head["rms_norm_eps"],
        },
    )


def _tokenizer(data: Mapping[str, Any], model_type: str, **more: float) -> Mapping[str, object]:
    """The original's configuration of a tokenizer as transformers' keywords. Raises ValueError, KeyError."""
    for name, expected in (
        ("mixer_layer", "depthwise_conv"),
        ("conv_norm", "none"),
        ("pad_mode", "constant"),
        ("layernorm", "RMSNorm"),
        ("causal", True),
        ("disable_last_norm", True),
        ("decoder_depths", None),
        ("decoder_ratios", data["encoder_ratios"]),
        ("decoder_n_filters", data["encoder_n_filters"]),
    ):
        if data.get(name, expected) not in (expected, None):
            raise ValueError(f"{data.get('model_type')}: {name} is {data[name]!r}: only {expected!r} is known")
    return {
        "model_type": model_type,
        "channels": data["channels"],
        "depths": [int(depth) for depth in data["encoder_depths"].split("-")],
        "downsampling_ratios": list(reversed(data["encoder_ratios"])),
        "num_filters": data["encoder_n_filters"],
        "hidden_size": data["vae_dim"],
        "rms_norm_eps": data["layernorm_eps"],
        "layer_scale_init_value": data["layer_scale_init_value"],
        **more,
    }


class Checkpoint:
    """The tensors of a snapshot by transformers' names, checked for completeness when it is opened.

    Raises EngineUnavailable, listing every missing, unexpected and wrongly shaped tensor.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = read_config(folder)
        self.original = is_original(read_json(folder / "config.json"))
        self._where: dict[str, tuple[Path, str]] = {}
        self._open: tuple[Path, Any] | None = None
        self._bytes = 0
        self.weight_files = weight_files(folder)
        self.shapes: dict[str, tuple[int, ...]] = {}
        for file in self.weight_files:
            self._index(file)
        self._check(expected_shapes(self.config))

    def _index(self, file: Path) -> None:
        try:
            with safe_open(file, "pt") as tensors:
                for stored in tensors.keys():  # noqa: SIM118 - not a dictionary
                    name = transformers_name(stored) if self.original else stored
                    self._where[name] = (file, stored)
                    self.shapes[name] = tuple(tensors.get_slice(stored).get_shape())
        except (OSError, SafetensorError) as error:
            raise EngineUnavailable(f"{file} cannot be read: {error}; pull the model again") from error

    def _check(self, expected: Mapping[str, tuple[int, ...]]) -> None:
        allowed = {"lm_head.weight"} if self.config.text_config.tie_word_embeddings else set()
        missing = sorted(expected.keys() - self.shapes.keys())
        extra = sorted(self.shapes.keys() - expected.keys() - allowed)
        wrong = sorted(name for name in expected.keys() & self.shapes.keys() if expected[name] != self.shapes[name])
        if not (missing or extra or wrong):
            return
        lines = [f"{self.folder} does not fit its config.json:"]
        lines += [f"  missing {name} {list(expected[name])}" for name in missing]
        lines += [f"  unexpected {name} {list(self.shapes[name])}" for name in extra]
        lines += [f"  {name} is {list(self.shapes[name])}, should be {list(expected[name])}" for name in wrong]
        raise EngineUnavailable("\n".join(lines))

    def tensor(self, name: str) -> Tensor:
        """The tensor as stored; it may be a view of the file, so convert or copy it before keeping it."""
        file, stored = self._where[name]
        if self._open is None or self._open[0] != file or self._bytes > REOPEN_BYTES:
            self._open, self._bytes = (file, safe_open(file, "pt")), 0
        tensor: Tensor = self._open[1].get_tensor(stored)
        self._bytes += tensor.numel() * tensor.element_size()
        return tensor

    def close(self) -> None:
        """Close the mapped file."""
        self._open = None

    def identity(self) -> str:
        """Names, sizes and times of the weight files: another snapshot in the same folder has others."""
        stats = [(file.name, file.stat()) for file in self.weight_files]
        return ";".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)
