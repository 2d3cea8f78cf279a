"""One gain for each voice and one for the book, in steps of 0.1 dB: measured once, held while they still fit.

A line never has a gain of its own: lines of one voice differ by nature. The gains are held because a new gain means
that every chapter is encoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from vvbatch.book.codecs import Codec
from vvbatch.book.contents import Chapter, Sound, Speech
from vvbatch.book.layout import BLOCK, Layout, lay_out
from vvbatch.book.loudness import Energies, combined
from vvbatch.book.measures import Measure
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import Preset
from vvbatch.book.room_tone import Tone, ToneMeter, tones

REFERENCE_LUFS = -23.0
"""The voices' gains bring each to this; the book's gain goes on from there."""
HELD_LU = 0.3
TRIES = 4
NEAR_LU = 0.03
SAMPLE_S = 3600.0
LARGEST_VOICE_GAIN_DB = 20.0


class Levels(msgspec.Struct, frozen=True):
    """All that decides how loud a sample becomes. `book` has a gain for each codec, by its `target_name`."""

    voices: dict[str, float]
    book: dict[str, float]
    tones: dict[str, Tone]
    sounds: dict[str, float]  # by sha256

    def gain_db(self, item: Speech | Sound, target: str) -> float:
        own = self.voices.get(item.voice, 0.0) if isinstance(item, Speech) else self.sounds.get(item.sha256, 0.0)
        return own + self.book.get(target, 0.0)


@dataclass(frozen=True)
class MeasuredChapter:
    chapter: Chapter
    measures: list[Measure]
    layout: Layout


def voices_and_sounds(book: Sequence[MeasuredChapter], preset: Preset, held: Levels | None) -> Levels:
    """The gains of voices and sounds; those of `held` where they are at most HELD_LU away. No gain for the book yet."""
    energies: dict[str, list[Energies]] = {}
    meters: dict[str, ToneMeter] = {}
    sounds: dict[str, Energies] = {}
    for part in book:
        for item, measure in zip(part.chapter.items, part.measures, strict=True):
            if isinstance(item, Speech):
                energies.setdefault(item.voice, []).append(measure.energies)
                meters.setdefault(item.voice, ToneMeter()).add(measure.quiet_power, measure.quiet_frames)
            else:
                sounds[item.sha256] = measure.energies
    together = level_of(combined(part for parts in energies.values() for part in parts))
    gains = {}
    for voice, parts in energies.items():
        gain = REFERENCE_LUFS - level_of(combined(parts), together) if preset.levels else 0.0
        gains[voice] = _held(gain, held.voices.get(voice) if held else None)
    spoken = REFERENCE_LUFS if preset.levels else together
    matched = {
        sha256: _held(spoken - level_of(sound), held.sounds.get(sha256) if held else None)
        for sha256, sound in sounds.items()
    }
    found = tones(meters.items())
    if held:
        found = {
            voice: held.tones.get(voice, tone)
            for voice, tone in found.items()
            if voice in held.tones or voice not in held.voices
        }
    return Levels(gains, dict(held.book) if held else {}, found, matched)


def book_gain(
    book: Sequence[MeasuredChapter],
    levels: Levels,
    preset: Preset,
    target: str,
    listen: Callable[[Sequence[MeasuredChapter], Levels], Energies],
) -> float:
    """The gain that brings the book to its target. `listen` gives the energies of a sample, with its peaks limited.

    What pauses and the limiter change is measured on the sample, and applied to the whole.
    """
    if not preset.levels:
        return 0.0
    sample, whole = sample_of(book, preset), estimated(book, levels)
    # What the limiter takes from the sample, it takes from the book; `offset` is what else is different between them.
    offset = target_level(whole, preset) - target_level(estimated(sample, levels), preset)
    gain, tried = -drift_lu(whole, preset), list[tuple[float, float]]()
    for _ in range(TRIES):
        drift = drift_lu(listen(sample, with_gain(levels, target, gain)), preset) + offset
        tried.append((gain, drift))
        if abs(drift) < NEAR_LU:
            break
        gain -= drift / _slope(tried)
    return gain


def _slope(tried: Sequence[tuple[float, float]]) -> float:
    """Of loudness over gain, by the last two tries: where the limiter works much, 1 dB of gain gives less than 1 LU."""
    if len(tried) < 2:
        return 1.0
    (gain_before, drift_before), (gain, drift) = tried[-2:]
    return min(max((drift - drift_before) / (gain - gain_before), 0.3), 1.0)


def with_gain(levels: Levels, target: str, gain_db: float) -> Levels:
    return msgspec.structs.replace(levels, book={**levels.book, target: gain_db})


def estimated(book: Sequence[MeasuredChapter], levels: Levels) -> Energies:
    """Of the book before its own gain: its takes with the gains of their voices, and as much silence as it has."""
    parts = []
    for part in book:
        blocks = part.layout.length // BLOCK
        for item, measure in zip(part.chapter.items, part.measures, strict=True):
            parts.append(measure.energies.scaled(levels.gain_db(item, "")))
            blocks -= len(parts[-1].plain)
        silence = np.zeros(max(0, blocks), np.float32)
        parts.append(Energies(silence, silence))
    return combined(parts)


def sample_of(
    book: Sequence[MeasuredChapter], preset: Preset, longest_s: float = SAMPLE_S
) -> Sequence[MeasuredChapter]:
    """About `longest_s` of a book that is at least twice as long: every n-th item. A shorter book as it is.

    The limiter's work on one item does not depend on the others.
    """
    step = int(sum(part.layout.duration_s for part in book) / longest_s)
    if step < 2:
        return book
    chosen, passed = [], 0
    for part in book:
        of_chapter = range(-passed % step, len(part.measures), step)
        passed += len(part.measures)
        items = tuple(part.chapter.items[index] for index in of_chapter)
        if items:
            chapter = Chapter(part.chapter.number, "", items)
            measures = [part.measures[index] for index in of_chapter]
            chosen.append(MeasuredChapter(chapter, measures, lay_out(chapter, measures, Pauses(), preset)))
    return chosen


def target_level(energies: Energies, preset: Preset) -> float:
    return energies.rms_db if preset.rms_db is not None else level_of(energies)


def drift_lu(energies: Energies, preset: Preset) -> float:
    """How far the finished book is from its target."""
    target = preset.loudness_lufs if preset.loudness_lufs is not None else preset.rms_db
    return target_level(energies, preset) - target if target is not None else 0.0


def level_of(energies: Energies, otherwise: float | None = None) -> float:
    """Integrated loudness; of what is too short or too quiet for it, `otherwise` or the RMS."""
    if energies.lufs is not None:
        return energies.lufs
    return otherwise if otherwise is not None else max(energies.rms_db, -60.0)


def _held(gain: float, before: float | None) -> float:
    gain = round(min(max(gain, -LARGEST_VOICE_GAIN_DB), LARGEST_VOICE_GAIN_DB), 1)
    return before if before is not None and abs(gain - before) <= HELD_LU else gain


def target_name(codec: Codec, ceiling_dbtp: float) -> str:
    """Each codec has a gain of its own, because each changes the level by as much as the gains are exact to."""
    return f"{codec.name} {codec.kbps} kbit/s, {ceiling_dbtp:.2f} dBTP"
