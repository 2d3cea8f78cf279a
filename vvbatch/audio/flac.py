"""FLAC (RFC 9639) whose header does not give the number of samples: it is taken from the last frame."""

from __future__ import annotations

from vvbatch.audio.content import CUT, NO_LENGTH, AudioError, Content

TOTAL = slice(18, 26)  # of STREAMINFO: rate, channels, bits and, in the lowest 36 bits, samples
TOTAL_BITS = (1 << 36) - 1
LONGEST_FRAME = 1 << 20  # bytes; a frame of 65,535 samples in 4 channels of 24 bits has fewer
BLOCK_SIZES = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}


def whole(data: bytes) -> Content:
    """The content of a FLAC file, with its number of samples. Raises AudioError if its last frame is cut.

    A header that gives the number is left to the decoder, which compares it with what it decodes.
    """
    if data[4:5] not in (b"\x00", b"\x80") or len(data) < 42:
        return Content()  # no STREAMINFO: the decoder says what is wrong
    fields = int.from_bytes(data[TOTAL], "big")
    if fields & TOTAL_BITS:
        return Content()
    first = _first_frame(data)
    if first >= len(data):
        return Content()
    total = _samples(data, first)
    return Content(data[: TOTAL.start] + (fields | total).to_bytes(8, "big") + data[TOTAL.stop :], NO_LENGTH)


def _first_frame(data: bytes) -> int:
    """Offset of what follows the metadata blocks."""
    at = 4
    while at + 4 <= len(data):
        is_last, size = data[at] & 0x80, int.from_bytes(data[at + 1 : at + 4], "big")
        at += 4 + size
        if is_last:
            break
    return at


def _samples(data: bytes, first: int) -> int:
    """Number of samples before the end of the last frame, which must be whole. Raises AudioError."""
    at = len(data)
    lowest = max(first, len(data) - LONGEST_FRAME)
    while (at := data.rfind(b"\xff", lowest, at)) >= 0:
        end = _end_of(data, at)
        if end is not None and _crc(data[at:], 0x8005, 16) == 0:
            return end
    raise AudioError(f"its last frame is not whole: {CUT}")


def _end_of(data: bytes, at: int) -> int | None:
    """Number of the sample after the frame whose header is at `at`; None if there is no valid header.

    RFC 9639, section 9.1: sync code and blocking strategy, block size and rate, channels and bits, the number of the
    frame or its first sample coded as in UTF-8, the sizes that the codes leave open, a CRC-8.
    """
    head = data[at : at + 16]
    if len(head) < 6 or head[1] not in (0xF8, 0xF9):
        return None
    block_code, rate_code = head[2] >> 4, head[2] & 15
    ones = 8 - (~head[4] & 0xFF).bit_length()
    length = ones or 1
    if ones in (1, 8):
        return None
    number = head[4] & (0x7F >> ones)
    for byte in head[5 : 4 + length]:
        number = number << 6 | byte & 0x3F
    after = 4 + length
    if block_code in (6, 7):
        wide = block_code - 5
        block = int.from_bytes(head[after : after + wide], "big") + 1
        after += wide
    elif block_code in BLOCK_SIZES:
        block = BLOCK_SIZES[block_code]
    else:
        return None
    after += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if len(head) <= after or _crc(head[: after + 1], 0x07, 8):
        return None
    is_variable = head[1] & 1
    fixed_block = int.from_bytes(data[8:10], "big")  # STREAMINFO's smallest block
    return (number if is_variable else number * fixed_block) + block


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """The CRC of `data`, most significant bit first, from 0; 0 for data that ends with its own CRC."""
    mask, crc = (1 << bits) - 1, 0
    table = _table(polynomial, bits)
    for byte in data:
        crc = (crc << 8 & mask) ^ table[(crc >> bits - 8) ^ byte]
    return crc


def _table(polynomial: int, bits: int) -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << bits - 8
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc >> bits - 1 else 0)
            crc &= (1 << bits) - 1
        table.append(crc)
    return table
