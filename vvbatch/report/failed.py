"""A failed line in words: its place in the script, its text, what was wrong with it, and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import PurePath

from vvbatch.ledger.states import Trouble
from vvbatch.ledger.views import Failure
from vvbatch.report.tables import shortened

TEXT_SHOWN = 60

SOUND = ("voice", "naturalness", "background", "bandwidth", "noise_floor", "music")
"""Checks whose failure a voice's recording may cause, where no other check fails."""
BROKEN = ("finite", "not_empty", "sample_rate", "channels", "readable", "dc_offset")


@cache
def sentences() -> tuple[re.Pattern[str], set[str]]:
    """What finds the name of a check at the end of its sentence, and the verbs that sentences begin with."""
    from vvbatch.qc.sentences import MEANINGS  # here: only what has failed waits for numpy

    names = re.compile(rf" \(({'|'.join(MEANINGS)})\)")
    return names, {sentence.split(" ", 1)[0] for sentence in MEANINGS.values()}


def failed_words(failure: Failure) -> str:
    """`chapter 2, line 14 (book.yaml:88): 'She never came back.' was cut short: …; 3 takes`."""
    names, verbs = sentences()
    error = names.sub("", failure.error or "failed without a reason")
    joint = " " if error.split(" ", 1)[0] in verbs else ": "
    return f"{place(failure)}: '{shortened(' '.join(failure.text.split()), TEXT_SHOWN)}'{joint}{error}"


def place(failure: Failure) -> str:
    """`chapter 2, line 14 (book.yaml:88)`; the line's number is that of its file."""
    from vvbatch.batch.output import IMPORTED_SCRIPT  # here: a status without a failure does not wait for these
    from vvbatch.script.source import SUFFIXES

    chapter = f"chapter {failure.chapter}, " if failure.chapter > 1 or failure.chapter_title else ""
    script = PurePath(failure.script)
    name = script.name if script.suffix.lower() in SUFFIXES else IMPORTED_SCRIPT
    where = f" ({name}:{failure.script_line})" if failure.script_line and script.suffix else ""
    return f"{chapter}line {failure.number}{where}"


def remedies(batch: str, failures: Iterable[Failure]) -> list[tuple[str, str]]:
    """What helps, by cause, each once: what to do, and the command or the place."""
    found: dict[tuple[str, str], None] = {}
    for failure in failures:
        found.setdefault(remedy(batch, failure))
    return list(found)


def remedy(batch: str, failure: Failure) -> tuple[str, str]:
    again = f"vvbatch retry {batch}"
    checks = set(sentences()[0].findall(failure.error or ""))
    if failure.trouble == Trouble.INPUT:
        return "correct", "the script, and run it again: what is rendered is not rendered again"
    if failure.trouble == Trouble.RESOURCE:
        return "make room", f"on that disk, then  {again}"
    if failure.trouble == Trouble.QC and checks and checks <= set(SOUND):
        return "listen", f"to the voice's recording (vvbatch voices check), then  {again}"
    if failure.trouble in (Trouble.QC, None) and not checks & set(BROKEN):
        return "try again", f"{again}  with other seeds; reword a sentence that fails again"
    return "find the cause", f"vvbatch doctor, then  {again}"
