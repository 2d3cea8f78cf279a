"""`python -m bench.server CASE`: the HTTP server with real processes and the draft voice, in a home folder of its own.

clients: 100 clients at once for some minutes. status: GET /api/status by 10 clients, 100,000 lines in the ledger.
first: from the worker's first chunk to the client's first byte. idle: the CPU time of a server with one event stream,
and the step of an engine beside it. streams: 1,000 idle event streams.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import psutil

from vvbatch.home import Home

WORDS = (Path(__file__).parent / "quality_sentences.txt").read_text(encoding="utf-8").split()


@contextmanager
def serving(*, worker: bool = True) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a server, and its process; with a draft worker that is ready."""
    running: list[subprocess.Popen[str]] = []
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    try:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "vvbatch", "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
        )
        running.append(server)
        assert server.stderr
        url = server.stderr.readline().strip()
        said: list[str] = []
        threading.Thread(target=lambda: said.extend(server.stderr or ()), daemon=True).start()
        if worker:
            draft = [sys.executable, "-P", "-m", "workers", "draft"]
            running.append(subprocess.Popen(draft, text=True, **quiet))  # type: ignore[call-overload]
        wait_for(url, "/health/ready" if worker else "/health/live")
        yield url, psutil.Process(server.pid)
    finally:
        if running[0].poll() is not None:
            print("the server has ended:", *said[-20:])
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(timeout=60)


def wait_for(url: str, path: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if httpx2.get(url + path).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url}{path} does not answer")


def sentence(generator: random.Random) -> str:
    return " ".join(generator.choice(WORDS) for _ in range(generator.randint(4, 12))) + "."


def clients(count: int, minutes: float) -> None:
    """Each client asks again and again, and waits as Retry-After says."""
    codes: Counter[int | str] = Counter()
    audio_bytes = 0
    memory: list[tuple[float, int]] = []

    async def client(number: int, url: str, until: float) -> None:
        nonlocal audio_bytes
        generator = random.Random(number)
        async with httpx2.AsyncClient(base_url=url, timeout=120) as session:
            while time.monotonic() < until:
                body = {"model": "draft", "voice": "alice", "input": sentence(generator), "response_format": "mp3"}
                try:
                    answer = await session.post("/v1/audio/speech", json=body)
                    codes[answer.status_code] += 1
                    if answer.status_code == 200:
                        audio_bytes += len(answer.content)
                    elif answer.status_code == 429:
                        await asyncio.sleep(min(5, int(answer.headers["retry-after"])))
                    elif codes[answer.status_code] == 1:
                        print(answer.status_code, answer.text[:300])
                except httpx2.HTTPError as error:
                    codes[type(error).__name__] += 1

    async def sample(process: psutil.Process, until: float) -> None:
        begun = time.monotonic()
        while time.monotonic() < until:
            memory.append((time.monotonic() - begun, process.memory_info().rss))
            await asyncio.sleep(1)

    async def load(url: str, process: psutil.Process) -> None:
        until = time.monotonic() + 60 * minutes
        await asyncio.gather(sample(process, until), *(client(number, url, until) for number in range(count)))

    with serving() as (url, process):
        before = process.cpu_times()
        asyncio.run(load(url, process))
        after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    print(f"{count} clients, {minutes:g} min: {dict(codes)}, {audio_bytes / 1e6:.1f} MB of audio")
    print(f"CPU time of the server: {spent:.1f} s")
    print("memory, MB:", *(f"{size / 1e6:.0f}" for _, size in memory[:: max(1, len(memory) // 20)]))
    warm = [size for at, size in memory if 60 * minutes / 5 <= at < 60 * minutes * 2 / 5]
    late = [size for at, size in memory if at >= 60 * minutes * 4 / 5]
    first, last = statistics.median(warm), statistics.median(late)
    print(f"memory: {first / 1e6:.1f} MB in the second fifth, {last / 1e6:.1f} MB in the last: {last / first - 1:+.1%}")


def status(count: int, seconds: float) -> None:
    from tests.support.large_ledger import large_ledger

    ledger = large_ledger(Home.from_environment().path)
    ledger.close()
    times: list[float] = []

    async def client(url: str, until: float) -> None:
        """Over a socket: a client library would need more time than the server."""
        host, _, port = url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        while time.monotonic() < until:
            begun = time.perf_counter()
            writer.write(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            times.append(time.perf_counter() - begun)
            assert head.startswith(b"HTTP/1.1 200")
        writer.close()

    async def load(url: str) -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*(client(url, until) for _ in range(count)))

    with serving(worker=False) as (url, process):
        httpx2.get(f"{url}/api/status", timeout=60)
        before = process.cpu_times()
        asyncio.run(load(url))
        after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    print(f"CPU time of the server: {1000 * spent / len(times):.2f} ms an answer, with the figures made meanwhile")
    times.sort()
    p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    print(f"/api/status, {count} clients, 100,000 lines: {len(times)} answers, median {1000 * p50:.1f} ms, ", end="")
    print(f"p99 {1000 * p99:.1f} ms, most {1000 * times[-1]:.1f} ms")


def first(count: int) -> None:
    """By the clock of Redis, which sees when the worker pushes a chunk, and this process's clock."""
    from vvbatch.transport.connection import connect

    pushed: dict[str, float] = {}
    ended = threading.Event()
    with serving() as (url, _):
        connection = connect(Home.from_environment())

        def watch() -> None:
            with connection.monitor() as commands:  # type: ignore[no-untyped-call]
                while not ended.is_set():
                    command = commands.next_command()
                    words = command["command"].split()
                    if words[0].upper() == "RPUSH" and words[1].startswith("vvbatch:stream:"):
                        pushed.setdefault(words[1], command["time"])

        threading.Thread(target=watch, daemon=True).start()
        time.sleep(0.5)
        delays: dict[str, list[float]] = {}
        generator = random.Random(1)
        with httpx2.Client(base_url=url, timeout=60) as client:
            for name in ("pcm", "wav", "mp3", "opus", "aac"):
                for _ in range(count):
                    body = {"model": "draft", "voice": "alice", "input": sentence(generator), "response_format": name}
                    pushed.clear()
                    with client.stream("POST", "/v1/audio/speech", json=body) as answer:
                        parts = answer.iter_bytes()
                        next(parts)
                        at = time.time()
                        for _ in parts:
                            pass
                    time.sleep(0.05)
                    delays.setdefault(name, []).append(at - min(pushed.values()))
        ended.set()
        connection.ping()
    for name, found in delays.items():
        found.sort()
        print(
            f"{name}: first byte {1000 * statistics.median(found):.1f} ms after the worker's first chunk (median of "
            f"{count}), most {1000 * found[-1]:.1f} ms"
        )


def idle(seconds: float) -> None:
    rates: dict[str, list[float]] = {"alone": [], "beside": []}
    product = np.random.default_rng(1).standard_normal((768, 768)).astype(np.float32)

    def steps(within_s: float) -> float:
        """CPU-bound products for this long: how many a second of wall time."""
        until, done, begun = time.perf_counter() + within_s, 0, time.perf_counter()
        while time.perf_counter() < until:
            product @ product
            done += 1
        return done / (time.perf_counter() - begun)

    with serving(worker=False) as (url, process):
        ready = threading.Event()

        def listen() -> None:
            with httpx2.stream("GET", f"{url}/api/events", timeout=None) as answer:
                for _ in answer.iter_lines():
                    ready.set()

        threading.Thread(target=listen, daemon=True).start()
        ready.wait(10)
        time.sleep(2)
        before = process.cpu_times()
        time.sleep(seconds)
        after = process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        print(f"an idle server with one event stream: {spent / seconds:.2%} of one core over {seconds:g} s")
        for _ in range(20):
            rates["beside"].append(steps(1.0))
            process.suspend()
            rates["alone"].append(steps(1.0))
            process.resume()
        ratio = statistics.median(b / a for a, b in zip(rates["alone"], rates["beside"], strict=True))
        print(f"a step beside it takes {1 / ratio - 1:+.2%} of the time of one alone (median of 20 pairs of 1 s)")
        os._exit(end(process))


def end(process: psutil.Process) -> int:
    """The thread that listens would keep this process."""
    process.terminate()
    process.wait(20)
    return 0


def streams(count: int) -> None:
    """Idle event streams, clients that take nothing, and how quickly others are answered meanwhile."""

    async def scenario(url: str, process: psutil.Process) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        before, cpu = process.memory_info().rss, process.cpu_times()
        opened = []
        for _ in range(count):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            opened.append((reader, writer))
        answers = [await reader.readuntil(b": connected") for reader, _ in opened]
        good = sum(b" 200 " in answer for answer in answers)
        await asyncio.sleep(20)
        now = process.cpu_times()
        spent = now.user + now.system - cpu.user - cpu.system
        more = (process.memory_info().rss - before) / 1e6
        times = []
        async with httpx2.AsyncClient(base_url=url) as client:
            for _ in range(200):
                begun = time.perf_counter()
                await client.get("/health/live")
                times.append(time.perf_counter() - begun)
        times.sort()
        print(f"{good} idle event streams: {more:.1f} MB more, {spent:.1f} s of CPU time in 20 s with their opening")
        print(f"/health/live median {1000 * times[100]:.1f} ms, p99 {1000 * times[198]:.1f} ms")
        for _, writer in opened:
            writer.close()

    with serving(worker=False) as (url, process):
        asyncio.run(scenario(url, process))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=("clients", "status", "first", "idle", "streams"))
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=5)
    given = parser.parse_args()
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="vvbatch-bench-") as folder:
        os.environ["VVBATCH_HOME"] = folder
        if given.case == "clients":
            clients(given.clients, given.minutes)
        elif given.case == "status":
            status(10, 20)
        elif given.case == "first":
            first(20)
        elif given.case == "idle":
            idle(30)
        else:
            streams(1000)


if __name__ == "__main__":
    main()
