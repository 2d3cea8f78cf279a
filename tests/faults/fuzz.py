"""Coverage-guided fuzzing of the script parsers and the audio readers: `make fuzz SECONDS=600`, with atheris installed.

The first byte says which reader gets the rest.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["vvbatch"]):
    from vvbatch import audio
    from vvbatch.script import parse
    from vvbatch.script.model import ScriptError
    from vvbatch.voices import UnusableVoice
    from vvbatch.voices.library import refuse_unfit

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))
KINDS = ("yaml", "csv", "txt", "wav")


def one_input(data: bytes) -> None:
    kind = KINDS[data[0] % len(KINDS)] if data else "yaml"
    path = FOLDER / f"fuzz.{kind}"
    path.write_bytes(data[1:])
    if kind != "wav":
        try:
            parse(path)
        except ScriptError as error:
            str(error)
        return
    try:
        audio.read(path)
    except audio.AudioError as error:
        str(error)
    try:
        refuse_unfit(path)
    except UnusableVoice as error:
        str(error)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
