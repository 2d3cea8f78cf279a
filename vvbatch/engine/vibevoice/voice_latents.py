"""Voice prompts as latents: encoded once, on the CPU in float32 whatever the profile, and kept on disk."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vvbatch.audio.containers import checked
from vvbatch.engine.contract import SAMPLE_RATE, RequestRefused, Voice
from vvbatch.engine.vibevoice.checkpoint import Checkpoint
from vvbatch.store import write_atomically

if TYPE_CHECKING:
    from transformers.models.vibevoice_acoustic_tokenizer.modeling_vibevoice_acoustic_tokenizer import (
        VibeVoiceAcousticTokenizerEncoderModel,
    )

TARGET_DBFS = -25.0
EPSILON = 1e-6
MAX_SECONDS = 120.0
FORMAT = "1"
"""Part of a latent file's name: raise it when the same voice would give other numbers."""


def normalise(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """To an RMS of -25 dBFS, then down to a peak of 1 if that went over, as the original does."""
    rms = np.sqrt(np.mean(samples**2))
    samples = samples * (10 ** (TARGET_DBFS / 20) / (rms + EPSILON))
    peak = np.abs(samples).max()
    return np.asarray(samples / (peak + EPSILON) if peak > 1 else samples, np.float32)


def read(voice: Voice) -> NDArray[np.float32]:
    """A voice's normalised samples. Raises RequestRefused when the file is not the one that was planned, or not
    usable."""
    try:
        data = voice.path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != voice.sha256:
            raise RequestRefused(f"voice {voice.name!r}: {voice.path} has changed since the script was planned")
        samples, rate = soundfile.read(io.BytesIO(checked(data).data), dtype="float32")
    except (OSError, ValueError, soundfile.SoundFileError) as error:
        raise RequestRefused(f"voice {voice.name!r}: {voice.path} cannot be read: {error}") from error
    if rate != SAMPLE_RATE or samples.ndim != 1:
        channels = 1 if samples.ndim == 1 else samples.shape[1]
        raise RequestRefused(
            f"voice {voice.name!r}: {voice.path} has {rate} Hz and {channels} channels:"
            f" import it as {SAMPLE_RATE} Hz mono"
        )
    if not 0 < len(samples) <= MAX_SECONDS * SAMPLE_RATE or not np.isfinite(samples).all():
        raise RequestRefused(
            f"voice {voice.name!r}: {voice.path} must hold finite samples of at most {MAX_SECONDS:g} s,"
            f" it has {len(samples) / SAMPLE_RATE:.1f} s"
        )
    return normalise(samples)


def encode(encoder: VibeVoiceAcousticTokenizerEncoderModel, samples: NDArray[np.float32]) -> Tensor:
    """Latents (frames, latent) float32. A last frame that is not whole is completed with zeros at every convolution,
    as the original does it."""
    x = encoder.stem(torch.from_numpy(samples)[None, None])
    for layer in encoder.conv_layers:
        stride = layer.conv.conv.stride[0]
        x = layer(functional.pad(x, (0, -x.shape[-1] % stride)))
    latents: Tensor = encoder.head(x)[0].T.contiguous()
    return latents


def load_encoder(checkpoint: Checkpoint) -> VibeVoiceAcousticTokenizerEncoderModel:
    """The acoustic encoder in float32 on the CPU."""
    # Here, not above: the model classes take seconds to import, and most starts have no new voice to encode.
    from transformers.models.vibevoice_acoustic_tokenizer.modeling_vibevoice_acoustic_tokenizer import (
        VibeVoiceAcousticTokenizerEncoderModel,
    )

    with torch.device("meta"):
        encoder = VibeVoiceAcousticTokenizerEncoderModel(checkpoint.config.audio_config.encoder_config)
    state = {
        name: checkpoint.tensor(f"model.audio_tower.encoder.{name}").to(torch.float32, copy=True)
        for name in encoder.state_dict()
    }
    checkpoint.close()
    encoder.load_state_dict(state, strict=True, assign=True)
    return encoder.eval()


class VoiceLatents:
    """The latents of voices by the hash of their file, in memory and in a folder."""

    def __init__(self, folder: Path, checkpoint: Checkpoint, model: str) -> None:
        """`model` identifies the encoder's weights."""
        self.folder, self.checkpoint = folder, checkpoint
        self.model = hashlib.sha256(f"{FORMAT};{model}".encode()).hexdigest()[:16]
        self.size = int(checkpoint.config.audio_config.hidden_size)
        self._known: dict[str, Tensor] = {}

    def get(self, voices: tuple[Voice, ...]) -> list[Tensor]:
        """Latents (frames, latent) float32 of each voice. Raises RequestRefused."""
        missing = [voice for voice in voices if not self._recall(voice)]
        if missing:
            # Loaded for this alone: new voices are rare, and it is 1.4 GB that rendering does not need.
            encoder = load_encoder(self.checkpoint)
            for voice in missing:
                self._known[voice.sha256] = latents = encode(encoder, read(voice))
                self._write(self._file(voice), latents)
        return [self._known[voice.sha256] for voice in voices]

    def _file(self, voice: Voice) -> Path:
        return self.folder / f"{voice.sha256}-{self.model}.npy"

    def _recall(self, voice: Voice) -> bool:
        if voice.sha256 in self._known:
            return True
        if len(voice.sha256) != 64 or not set(voice.sha256) <= set("0123456789abcdef"):
            raise RequestRefused(f"voice {voice.name!r}: {voice.sha256!r} is not a sha256")
        try:
            stored = np.load(self._file(voice), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return False
        if (
            stored.ndim != 2
            or stored.shape[1] != self.size
            or stored.dtype != np.float32
            or not np.isfinite(stored).all()
        ):
            return False
        self._known[voice.sha256] = torch.from_numpy(stored)
        return True

    def _write(self, file: Path, latents: Tensor) -> None:
        data = io.BytesIO()
        np.save(data, latents.numpy(), allow_pickle=False)
        write_atomically(file, data.getvalue())
