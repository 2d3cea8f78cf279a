"""Loops beside the requests go on after every error, and the log names it."""

from __future__ import annotations

import asyncio

import pytest
import redis

from vvbatch.web.loops import again


@pytest.mark.parametrize(
    "error", [OSError("too many open files"), ConnectionResetError("gone"), redis.TimeoutError("slow"), KeyError("x")]
)
def test_a_step_that_fails_is_logged_and_the_next_one_comes(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> int:
        steps = 0
        third = asyncio.Event()

        async def step() -> None:
            nonlocal steps
            steps += 1
            if steps < 3:
                raise error
            third.set()

        loop = asyncio.create_task(again(0, "counting takes", step))
        async with asyncio.timeout(10):
            await third.wait()
        loop.cancel()
        return steps

    assert asyncio.run(scenario()) == 3
    assert caplog.text.count("counting takes failed") == 2
    assert str(error) in caplog.text
