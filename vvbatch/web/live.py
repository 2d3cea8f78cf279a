"""The audio of one line for a client that waits: while it is rendered, or of its finished file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast

from vvbatch import audio
from vvbatch.engine.contract import FRAME, SAMPLE_RATE
from vvbatch.ledger.lines import LineNow, line_now
from vvbatch.ledger.records import line_key
from vvbatch.ledger.states import LineState, Trouble
from vvbatch.transport import stream
from vvbatch.transport.stream import Begun
from vvbatch.web.errors import ApiError, Incomplete
from vvbatch.web.services import Services

LOOK_S = 0.25  # for a chunk, before the ledger is asked
PART_BYTES = 2 * FRAME
FILE_BYTES = 16 * PART_BYTES  # of a finished file at once


class Broken(Incomplete):
    """The take that is being sent will not be completed."""


class Live:
    """One listener's view of the first line of a batch."""

    def __init__(self, services: Services, batch_id: str) -> None:
        self.services = services
        self.line_id = line_key(batch_id, 1)
        self.begun = False
        self.end: LineNow | None = None
        self.kept_until = 0.0

    async def parts(self) -> AsyncIterator[Begun | bytes]:
        """The take begins, then its PCM16 as it is rendered. A line that a finished take serves: that file.

        Raises ApiError when the line ends without audio, Broken when its take ends in the middle.
        """
        ended = False
        while True:
            item = await self.receive(0.01 if ended else LOOK_S)
            if isinstance(item, Begun):
                if self.begun:
                    raise Broken("the worker ended, and another began again")
                self.begun = True
                yield item
            elif item:
                yield item
            elif ended:
                break
            else:
                now = await self.look()
                if self.begun and now.state == LineState.QUEUED:
                    raise Broken("the worker ended")
                ended = now.ended  # what it sent before it recorded that is still to be read
        assert self.end is not None
        if not self.begun:
            async for part in self.finished():
                yield part
        elif self.end.state == LineState.CANCELLED or (
            self.end.state == LineState.FAILED and self.end.trouble != Trouble.QC
        ):
            raise Broken(self.end.error or self.end.state)

    async def finished(self, realtime: bool = False) -> AsyncIterator[Begun | bytes]:
        """The line's finished file, when it has ended; in real time if wanted. Raises ApiError without one."""
        while self.end is None:
            await asyncio.sleep(LOOK_S)
            await self.look()
        if self.end.path is None or self.end.take is None:
            raise unspoken(self.end)
        try:
            samples, _ = await self.services.call(audio.read, Path(self.end.path))
        except (OSError, audio.AudioError) as error:
            raise ApiError(500, f"the file of take {self.end.take} cannot be read: {error}") from error
        yield Begun(self.end.take)
        pcm = audio.to_pcm16(samples).astype("<i2").tobytes()
        if realtime:
            async for part in as_played(pcm):
                yield part
        else:
            for place in range(0, len(pcm), FILE_BYTES):
                yield pcm[place : place + FILE_BYTES]

    async def receive(self, timeout_s: float) -> Begun | bytes | None:
        """The next item of the worker's; END is empty. None when nothing came."""
        key = stream.key_of(self.line_id)
        found = await self.services.streams.blpop([key], timeout=timeout_s)
        if not found:
            return None
        if time.monotonic() > self.kept_until:  # for a client that takes its time
            await self.services.streams.expire(key, stream.KEPT_S)
            self.kept_until = time.monotonic() + stream.KEPT_S / 10
        return stream.read(cast(bytes, found[1]))

    async def look(self) -> LineNow:
        """Ask the ledger. Sets `end` when the line has ended."""
        now = await self.services.call(line_now, self.services.ledger, self.line_id)
        if now is None:
            raise ApiError(500, "the line was deleted while it was rendered")
        if now.ended:
            self.end = now
        return now

    async def forget(self) -> None:
        """Delete the stream: its client has left."""
        await self.services.streams.delete(stream.key_of(self.line_id))


async def as_played(
    pcm: bytes, now: Callable[[], float] = time.monotonic, rest: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncIterator[bytes]:
    """PCM16 in parts, each when those before it have been played."""
    start = now()
    for place in range(0, len(pcm), PART_BYTES):
        await rest(start + place / (2 * SAMPLE_RATE) - now())
        yield pcm[place : place + PART_BYTES]


def unspoken(end: LineNow) -> ApiError:
    """Why there is no audio."""
    if end.trouble == Trouble.INPUT:
        return ApiError(400, end.error or "the text was refused", param="input", code="refused")
    if end.state == LineState.CANCELLED:
        return ApiError(503, "the line was cancelled", code="cancelled")
    return ApiError(500, f"the take failed: {end.error or end.state}", code="take_failed")
