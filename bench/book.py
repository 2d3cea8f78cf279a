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
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
import soxr

from vvbatch.book.build import Built, Work, build
from vvbatch.book.codecs import wanted
from vvbatch.book.contents import RATE, About, Break, Chapter, Speech
from vvbatch.book.files import book_files, codecs_of
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


def takes_in(folder: Path, audio: Path, hours: float) -> list[Chapter]:
    return make_chapters(recordings(audio), folder, hours)


def megabytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--audio", type=Path, default=Path(__file__).parent.parent / "voices")
    parser.add_argument("--formats", default="m4b")
    parser.add_argument("--preset", default="audiobook")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ProcessPoolExecutor(1, get_context("spawn")) as other:  # its memory is not the assembly's
            chapters = other.submit(takes_in, folder, given.audio, given.hours).result()
        before = megabytes()
        work = Work(About("A book"), tuple(chapters), Pauses(), preset_named(given.preset))
        formats = given.formats.split(",")
        used = time.process_time()
        built, cold_s = make(work, formats, folder / "cache", folder, None)
        cold_used_s = time.process_time() - used
        first, levels = built.encoded[0], built.levels
        measured = [
            f"{each.codec.name} {each.codec.kbps}: {each.energies.lufs:.2f} LUFS, decoded true peak "
            f"{each.true_peak_dbtp:.2f} dBTP"
            for each in built.encoded
        ]
        print(
            f"{first.duration_s / 3600:.2f} h in {len(chapters)} chapters, {given.formats}, {given.preset}, 2 threads"
        )
        speed = first.duration_s / cold_s
        del built, first  # no assembly has another one's in memory
        print(f"cold: {cold_s:.1f} s ({speed:.0f} x real time), {cold_used_s:.1f} s of processor time")
        edited = write_take(folder, "edited", soundfile.read(chapters[0].speeches[1].path, dtype="float32")[0][:-2400])
        items = (chapters[0].items[0], edited, *chapters[0].items[2:])
        work = replace(work, chapters=(replace(chapters[0], items=items), *chapters[1:]))
        used = time.process_time()
        again, warm_s = make(work, formats, folder / "cache", folder, levels)
        encoded, levels = sum(each.newly for each in again.encoded), again.levels
        del again
        used = time.process_time() - used
        print(f"one line changed: {warm_s:.1f} s, {used:.1f} s of processor time, {encoded} chapters encoded")
        used = time.process_time()
        _, same_s = make(work, formats, folder / "cache", folder, levels)
        print(f"nothing changed: {same_s:.1f} s, {time.process_time() - used:.1f} s of processor time")
        print(f"peak memory: {megabytes()} MB, {before} MB of them before the first chapter")
        print("\n".join(measured))


if __name__ == "__main__":
    main()
