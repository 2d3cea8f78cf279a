"""Presets of mastering: how loud, how high the peaks, which silence around a chapter, which codecs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from vvbatch.book.contents import BookError


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Exactly one of `loudness_lufs` and `rms_db` is the target; `raw` has neither and changes no level."""

    name: str = ""
    loudness_lufs: Annotated[float, msgspec.Meta(ge=-40, le=-9)] | None = None
    rms_db: Annotated[float, msgspec.Meta(ge=-40, le=-9)] | None = None
    true_peak_dbtp: Annotated[float, msgspec.Meta(ge=-12, le=-0.1)] = -1.0
    head_s: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.5
    """Silence before a chapter's first sound. The rest of the pause between chapters follows the last."""
    shortest_tail_s: Annotated[float, msgspec.Meta(ge=0, le=5)] = 0.5
    longest_tail_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 60.0
    aac_kbps: Annotated[int, msgspec.Meta(ge=32, le=320)] = 64
    mp3_kbps: Annotated[int, msgspec.Meta(ge=32, le=320)] = 192
    opus_kbps: Annotated[int, msgspec.Meta(ge=16, le=256)] = 48
    longest_silence_s: Annotated[float, msgspec.Meta(ge=0.2, le=60)] | None = None
    """Silences within a take that are longer are shortened to this; None leaves them."""
    crossfade_ms: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    """Where a pause has no room for the silent edges of two takes, they overlap by so much; speech never does."""

    @property
    def levels(self) -> bool:
        return self.loudness_lufs is not None or self.rms_db is not None


PRESETS = {
    "audiobook": Preset(name="audiobook", loudness_lufs=-19.0, true_peak_dbtp=-3.0),
    "podcast": Preset(name="podcast", loudness_lufs=-16.0, true_peak_dbtp=-1.0, aac_kbps=128),
    "acx": Preset(name="acx", rms_db=-20.0, true_peak_dbtp=-3.0, head_s=0.75, shortest_tail_s=1.0, longest_tail_s=5.0),
    "raw": Preset(name="raw"),
}
DEFAULT = "audiobook"
BITRATES_MP3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)


def preset_named(name: str, own: Mapping[str, Preset] | None = None) -> Preset:
    """Own presets win over those that come with vvbatch. Raises BookError."""
    known = {**PRESETS, **{key: msgspec.structs.replace(value, name=key) for key, value in (own or {}).items()}}
    if name not in known:
        raise BookError(
            f"preset {name!r} is unknown: choose one of {', '.join(known)}, or add it to `book` of settings.yaml"
        )
    checked(known[name])
    return known[name]


def checked(preset: Preset) -> None:
    """Raises BookError for values that do not fit to each other."""
    if preset.loudness_lufs is not None and preset.rms_db is not None:
        raise BookError(f"preset {preset.name!r}: loudness_lufs and rms_db exclude each other; keep one")
    if preset.mp3_kbps not in BITRATES_MP3:
        allowed = ", ".join(map(str, BITRATES_MP3))
        raise BookError(f"preset {preset.name!r}: mp3_kbps is {preset.mp3_kbps}; MP3 has only {allowed}")
    if preset.shortest_tail_s > preset.longest_tail_s:
        raise BookError(f"preset {preset.name!r}: shortest_tail_s is above longest_tail_s; lower it")


def overshoot_db(codec: str, kbps: int) -> float:
    """By how much a codec's decoded peaks lie above those that went in, at most (measured on real takes)."""
    if codec == "aac":
        return 0.5 if kbps >= 128 else 1.5
    if codec == "mp3":
        return 0.5 if kbps >= 160 else 1.5
    return 1.0 if codec == "opus" else 0.0
