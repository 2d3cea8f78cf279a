"""The listening models of a profile, loaded on request: only the modules of the requested models are imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vvbatch.listening.contract import LISTEN, REMEDY, Clip, ListeningUnavailable, Model, could_not_check
from vvbatch.profiles import Listen
from vvbatch.qc.check import Check


class ListeningModels:
    """The requested models, each loaded once."""

    def __init__(self, models: Mapping[Listen, Model]) -> None:
        self.models = models

    @classmethod
    def open(cls, listen: Sequence[Listen] = LISTEN, threads: int = 2) -> ListeningModels:
        """Load the models for `listen`. Raises ListeningUnavailable."""
        if unknown := [name for name in listen if name not in LISTEN]:
            raise ListeningUnavailable(f"unknown listening model {unknown[0]!r}; allowed: {', '.join(LISTEN)}")
        try:
            return cls(dict(_open(tuple(dict.fromkeys(listen)), threads)))
        except ImportError as error:
            raise ListeningUnavailable(f"the package {error.name}, which checks takes, is missing: {REMEDY}") from error

    @property
    def versions(self) -> dict[str, str]:
        return {name: version for model in self.models.values() for name, version in model.versions.items()}

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        """A model that raises on a clip fails only its own check of that clip, with the reason in the detail."""
        by_model = [_checks(name, model, clips) for name, model in self.models.items()]
        return [[check for checks in by_model for check in checks[index]] for index in range(len(clips))]


def _checks(name: Listen, model: Model, clips: Sequence[Clip]) -> list[list[Check]]:
    try:
        return model.check(clips)
    except Exception as error:  # of any library, on any audio or text
        if len(clips) == 1:
            return [[could_not_check(name, error)]]
        return [checks for clip in clips for checks in _checks(name, model, [clip])]


def _open(listen: Sequence[Listen], threads: int) -> Iterator[tuple[Listen, Model]]:
    """Raises ListeningUnavailable and ImportError."""
    dnsmos = None
    if "naturalness" in listen or "music" in listen:
        from vvbatch.listening.dnsmos import Dnsmos, Music, Naturalness

        dnsmos = Dnsmos.open(threads)
    for name in listen:
        if name == "words":
            from vvbatch.listening.words import Words

            yield name, Words.open(threads)
        elif name == "voice":
            from vvbatch.listening.voice import Voice

            yield name, Voice.open(threads)
        elif dnsmos and name == "naturalness":
            yield name, Naturalness(dnsmos)
        elif dnsmos and name == "music":
            from vvbatch.listening.vad import Vad

            yield name, Music(dnsmos, Vad())
