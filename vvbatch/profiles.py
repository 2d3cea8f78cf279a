"""Profiles: YAML files in `configs/`, each with a model and the frozen parameters that a take's sound depends on."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import yaml

from vvbatch.book.pauses import Pauses, Seconds
from vvbatch.errors import InputError
from vvbatch.script.model import Normalise

MOST_TAKES = 20  # of a line
SLOTS = 16  # of a profile that does not say otherwise
AUTO = 0  # slots: as many as suit the machine that renders, see `vvbatch.models.slots`


class ProfileError(InputError):
    """A profile is unknown or its file is wrong; the message names the file, the value and what is allowed."""


class UnknownProfile(ProfileError):
    """No profile has the name: `found` names it, `allowed` has those that there are."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"{found}: {allowed}")
        self.found, self.allowed = found, allowed


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown fields are refused."""


class Setting(Strict, frozen=True, kw_only=True):
    """A generation parameter: the frozen value, and the range that a script may set."""

    golden: float
    min: float
    max: float


class Generation(Strict, frozen=True, kw_only=True):
    cfg_scale: Setting
    steps: Setting
    temperature: Setting = Setting(golden=0.0, min=0.0, max=0.0)
    voice_seed: int | None = None
    """Seed of the noise with which voice prompts are encoded. None: the seed of each line, as in the original. With a
    number all lines share the encoded prompt, which is then computed once for a batch instead of once for a line."""


class Model(Strict, frozen=True, kw_only=True):
    repo: str
    revision: str
    tokenizer_repo: str | None = None
    tokenizer_revision: str | None = None


class PartWords(Strict, frozen=True, kw_only=True):
    """How a long text is cut (`vvbatch.speech_text.parts`): words of the smallest, usual and largest part."""

    min: int = 12
    best: int = 80
    max: int = 160


class TextLimits(Strict, frozen=True, kw_only=True):
    max_chars: int  # of a line, or of a part where `part_words` is on
    max_speakers: int = 4
    normalise: Normalise = "off"  # a script may say otherwise
    part_words: PartWords | None = None  # `off`: lines are rendered whole


class QcLimits(Strict, frozen=True, kw_only=True):
    """Limits of the checks in `vvbatch.qc`; levels in dBFS, times in seconds."""

    dc_offset: float = 0.01  # mean of the samples, full scale is 1
    clipped_share: float = 0.001  # of the samples, 0 to 1
    silence_dbfs: float = -45.0  # what is quieter in a 10 ms frame is silence
    leading_silence_s: float = 1.5
    trailing_silence_s: float = 2.5
    inner_silence_s: float = 3.6
    speech_share: float = 0.2  # of the 10 ms frames, 0 to 1; one second of silence is not counted
    start_level_db: float = -3.0  # the first 20 ms against the loud parts of the speech
    end_level_db: float = -7.0  # the last 20 ms against the loud parts of the speech
    true_peak_dbtp: float = 0.0  # between the samples, after the take was brought to its level
    loudness_min_lufs: float = -45.0
    loudness_max_lufs: float = -6.0
    noise_floor_dbfs: float = -40.0  # the quietest twentieth of the 10 ms frames
    clicks: float = 1.0  # samples where the wave bends 30 times as sharply as around it, 15 times where chunks meet
    dropouts: float = 0.0  # holes of 5 ms and more within loud speech
    bandwidth_hz: float = 3600.0  # up to where the spectrum lies within 60 dB of its top; a telephone has 3400
    repeated_s: float = 0.3  # the longest passage of 0.8 s or more that comes twice, over what the text repeats
    # Correlation of mel spectra over 0.8 s from which on two passages are the same: of human speech up to 0.80.
    repeat_likeness: float = 0.83
    s_per_syllable_min: float = 0.07  # seconds from first to last sound
    s_per_syllable_max: float = 0.6
    s_per_word_max: float = 1.0
    pace_deviations: float = 5.0  # from the other takes' seconds per syllable, in their robust standard deviations
    min_s_per_char: float = 0.03  # seconds from first to last sound per character as spoken (`vvbatch.qc.text`)
    max_s_per_char: float = 0.15
    duration_grace_s: float = 1.0  # under and over what the characters allow: short texts vary most
    wer: float = 0.25  # words missing, added or wrong, per word of the text
    said_again: float = 0.0  # words of the longest phrase that was recognised more often than the text has it
    word_likeness: float = 0.3  # similarity of the first and of the last words to the transcript, 0 to 1
    left_out: float = 0.0  # words of the longest phrase of the text that is not in the transcript
    voice_similarity: float = 0.6  # cosine of the embeddings of the take and of its voice prompt
    naturalness_mos: float = 2.5  # DNSMOS P.835 overall quality, 1 to 5
    background_mos: float = 3.0  # DNSMOS P.835 background, 1 (very intrusive) to 5 (not noticeable)
    music_share: float = 0.1  # of the sound that is not speech, 0 to 1; up to `music_grace_s` seconds are not counted
    music_grace_s: float = 1.0


Listen = Literal["words", "voice", "naturalness", "music"]
"""What the listening models check (`vvbatch.listening`)."""


class Retries(Strict, frozen=True, kw_only=True):
    """How often a line is tried again, by kind of trouble. Bad input is never tried again."""

    qc: int = 2  # additional takes when takes fail a check: at once, each with another seed
    engine: int = 1  # the engine gave no audio; any worker tries again
    crash: int = 2  # its worker died while it rendered only this line
    crashed_with_others: int = 1  # its worker died while it rendered other lines too; after that it is rendered alone
    timeout: int = 1
    listen: int = 1  # the listening models gave no verdict
    resource: int = 20  # its file could not be written


class DelaysS(Strict, frozen=True, kw_only=True):
    """Seconds before a line is tried again, by kind of trouble."""

    engine: float = 0.0
    timeout: float = 5.0
    resource: float = 15.0


PATIENT_SLOTS = 16


class Patience(Strict, frozen=True, kw_only=True):
    """Seconds of wall time that are allowed with up to PATIENT_SLOTS slots; with more, in proportion to them."""

    step_s: float = 120.0  # one step of the engine
    step_s_per_char: float = 0.5  # added for each character of the longest text in a slot: the first step reads it
    take_s_per_char: float = 30.0  # of a whole take, added to step_s


class Profile(Strict, frozen=True, kw_only=True):
    name: str
    title: str
    engine: str
    model: Model
    device: str
    dtype: str
    fallback: list[str] = []  # devices to try in turn when `device` is not available
    threads: int | None = None  # None: as many as the machine has
    slots: int = SLOTS  # or AUTO
    takes: int = 1  # of each line that does not say otherwise; the best is kept
    keep_takes: bool = False  # also keep the audio of the others
    escalate: str | None = None  # the profile that renders the lines whose takes all fail
    generation: Generation
    text: TextLimits
    languages: list[str] = []  # that its voices speak, as ISO 639-1 codes; empty: not known
    qc: QcLimits = QcLimits()
    listen: list[Listen] = []
    """Checks by listening models before a take is kept; they need the extra `qc`."""
    retries: Retries = Retries()
    delays_s: DelaysS = DelaysS()
    patience: Patience = Patience()
    pauses: dict[str, Seconds] = {}
    """Seconds of silence in finished books, by the names of vvbatch.book.pauses: its voices may need others."""


def bundled(folder: str) -> Path:
    """`configs` or `voices`: inside the package when installed from a wheel, else at the top of the repository."""
    package = Path(__file__).parent
    inside = package / "bundled" / folder
    return inside if inside.is_dir() else package.parent / folder


def folders() -> list[Path]:
    """The folders of profiles: $VVBATCH_CONFIGS, then the bundled one. The first that has a name is used.

    Raises ProfileError.
    """
    named = os.environ.get("VVBATCH_CONFIGS")
    if not named:
        return [bundled("configs")]
    own = Path(os.path.expanduser(named))  # noqa: PTH111  pathlib raises for an unknown ~user
    if not own.is_dir():
        raise ProfileError(
            f"VVBATCH_CONFIGS={named}: {own.absolute()} is not a folder; set VVBATCH_CONFIGS to the folder of your "
            "profiles, or unset it"
        )
    return [own, bundled("configs")]


def names() -> list[str]:
    """Every profile's name, sorted. Raises ProfileError."""
    return sorted({file.stem for folder in folders() for file in folder.glob("*.yaml") if file.is_file()})


@cache
def load(name: str) -> Profile:
    """The profile `name`, validated strictly. Raises ProfileError."""
    return read(file_of(name))


def as_written_now(data: dict[str, object]) -> dict[str, object]:
    """A profile's data, in which keys of earlier versions have their present names, `slots: auto` is AUTO, and
    `part_words: off` is None."""
    if data.get("slots") == "auto":
        data = data | {"slots": AUTO}
    text = data.get("text")
    if isinstance(text, dict):  # YAML reads a bare `off` as false
        if text.get("normalise") is False:
            text = text | {"normalise": "off"}
        if text.get("part_words") in (False, "off"):
            text = text | {"part_words": None}
        data = data | {"text": text}
    retries = data.get("retries")
    if isinstance(retries, dict) and "company" in retries and "crashed_with_others" not in retries:
        renamed = {"crashed_with_others" if key == "company" else key: value for key, value in retries.items()}
        return data | {"retries": renamed}
    return data


def file_of(name: str) -> Path:
    """The file of the profile `name`. Raises UnknownProfile and ProfileError."""
    for folder in folders():
        file = folder / f"{name}.yaml"
        if name in names() and file.is_file():
            return file
    raise UnknownProfile(f"unknown profile {name!r}", f"there is {', '.join(names())}")


def read(file: Path) -> Profile:
    """Parse one profile file; its name is the file's. Raises ProfileError."""
    try:
        data = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        profile = msgspec.convert(as_written_now({"name": file.stem, **data}), Profile)
        msgspec.convert(profile.pauses, Pauses)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError, TypeError) as error:
        raise ProfileError(f"{file}: {error}") from error
    for setting in ("cfg_scale", "steps", "temperature"):
        value: Setting = getattr(profile.generation, setting)
        if not value.min <= value.golden <= value.max:
            raise ProfileError(f"{file}: {setting}: golden {value.golden} is not within {value.min} to {value.max}")
    if profile.slots < 1 and data.get("slots") != "auto":
        raise ProfileError(f"{file}: slots is {profile.slots}; allowed are auto, or 1 and more")
    if not 1 <= profile.takes <= MOST_TAKES:
        raise ProfileError(f"{file}: takes is {profile.takes}; allowed are 1 to {MOST_TAKES}")
    if (cut := profile.text.part_words) and not (1 <= cut.min <= cut.best <= cut.max and 2 * cut.min <= cut.max):
        raise ProfileError(
            f"{file}: part_words: min {cut.min}, best {cut.best}, max {cut.max}; allowed are "
            "1 <= min <= best <= max and 2 x min <= max"
        )
    return profile
