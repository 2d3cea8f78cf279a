"""A chapter's samples → packets of a codec, and packets → samples again, to prove how high their peaks are."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from vvbatch import fault_points
from vvbatch.book.codecs import BITEXACT, Codec, require_av
from vvbatch.book.contents import RATE
from vvbatch.book.limiter import Limiter
from vvbatch.book.loudness import Energies, LoudnessMeter
from vvbatch.book.packets import Header, Packets, PacketWriter, packets_in
from vvbatch.book.peaks import PeakMeter

TRIES = 8
SAFETY_DB = 0.2
LOWER_BY = 1.25  # times what a decoded peak is too high: a codec does not follow exactly
NEAR = 32  # samples that count as one place
DECODED_BLOCK = 1 << 17

Samples = NDArray[np.float32]
Source = Callable[[Limiter | None], Iterable[Samples]]
"""The chapter's samples, limited by the limiter that is given."""


def encode_chapter(codec: Codec, source: Source, path: Path, ceiling_dbtp: float | None, peak_dbtp: float) -> Packets:
    """Encode and decode again; where decoded peaks are above `peak_dbtp`, lower the samples there, until none is.

    `ceiling_dbtp` None: no limiter; the peaks are what they are. Raises OSError.
    """
    ceiling, lowered = ceiling_dbtp, dict[int, float]()
    for attempt in range(TRIES):
        limiter = Limiter(ceiling, lowered) if ceiling is not None else None
        with PacketWriter(path) as writer:
            count, extradata = _encode(codec, source(limiter), writer)
            writer.file.flush()
            found, meter = PeakMeter(peak_dbtp if limiter else None), LoudnessMeter(codec.rate, codec.decoded_delay)
            for block in _decoded(codec, packets_in(writer.temp, writer.sizes), extradata):
                found.add(block)
                meter.add(block)
            if ceiling is None or found.dbtp <= peak_dbtp:
                energies = meter.energies
                frames = -(-count * codec.rate // RATE // codec.frame) + codec.flush_packets
                header = Header(
                    codec=codec.name, kbps=codec.kbps, rate=codec.rate,
                    samples=frames * codec.frame, source_samples=count, extradata=extradata,
                    weighted=energies.weighted.tobytes(), plain=energies.plain.tobytes(),
                    true_peak_dbtp=round(found.dbtp, 3), ceiling_dbtp=ceiling if ceiling is not None else 0.0,
                    windows=msgspec.Raw(msgspec.msgpack.encode(limiter.windows if limiter else [])),
                )  # fmt: skip
                fault_points.point("book.chapter_written")
                return writer.finish(header)
        _lower(lowered, codec, found, peak_dbtp)
        if attempt >= TRIES // 2:  # other places keep coming up
            ceiling -= found.dbtp - peak_dbtp + SAFETY_DB
    raise RuntimeError(f"{codec.name}: decoded peaks stay above {peak_dbtp} dBTP with a ceiling of {ceiling:.2f}")


def _lower(lowered: dict[int, float], codec: Codec, found: PeakMeter, peak_dbtp: float) -> None:
    """Add the places of decoded peaks, as samples of the chapter, to those that are lowered."""
    for places, levels in found.over:
        excess = 20 * np.log10(levels) - peak_dbtp
        at = ((places - codec.decoded_delay) * RATE / codec.rate).round().astype(int)
        worst: dict[int, float] = {}
        for place, excess_db in zip((at // NEAR * NEAR).tolist(), excess.tolist(), strict=True):
            worst[place] = max(worst.get(place, 0.0), excess_db)
        for place, excess_db in worst.items():
            lowered[max(0, place)] = lowered.get(max(0, place), 0.0) + LOWER_BY * excess_db + SAFETY_DB


def decode_packets(codec: Codec, *chapters: Packets) -> Iterator[Samples]:
    """The samples (frames,) of chapters as a file has them, one behind the other; the encoder's delay included."""
    if codec.encoder:
        packets = (packet for chapter in chapters for packet in chapter)
        yield from _decoded(codec, packets, chapters[0].header.extradata)
    else:
        for chapter in chapters:
            yield from _decoded(codec, chapter, b"")


def energies_of(codec: Codec, chapters: Sequence[Packets]) -> Energies:
    """Decoded as one file, whose blocks of 0.1 s count from its start."""
    meter = LoudnessMeter(codec.rate, codec.decoded_delay)
    for block in decode_packets(codec, *chapters):
        meter.add(block)
    return meter.energies


def _encode(codec: Codec, blocks: Iterable[Samples], writer: PacketWriter) -> tuple[int, bytes]:
    """The number of samples that went in, at RATE, and the codec's extra data."""
    return _encode_flac(blocks, writer) if not codec.encoder else _encode_lossy(codec, blocks, writer)


def _encode_lossy(codec: Codec, blocks: Iterable[Samples], writer: PacketWriter) -> tuple[int, bytes]:
    av = require_av()
    context = av.CodecContext.create(codec.encoder, "w")
    context.sample_rate, context.layout, context.format = codec.rate, "mono", codec.sample_format
    context.time_base, context.bit_rate, context.thread_count = Fraction(1, codec.rate), codec.kbps * 1000, 1
    context.flags |= BITEXACT
    context.options = dict(codec.options)
    context.open()
    resampler = soxr.ResampleStream(RATE, codec.rate, 1, dtype="float32", quality="HQ")
    rest: Samples = np.zeros(0, np.float32)
    count = position = 0

    def encode(samples: Samples) -> None:
        """A whole number of the codec's frames, which PyAV divides."""
        nonlocal position
        if not len(samples):
            return
        frame = av.AudioFrame.from_ndarray(samples[None], format=codec.sample_format, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = codec.rate, position, Fraction(1, codec.rate)
        position += len(samples)
        for packet in context.encode(frame):
            writer.add(bytes(packet))

    for block in blocks:
        count += len(block)
        rest = np.concatenate([rest, resampler.resample_chunk(block) if codec.rate != RATE else block])
        whole = len(rest) // codec.frame * codec.frame
        encode(rest[:whole])
        rest = rest[whole:]
    length = count * codec.rate // RATE
    rest = np.concatenate([rest, resampler.resample_chunk(np.zeros(0, np.float32), last=True)])
    missing = -(-length // codec.frame) * codec.frame - position
    rest = np.pad(rest[: length - position], (0, max(0, missing - len(rest[: length - position]))))
    encode(rest[:missing])
    for packet in context.encode(None):
        writer.add(bytes(packet))
    return count, bytes(context.extradata or b"")


def _encode_flac(blocks: Iterable[Samples], writer: PacketWriter) -> tuple[int, bytes]:
    """PCM16 as one FLAC file, the only packet."""
    file = io.BytesIO()
    count = 0
    with soundfile.SoundFile(file, "w", RATE, 1, "PCM_16", format="FLAC") as sound:
        for block in blocks:
            sound.write(np.clip(np.rint(block * 32768), -32768, 32767).astype(np.int16))
            count += len(block)
    writer.add(file.getvalue())
    return count, b""


def _decoded(codec: Codec, packets: Iterable[bytes], extradata: bytes) -> Iterator[Samples]:
    if not codec.encoder:
        (file,) = packets
        with soundfile.SoundFile(io.BytesIO(file)) as sound:
            yield from sound.blocks(DECODED_BLOCK, dtype="float32")
        return
    av = require_av()
    context = av.CodecContext.create(codec.decoder, "r")
    context.sample_rate, context.layout, context.thread_count = codec.rate, "mono", 1
    if extradata:
        context.extradata = extradata
    held: list[Samples] = []
    size = 0
    for packet in packets:
        for frame in context.decode(av.Packet(packet)):
            held.append(_samples_of(frame))
            size += len(held[-1])
        if size >= DECODED_BLOCK:
            yield np.concatenate(held)
            held, size = [], 0
    for frame in context.decode(None):
        held.append(_samples_of(frame))
    if held:
        yield np.concatenate(held)


def _samples_of(frame: Any) -> Samples:
    """Of a mono frame; `to_ndarray` takes ten times as long for the same bytes."""
    if frame.format.name in ("flt", "fltp"):
        return np.frombuffer(frame.planes[0], np.float32, frame.samples).copy()
    samples = frame.to_ndarray().reshape(-1)
    return np.asarray(samples.astype(np.float32) / np.float32(1 << (8 * samples.dtype.itemsize - 1)))
