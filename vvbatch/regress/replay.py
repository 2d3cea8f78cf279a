"""Replay: render a take again from its row in the ledger, and compare it with the original."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import select

from vvbatch import machine, profiles, store
from vvbatch.batch import plan
from vvbatch.batch.line_request import LineRequest
from vvbatch.engine import open_engine
from vvbatch.engine.contract import SAMPLE_RATE, Chunk, Engine, EngineFacts, Failed, Request, Voice
from vvbatch.errors import InputError, VvbatchError
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.schema import lines, qc_results, takes, workers
from vvbatch.profiles import Profile
from vvbatch.regress.compare import Difference, compare
from vvbatch.regress.records import Change, WorkerFacts, plain
from vvbatch.voices import InvalidVoice, Library, VoiceError, require_unchanged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MATCHES_SHOWN = 5


class UnknownTake(InputError, LookupError):
    """No take, or more than one, matches the id or prefix."""


class NotRendered(VvbatchError):
    """The engine returned no audio; the message has the reason."""


class RecordedShape(msgspec.Struct, frozen=True):
    """The shape of the engine's steps; takes from before there was a choice had a fixed one."""

    slots: int
    mode: str = "fixed"


class TakeMetrics(msgspec.Struct, frozen=True):
    """The metrics of a take that a replay needs."""

    step_shape: RecordedShape | None = None


class TakeRow(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of a take that a replay needs."""

    id: str
    profile: str
    text: str
    state: str
    path: str | None
    sha256: str | None
    duration_s: float | None
    wall_s: float | None
    seed: int
    engine: str
    model: str
    revision: str
    device: str
    dtype: str
    control_hash: str
    params: dict[str, object]
    metrics: TakeMetrics | None

    @property
    def fixed_slots(self) -> int | None:
        """The engine's slots, if the last bits of the take depend on them."""
        shape = self.metrics.step_shape if self.metrics else None
        return shape.slots if shape and shape.mode == "fixed" else None


@dataclass(frozen=True)
class Recorded:
    """A take as the ledger recorded it, with its planned line, the facts of its worker, and its checks."""

    take: TakeRow
    request: LineRequest
    facts: WorkerFacts
    checks: Mapping[str, float]  # value by name


@dataclass(frozen=True)
class Rendered:
    samples: NDArray[np.float32]  # (frames,) as in the file: limited to the peak, rounded to PCM16
    wav: bytes
    facts: EngineFacts
    wall_s: float
    checks: Mapping[str, float]  # value by name


class Hashes(msgspec.Struct, frozen=True):
    then: str | None
    now: str


class Seconds(msgspec.Struct, frozen=True):
    then: float | None
    now: float


class Replay(msgspec.Struct, kw_only=True):
    """What `replay --json` prints."""

    take: str
    equal: bool
    equal_by: str  # sha256, samples or checks
    sha256: Hashes
    duration_s: Seconds
    wall_s: Seconds
    difference: Difference | None  # None: not measured
    changed: list[Change]  # since the take was rendered
    note: str | None
    out: str | None = None  # the file that the new take was written to


def recorded(ledger: Ledger, take: str) -> Recorded:
    """The take with the id or unique prefix `take`. Raises UnknownTake."""
    prefix = takes.c.id.startswith(take, autoescape=True)
    query = select(takes.c.id).where(prefix).order_by(takes.c.id).limit(MATCHES_SHOWN)
    with ledger.engine.connect() as connection:
        found = list(connection.execute(query).scalars()) if take else []
        if not found:
            raise UnknownTake(f"unknown take {take!r}: `vvbatch ledger takes` lists them")
        if len(found) > 1 and take not in found:
            raise UnknownTake(f"{take!r} matches several takes: {', '.join(found)}")
        take_id = take if take in found else found[0]
        row = connection.execute(select(takes).where(takes.c.id == take_id)).mappings().one()
        request = connection.execute(select(lines.c.request).where(lines.c.id == row["line_id"])).scalar_one()
        facts = connection.execute(select(workers.c.facts).where(workers.c.id == row["worker"])).scalar()
        checks = select(qc_results.c.name, qc_results.c.value).where(qc_results.c.take_id == take_id)
        measured = {each.name: each.value for each in connection.execute(checks.order_by(qc_results.c.position))}
    # The voices and parameters of this take: other takes of the line may have had others.
    request = {**request, "voices": row["voices"], "params": row["params"], "stream": False}
    return Recorded(
        msgspec.convert(plain(row), TakeRow),
        msgspec.convert(request, LineRequest),
        msgspec.convert(facts or {}, WorkerFacts),
        measured,
    )


def replay(
    ledger: Ledger, home: Home, take: str, open_it: Callable[[Profile, Path], Engine] = open_engine
) -> tuple[Replay, bytes]:
    """Render the take with the id or prefix `take` again in this process. Returns the comparison and the new WAV file.

    A take whose steps had a fixed shape is rendered by an engine with as many slots.
    Takes are equal by their sha256 or samples; a take without a file by its checks. The difference is measured if the
    original file still exists.
    Raises UnknownTake, ProfileError, InvalidVoice, RequestRefused, EngineUnavailable, NotRendered.
    """
    then = recorded(ledger, take)
    profile = profiles.load(then.take.profile)
    if then.take.fixed_slots is not None:
        profile = msgspec.structs.replace(profile, slots=then.take.fixed_slots)
    request = then.request.for_take(then.take.id, then.take.seed)
    request = replace(request, voices=tuple(with_file(voice, home) for voice in request.voices))
    now = render(profile, request, home.cache, open_it, then.take.text)
    sha256 = hashlib.sha256(now.wav).hexdigest()
    found = Replay(
        take=then.take.id,
        equal=sha256 == then.take.sha256,
        equal_by="sha256",
        sha256=Hashes(then.take.sha256, sha256),
        duration_s=Seconds(then.take.duration_s, len(now.samples) / SAMPLE_RATE),
        wall_s=Seconds(then.take.wall_s, round(now.wall_s, 3)),
        difference=None,
        changed=changes(then, now.facts, profile),
        note=None,
    )
    if then.take.sha256 is None:
        found.equal, found.equal_by = equal_checks(then.checks, now.checks), "checks"
        found.note = f"the take is {then.take.state} and kept no file: its checks are compared"
    elif not found.equal:
        samples, found.note = samples_of(then.take.path, then.take.sha256)
        if samples is not None:
            found.difference = compare(samples, now.samples).rounded()
            if found.difference.bits:  # equal samples under another header
                found.equal, found.equal_by = True, "samples"
    return found, now.wav


def equal_checks(then: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Compare the checks that both have: the worker also made checks against its batch and by listening models."""
    shared = then.keys() & now.keys()
    return bool(shared) and all(then[name] == now[name] for name in shared)


def render(
    profile: Profile, request: Request, cache: Path, open_it: Callable[[Profile, Path], Engine], text: str
) -> Rendered:
    """Render one request in a new engine. Raises EngineUnavailable, RequestRefused, NotRendered."""
    import numpy as np

    from vvbatch import audio
    from vvbatch.qc.judge import judge

    engine = open_it(profile, cache)
    try:
        began = time.perf_counter()
        engine.admit(request)
        chunks, runaway = [], False
        for event in events_of(engine):
            if isinstance(event, Chunk):
                chunks.append(event.samples)
            elif isinstance(event, Failed):
                raise NotRendered(f"the engine failed: {event.error}")
            else:
                runaway = event.runaway
        wall_s = time.perf_counter() - began
    finally:
        engine.close()
    samples = np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
    checks = judge(samples, SAMPLE_RATE, text, profile.qc, runaway=runaway)
    try:
        pcm = audio.to_pcm16(audio.bring_to_peak(samples)[0])
    except audio.AudioError as error:
        raise NotRendered(f"the engine's output is not audio: {error}") from error
    rounded = (pcm / np.float32(audio.FULL_SCALE)).astype(np.float32)
    measured = {check.name: check.value for check in checks}
    return Rendered(rounded, audio.wav_bytes(pcm, SAMPLE_RATE), engine.facts, wall_s, measured)


def events_of(engine: Engine) -> Iterator[Any]:
    """The events of the only request in an engine, to its last."""
    while True:
        for event in engine.step():
            yield event
            if not isinstance(event, Chunk):
                return


def with_file(voice: Voice, home: Home) -> Voice:
    """The voice with a file that has its hash: its own, or another of the library. Raises InvalidVoice."""
    with suppress(VoiceError):
        require_unchanged([voice])
        return voice
    library = Library.of(home)
    for found in library.found.values():
        with suppress(OSError):
            if store.sha256_file(found.path) == voice.sha256:
                return replace(voice, path=found.path.resolve())
    raise InvalidVoice(
        f"voice {voice.name!r}: {voice.path} is gone or changed, and no voice has its sha256 "
        f"{voice.sha256[:12]}…: put the file back, or import it again"
    )


def samples_of(path: str | None, sha256: str) -> tuple[NDArray[np.float32] | None, str | None]:
    """The samples of a take's file, or the reason why they cannot be compared."""
    from vvbatch import audio

    if path is None:
        return None, "the take's file was removed: only its hash is compared"
    try:
        if store.sha256_file(Path(path)) != sha256:
            return None, f"{path} has changed since it was rendered: only the ledger's hash is compared"
        return audio.read(Path(path))[0], None
    except (OSError, audio.AudioError) as error:
        return None, f"{path} cannot be read ({error}): only its hash is compared"


def changes(then: Recorded, facts: EngineFacts, profile: Profile) -> list[Change]:
    """The facts that have changed since the take was rendered, as far as the ledger recorded them."""
    take = then.take
    pairs: list[tuple[str, object, object]] = [
        ("engine", take.engine, f"{facts.engine} {facts.version}"),
        *((name, getattr(take, name), getattr(facts, name)) for name in ("model", "revision", "device", "dtype")),
        ("profile or parameters (control hash)", take.control_hash, plan.control_hash(profile, then.request.params)),
    ]
    details = then.facts.details or {}
    without_effect = {"slots"} if take.fixed_slots is None else set()
    pairs += [(name, details[name], facts.details.get(name)) for name in details if name not in without_effect]
    for old, now in ((then.facts.versions, machine.versions()), (then.facts.machine, machine.identity())):
        pairs += [(name, value, now.get(name)) for name, value in (old or {}).items()]
    return [Change(name, was, now) for name, was, now in pairs if was != now]
