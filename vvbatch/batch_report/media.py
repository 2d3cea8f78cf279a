"""The recordings of a page: linked by relative paths or embedded, with their waveforms and spectrograms."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.pages.media import Budget, data_uri, sound, spectrogram
from vvbatch.pages.waveform import waveform

SHOWN_PER_S = 150  # pixels of a spectrogram on a page that is wide enough
PICTURES_BYTES = 8 << 20  # of all spectrograms; later lines have none


@dataclass(frozen=True)
class Recording:
    """`missing` is the reason if there is no audio."""

    source: str | None = None  # what a player loads
    wave: str = ""
    missing: str | None = None


@dataclass(frozen=True)
class Picture:
    source: str  # a data URI
    width: int  # pixels on the page


@dataclass
class Media:
    """Made while the page is written, one recording after the other: none is held."""

    folder: Path  # of the page
    embed: bool = False
    pictures: Budget = field(default_factory=lambda: Budget(PICTURES_BYTES))

    def recording(self, path: str | None) -> Recording:
        from vvbatch import audio
        from vvbatch.audio.encode import encoded

        if path is None:
            return Recording()
        try:
            samples, _ = audio.read(Path(path))
            source = data_uri(encoded(Path(path), ".mp3"), "audio/mpeg") if self.embed else self.link(path)
        except (OSError, audio.AudioError) as error:
            return Recording(missing=f"its file cannot be read: {getattr(error, 'strerror', None) or error}")
        return Recording(source, waveform(samples))

    def link(self, path: str) -> str:
        """A path as the page links it: relative to the page's folder, percent-encoded."""
        return quote(Path(os.path.relpath(path, self.folder)).as_posix())

    def linked(self, path: str | None) -> str | None:
        """The link of a file that is not embedded; None where it is gone, and in a page that stands alone."""
        return self.link(path) if path and not self.embed and Path(path).is_file() else None

    def picture(self, path: str | None, sha256: str | None) -> Picture | None:
        """The spectrogram of a recording; None where its file is gone or has changed, or pictures are too many."""
        samples, _ = sound(path, sha256)
        if samples is None or not len(samples) or not self.pictures.left:
            return None
        source = self.pictures.take(spectrogram(samples, len(samples)), "image/png")
        return Picture(source, round(len(samples) / SAMPLE_RATE * SHOWN_PER_S)) if source else None
