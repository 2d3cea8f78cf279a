"""Coverage-guided fuzzing of the script parsers and the audio readers: `make fuzz SECONDS=600`.

`python -m tools.fuzz CORPUS [libFuzzer's flags]`; an input's first byte says which reader gets the rest. Random
bytes hardly pass the first checks: the corpus begins with `seeds`, and half of the changes know what a script, a table
or a sound file is made of. `python -m tools.fuzz --replay CORPUS` gives the readers all that is in a corpus
again; under `coverage run` it shows how deep the inputs get.
"""

from __future__ import annotations

import io
import json
import random
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tests.conftest import ROOT

KINDS = ("yaml", "csv", "txt", "wav")
ODD = [
    "", " ", "\t", "a", "narrator", "mara", "Mara", "default", "carter", "alice", "9" * 40, "-1", "0", "1", "1.5",
    "1e999", ".5", "0x10", ".nan", "~", "null", "yes", "2024-01-01", "[", "]", "{", "}", "&a", "*a",
    "!!python/name:os.system", "|", ">", "'", '"', "\\", "\x00", "\x85", "\u2028", "\u202e", "\ufeff", "\ud800", "ü",
    "e\u0301", "声", "👩\u200d👩\u200d👧", "con", "../..", "a/b", "x" * 300, "Speaker 1:", "#", "---", "...", "=1+1",
]  # fmt: skip
KEYS = [
    "version", "title", "model", "defaults", "speakers", "chapters", "lines", "text", "dialogue", "id", "chapter",
    "speaker", "voice", "seed", "cfg_scale", "steps", "takes", "max_duration_s", "pause_after_s",
]  # fmt: skip


def sound(container: str, subtype: str, rate: int = 24_000, channels: int = 1, frames: int = 480) -> bytes:
    file = io.BytesIO()
    samples = np.sin(np.arange(frames * channels) / 20).reshape(frames, channels).astype(np.float32) / 2
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def packed(container: str, codec: str) -> bytes:
    """A recording in one of FFmpeg's containers."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=24_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 24_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()


def seeds() -> Iterator[tuple[str, bytes]]:
    """(kind, content) of good and nearly good inputs."""
    for file in sorted((ROOT / "examples").iterdir()):
        if file.suffix[1:] in KINDS:
            yield file.suffix[1:], file.read_bytes()
    full = {
        "version": 1,
        "title": "T",
        "model": "draft",
        "defaults": {"voice": "carter", "pause_after_s": 0.35, "cfg_scale": 1.3, "steps": 10, "takes": 2},
        "speakers": {"mara": {"voice": "alice"}, "tom": {"voice": "frank"}},
        "chapters": [{"title": "One", "lines": ["a b", {"mara": "c d"}, {"id": "x", "text": "e f", "seed": 11}]}],
    }
    yield "yaml", json.dumps(full).encode()
    yield (
        "yaml",
        b"version: 1\nlines:\n  - dialogue:\n      - mara: You came.\n      - narrator: >-\n          I did.\n",
    )
    yield "yaml", b"version: 1\nlines: ['one', \"two\\n\", three]  # c\n".decode().encode("utf-16")
    yield "csv", b'id,chapter,speaker,voice,text,seed,takes\n1,One,mara,alice,"a, ""b""",3,2\n'
    yield "csv", "\ufefftext;speaker\nGrüße;mara\n".encode()
    yield "csv", "text\tpause_after_s\na b\t1.5\n".encode("utf-16")
    yield "txt", b"Speaker 1: One.\nSpeaker 2: Two.\n\nSpeaker 1: Three.\n"
    yield "txt", b"One paragraph.\n\nAnother one.\n"
    for container, subtype in [
        ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("WAVEX", "PCM_16"),
        ("RF64", "PCM_16"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ]:  # fmt: skip
        yield "wav", sound(container, subtype)
    yield "wav", sound("WAV", "PCM_16", rate=8000, channels=2)
    yield "wav", sound("WAV", "PCM_16", frames=0)
    for container, codec in [("mp4", "aac"), ("matroska", "aac"), ("adts", "aac")]:
        yield "wav", packed(container, codec)


# Changes that know the format


def changed(data: bytes, longest: int, seed: int) -> bytes:
    dice = random.Random(seed)
    kind = KINDS[data[0] % len(KINDS)] if data else dice.choice(KINDS)
    body = data[1:]
    if kind == "wav":
        body = changed_chunks(body, dice)
    else:
        body = {"yaml": some_yaml, "csv": some_csv, "txt": some_text}[kind](body, dice)
    return (bytes([KINDS.index(kind)]) + body)[:longest]


def some_yaml(body: bytes, dice: random.Random) -> bytes:
    """A line taken out, doubled, moved in or out, or a whole new script of known keys and odd values."""
    if dice.random() < 0.4:
        return json.dumps(some_script(dice), ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")
    lines = body.decode("utf-8", "replace").split("\n")
    place = dice.randrange(len(lines))
    old = lines[place]
    lines[place : place + 1] = dice.choice(
        [
            [],
            [old, old],
            ["  " + old],
            [old[2:]],
            [old + dice.choice(ODD)],
            [f"{dice.choice(KEYS)}: {dice.choice(ODD)}", old],
        ]
    )
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def some_script(dice: random.Random) -> Any:
    whole = {"version": 1, dice.choice(["lines", "chapters"]): [some_line(dice) for _ in range(dice.randrange(5))]}
    if "chapters" in whole:
        whole["chapters"] = [{"title": dice.choice(ODD), "lines": whole["chapters"]}]
    if dice.random() < 0.5:
        whole["speakers"] = {
            dice.choice(ODD): dice.choice([dice.choice(ODD), {"voice": dice.choice(ODD)}]) for _ in "ab"
        }
    if dice.random() < 0.5:
        whole["defaults"] = {dice.choice(KEYS): some_value(dice)}
    if dice.random() < 0.3:
        whole[dice.choice([*KEYS, *ODD])] = some_value(dice)
    return whole


def some_line(dice: random.Random) -> Any:
    words = f"{dice.choice(ODD)} word {dice.choice(ODD)}"
    dialogue = [{dice.choice(["mara", "narrator", dice.choice(ODD)]): words} for _ in range(dice.randrange(6))]
    long = {"text": words, dice.choice(KEYS): some_value(dice), dice.choice(KEYS): some_value(dice)}
    return dice.choice(
        [words, {"mara": words}, long, {"dialogue": dialogue}, {"dialogue": dialogue, "id": dice.choice(ODD)}]
    )


def some_value(dice: random.Random) -> Any:
    return dice.choice(
        [dice.choice(ODD), dice.randrange(-2, 99), dice.random() * 30, None, True, [], {}, ["a"], {"a": 1}]
    )


def some_csv(body: bytes, dice: random.Random) -> bytes:
    if dice.random() < 0.5:
        delimiter = dice.choice(",;\t")
        columns = dice.sample(KEYS[7:], dice.randrange(1, 6)) + ["text"] * (dice.random() < 0.9)
        rows = [[dice.choice([*ODD, "some words"]) for _ in columns] for _ in range(dice.randrange(5))]
        quoted = [[f'"{cell}"' if dice.random() < 0.3 else cell for cell in row] for row in rows]
        text = dice.choice(["\n", "\r\n", "\r"]).join(delimiter.join(row) for row in [columns, *quoted])
        return text.encode(dice.choice(["utf-8", "utf-8-sig", "utf-16"]), "surrogatepass")
    return some_text(body, dice)


def some_text(body: bytes, dice: random.Random) -> bytes:
    text = body.decode("utf-8", "replace")
    place = dice.randrange(len(text) + 1)
    gone = dice.randrange(4)
    piece = dice.choice([*ODD, "Speaker 1: ", "Speaker 12: ", "\n\n", "\n", '"', ",", ";"])
    return (text[:place] + piece + text[place + gone :]).encode("utf-8", "surrogatepass")


def changed_chunks(body: bytes, dice: random.Random) -> bytes:
    """A field of a RIFF or AIFF header, or a chunk's size, order or presence; of another format some bytes early on."""
    if body[:4] not in (b"RIFF", b"FORM", b"RF64") or dice.random() < 0.3:
        wild = bytearray(body or sound("WAV", "PCM_16"))
        for _ in range(dice.randrange(1, 5)):
            wild[dice.randrange(min(len(wild), 200))] = dice.choice([0, 1, 127, 128, 255, dice.randrange(256)])
        return bytes(wild[: dice.randrange(len(wild))] if dice.random() < 0.2 else wild)
    order = ">" if body[:4] == b"FORM" else "<"
    chunks, place = [], 12
    while place + 8 <= len(body):
        name, size = struct.unpack(f"{order}4sI", body[place : place + 8])
        chunks.append((name, size, body[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    for _ in range(dice.randrange(1, 3)):
        if not chunks:
            break
        at = dice.randrange(len(chunks))
        name, size, content = chunks[at]
        what = dice.randrange(6)
        if what == 0:
            chunks[at] = (name, dice.choice([0, 1, size - 1, size + 1, 0x7FFFFFFF, 0xFFFFFFFF]) % 2**32, content)
        elif what == 1 and content:
            field = dice.randrange(0, min(len(content), 40), 2)
            value = struct.pack(f"{order}H", dice.choice([0, 1, 2, 3, 6, 16, 24, 32, 255, 0x7FFF, 0xFFFE, 0xFFFF]))
            chunks[at] = (name, size, content[:field] + value + content[field + 2 :])
        elif what == 2:
            chunks.insert(
                at,
                (dice.choice([b"LIST", b"fact", b"fmt ", b"data", b"COMM", b"SSND", b"ds64", b"\0\0\0\0"]), 4, b"abcd"),
            )
        elif what == 3:
            del chunks[at]
        elif what == 4:
            chunks.append(chunks.pop(at))
        else:
            chunks[at] = (name, size, content[: dice.randrange(len(content) + 1)])
    whole = b"".join(struct.pack(f"{order}4sI", n, s) + c + b"\0" * (len(c) % 2) for n, s, c in chunks)
    return body[:4] + struct.pack(f"{order}I", 4 + len(whole)) + body[8:12] + whole


# The readers


def one_input(data: bytes, folder: Path) -> str:
    """Give an input to its readers; returns `read`, or why it was refused. Raises what no reader may raise."""
    from vvbatch import audio
    from vvbatch.script import parse
    from vvbatch.script.model import ScriptError
    from vvbatch.voices import InvalidVoice
    from vvbatch.voices.decode import decode
    from vvbatch.voices.library import refuse_unfit

    kind = KINDS[data[0] % len(KINDS)] if data else "yaml"
    path = folder / f"fuzz.{kind}"
    path.write_bytes(data[1:])
    if kind != "wav":
        try:
            parse(path)
        except ScriptError as error:
            return str(error)
        return "read"
    said = "read"
    try:
        samples, rate = audio.read(path)
        assert rate > 0 and samples.size <= audio.files.MAX_SAMPLES
    except audio.AudioError as error:
        said = str(error)
    for read in (refuse_unfit, decode):
        try:
            read(path)
        except InvalidVoice as error:
            str(error)
    return said


def put_seeds(corpus: Path) -> None:
    corpus.mkdir(parents=True, exist_ok=True)
    for number, (kind, content) in enumerate(seeds()):
        (corpus / f"seed-{number:02d}-{kind}").write_bytes(bytes([KINDS.index(kind)]) + content)


def replay(corpus: Path) -> None:
    read = dict.fromkeys(KINDS, 0)
    answers_by_kind: dict[str, set[str]] = {kind: set() for kind in KINDS}
    files = sorted(corpus.iterdir())
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            data = file.read_bytes()
            kind = KINDS[data[0] % len(KINDS)] if data else "yaml"
            said = one_input(data, Path(folder))
            read[kind] += said == "read"
            answers_by_kind[kind].add(said)
    answers = {kind: len(different) for kind, different in answers_by_kind.items()}
    print(f"{len(files)} inputs; read without a problem: {read}; different answers: {answers}")


def fuzz(corpus: Path, flags: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["vvbatch"]):
        import vvbatch.audio
        import vvbatch.script
        import vvbatch.script.csv_script
        import vvbatch.script.text_script
        import vvbatch.script.yaml_script
        import vvbatch.voices.decode
        import vvbatch.voices.library  # noqa: F401
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))

    def mutate(data: bytes, longest: int, seed: int) -> bytes:
        return changed(data, longest, seed) if seed % 2 else atheris.Mutate(data, longest)

    argv = [sys.argv[0], str(corpus), "-max_len=4096", f"-dict={Path(__file__).with_suffix('.dict')}", *flags]
    atheris.Setup(argv, lambda data: one_input(data, folder) and None, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1] == "--replay":
        replay(Path(sys.argv[2]))
    else:
        put_seeds(Path(sys.argv[1]))
        fuzz(Path(sys.argv[1]), sys.argv[2:])
