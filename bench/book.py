"""How long a book takes, cold and after one changed line, and how much memory: python -m bench.book [--hours 10].

Takes are cut from recordings (the bundled voices, or --audio FOLDER) and repeated with other lengths, so that no two
chapters are equal.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from vvbatch.book.build import Built, Work, build
from vvbatch.book.contents import RATE, About, Break, Chapter, Speech
from vvbatch.book.files import book_files, codecs_of, wanted
from vvbatch.book.gains import Levels
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import preset_named

CHAPTER_S = 1200.0
TAKE_S = (3.0, 14.0)


def recordings(folder: Path) -> np.ndarray:
    """All WAV and FLAC files of a folder, mono at RATE, one after the other."""
    parts = []
    for path in sorted([*folder.glob("*.wav"), *folder.glob("*.flac")]):
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        parts.append(soxr.resample(samples.mean(axis=1), rate, RATE))
    if not parts:
        sys.exit(f"{folder}: no WAV or FLAC files")
    return np.concatenate(parts)


def write_take(folder: Path, name: str, samples: np.ndarray) -> Speech:
    path = folder / f"{name}.wav"
    soundfile.write(path, samples, RATE, subtype="PCM_16")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Speech(name, path, sha256, "voice", "A line.", break_after=Break.LINE)


def make_chapters(audio: np.ndarray, folder: Path, hours: float) -> list[Chapter]:
    random = np.random.default_rng(1)
    chapters = []
    for number in range(1, max(1, round(hours * 3600 / CHAPTER_S)) + 1):
        items: list[Speech] = []
        seconds = 0.0
        while seconds < CHAPTER_S:
            length = int(random.uniform(*TAKE_S) * RATE)
            start = int(random.integers(0, max(1, len(audio) - length)))
            items.append(write_take(folder, f"{number:03d}-{len(items):04d}", audio[start : start + length]))
            seconds += length / RATE + Pauses().line
        chapters.append(Chapter(number, f"Chapter {number}", tuple(items)))
    return chapters


def make(work: Work, formats: list[str], cache: Path, out: Path, held: Levels | None) -> tuple[Built, float]:
    begun = time.monotonic()
    kinds, _ = wanted(formats)
    built = build(work, codecs_of(kinds, work), cache, held)
    for file in book_files(built, kinds, with_vtt=False):
        file.write(out / file.name, work, None)
    return built, time.monotonic() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--audio", type=Path, default=Path(__file__).parent.parent / "voices")
    parser.add_argument("--formats", default="m4b")
    parser.add_argument("--preset", default="audiobook")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        audio = recordings(given.audio)
        chapters = make_chapters(audio, folder, given.hours)
        del audio
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        work = Work(About("A book"), tuple(chapters), Pauses(), preset_named(given.preset))
        formats = given.formats.split(",")
        processor = time.process_time()
        built, cold_s = make(work, formats, folder / "cache", folder, None)
        processor = time.process_time() - processor
        first = built.encoded[0]
        edited = write_take(folder, "edited", soundfile.read(chapters[0].speeches[1].path, dtype="float32")[0][:-2400])
        items = (chapters[0].items[0], edited, *chapters[0].items[2:])
        work = replace(work, chapters=(replace(chapters[0], items=items), *chapters[1:]))
        again, warm_s = make(work, formats, folder / "cache", folder, built.levels)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        hours = first.duration_s / 3600
        print(f"{hours:.2f} h in {len(chapters)} chapters, {given.formats}, preset {given.preset}, 2 threads")
        print(
            f"cold: {cold_s:.1f} s ({first.duration_s / cold_s:.0f} x real time), {processor:.1f} s of processor time"
        )
        print(f"one line changed: {warm_s:.1f} s, {sum(each.newly for each in again.encoded)} chapters encoded")
        print(f"peak memory: {peak >> 10} MB ({before >> 10} MB before, with the recordings)")
        for each in built.encoded:
            level, peak_dbtp = each.energies.lufs, each.true_peak_dbtp
            print(f"{each.codec.name} {each.codec.kbps}: {level:.2f} LUFS, decoded true peak {peak_dbtp:.2f} dBTP")


if __name__ == "__main__":
    main()
