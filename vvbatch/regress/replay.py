"""A take rendered again from its row in the ledger, and compared with what it was."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from vvbatch import machine, profiles, store
from vvbatch.batch import plan
from vvbatch.engine import open_engine
from vvbatch.engine.contract import SAMPLE_RATE, Chunk, Engine, EngineFacts, Failed, Request, Voice
from vvbatch.home import Home
from vvbatch.ledger import Ledger
from vvbatch.ledger.schema import lines, qc_results, takes, workers
from vvbatch.profiles import Profile
from vvbatch.voices import InvalidVoice, Library, VoiceError, require_unchanged

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CANDIDATES_SHOWN = 5


class UnknownTake(LookupError):
    """No take, or more than one, has the id or the beginning of one; the message names what there is."""


class NotRendered(Exception):
    """The engine gave no audio this time; the message has its reason."""


@dataclass(frozen=True)
class Recorded:
    """A take as the ledger has it: its row, its request, what its worker was, and the checks that it was held to."""

    take: Mapping[str, Any]
    request: Mapping[str, Any]
    facts: Mapping[str, Any]  # empty for a worker that the ledger does not know
    checks: Sequence[tuple[str, Any]]


@dataclass(frozen=True)
class Rendered:
    samples: NDArray[np.float32]  # as a file has them: at their level, rounded to PCM16
    wav: bytes
    facts: EngineFacts
    wall_s: float
    checks: Sequence[tuple[str, Any]]


def recorded(ledger: Ledger, word: str) -> Recorded:
    """The take whose id is `word`, or begins with it. Raises UnknownTake."""
    begins = takes.c.id.startswith(word, autoescape=True)
    query = select(takes.c.id).where(begins).order_by(takes.c.id).limit(CANDIDATES_SHOWN)
    with ledger.engine.connect() as connection:
        found = list(connection.execute(query).scalars()) if word else []
        if not found:
            raise UnknownTake(f"unknown take {word!r}: `vvbatch ledger takes` lists them")
        if len(found) > 1 and word not in found:
            raise UnknownTake(f"{word!r} begins several takes: {', '.join(found)}")
        take_id = word if word in found else found[0]
        row = connection.execute(select(takes).where(takes.c.id == take_id)).mappings().one()
        request = connection.execute(select(lines.c.request).where(lines.c.id == row["line_id"])).scalar_one()
        facts = connection.execute(select(workers.c.facts).where(workers.c.id == row["worker"])).scalar()
        checks = select(qc_results.c.name, qc_results.c.value).where(qc_results.c.take_id == take_id)
        measured = [(each.name, each.value) for each in connection.execute(checks.order_by(qc_results.c.position))]
    # The take's own: a line's later takes may have had other seeds.
    asked = {**request, "voices": row["voices"], "params": row["params"], "stream": False}
    return Recorded(dict(row), asked, facts or {}, measured)


def replay(
    ledger: Ledger, home: Home, word: str, open_it: Callable[[Profile, Path], Engine] = open_engine
) -> tuple[dict[str, Any], bytes]:
    """Render a take again in this process. Returns the findings, and the WAV file that came out.

    `equal` is by the file's sha256 or its samples, of a take without a file by its checks; `difference` is measured
    where the old file is still there; `changed` lists what is not as it was, each with `what`, `then` and `now`.
    Raises UnknownTake, ProfileError, InvalidVoice, RequestRefused, EngineUnavailable, NotRendered.
    """
    from vvbatch.regress.compare import compare

    then = recorded(ledger, word)
    profile = profiles.load(then.take["profile"])
    request = plan.request_of(then.request, then.take["id"], then.take["seed"])
    request = replace(request, voices=tuple(with_file(voice, home) for voice in request.voices))
    now = render(profile, request, home.cache, open_it, then.take["text"])
    sha256 = hashlib.sha256(now.wav).hexdigest()
    found: dict[str, Any] = {
        "take": then.take["id"],
        "equal": sha256 == then.take["sha256"],
        "equal_by": "sha256",
        "sha256": {"then": then.take["sha256"], "now": sha256},
        "duration_s": {"then": then.take["duration_s"], "now": len(now.samples) / SAMPLE_RATE},
        "wall_s": {"then": then.take["wall_s"], "now": round(now.wall_s, 3)},
        "difference": None,
        "changed": changes(then, now.facts, profile),
        "note": None,
    }
    if then.take["sha256"] is None:
        found["equal"], found["equal_by"] = equal_checks(then.checks, now.checks), "checks"
        found["note"] = f"the take is {then.take['state']} and kept no file: its checks are compared"
    elif not found["equal"]:
        samples, found["note"] = samples_of(then.take["path"], then.take["sha256"])
        if samples is not None:
            difference = compare(samples, now.samples)
            found["difference"] = difference.as_json()
            if difference.bits:  # the same samples under another header
                found["equal"], found["equal_by"] = True, "samples"
    return found, now.wav


def equal_checks(then: Sequence[tuple[str, Any]], now: Sequence[tuple[str, Any]]) -> bool:
    """Of the checks that are made here; a worker's may have been held against its batch, or heard by models."""
    before, here = dict(then), dict(now)
    shared = before.keys() & here.keys()
    return bool(shared) and all(before[name] == here[name] for name in shared)


def render(
    profile: Profile, request: Request, cache: Path, open_it: Callable[[Profile, Path], Engine], text: str
) -> Rendered:
    """One request through an engine of its own. Raises EngineUnavailable, RequestRefused, NotRendered."""
    import numpy as np

    from vvbatch import audio, qc

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
    checks = qc.judge(samples, SAMPLE_RATE, text, profile.qc, runaway=runaway)
    try:
        pcm = audio.to_pcm16(audio.bring_to_peak(samples)[0])
    except audio.AudioError as error:
        raise NotRendered(f"what the engine gave is no audio: {error}") from error
    heard = (pcm / np.float32(audio.FULL_SCALE)).astype(np.float32)
    measured = [(check.name, check.value) for check in checks]
    return Rendered(heard, audio.wav_bytes(pcm, SAMPLE_RATE), engine.facts, wall_s, measured)


def events_of(engine: Engine) -> Iterator[Any]:
    """The events of the one request in an engine, to its last."""
    while True:
        for event in engine.step():
            yield event
            if not isinstance(event, Chunk):
                return


def with_file(voice: Voice, home: Home) -> Voice:
    """The voice with a file that has its hash: its own, or any of the library's. Raises InvalidVoice."""
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
    """What a take's file holds, or why it cannot be compared with."""
    from vvbatch import audio

    if path is None:
        return None, "the take's file was removed: only its hash is compared"
    try:
        if store.sha256_file(Path(path)) != sha256:
            return None, f"{path} has changed since it was rendered: only the ledger's hash is compared"
        return audio.read(Path(path))[0], None
    except (OSError, audio.AudioError) as error:
        return None, f"{path} cannot be read ({error}): only its hash is compared"


def changes(then: Recorded, facts: EngineFacts, profile: Profile) -> list[dict[str, Any]]:
    """What is not as it was when the take was rendered; what the ledger did not record is not told of."""
    take = then.take
    pairs: list[tuple[str, Any, Any]] = [
        ("engine", take["engine"], f"{facts.engine} {facts.version}"),
        *((name, take[name], getattr(facts, name)) for name in ("model", "revision", "device", "dtype")),
        ("profile or parameters (control hash)", take["control_hash"], plan.control_hash(profile, take["params"])),
    ]
    details = then.facts.get("details") or {}
    pairs += [(name, details[name], facts.details.get(name)) for name in details]
    for part, now in (("versions", machine.versions()), ("machine", machine.identity())):
        pairs += [(name, value, now.get(name)) for name, value in (then.facts.get(part) or {}).items()]
    return [{"what": name, "then": was, "now": now} for name, was, now in pairs if was != now]
