"""A listening model that raises fails its own check of the clip, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vvbatch.listening.contract import Clip
from vvbatch.listening.models import ListeningModels
from vvbatch.qc.check import Check, at_most

SAMPLES = np.zeros(100, np.float32)


class Raises:
    versions = {"raises": "1"}  # noqa: RUF012

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        if any(clip.text == "bad" for clip in clips):
            raise ValueError("out of its domain")
        return [[at_most("wer", 0.0, 0.25)] for _ in clips]


class Works:
    versions = {"works": "1"}  # noqa: RUF012

    def check(self, clips: Sequence[Clip]) -> list[list[Check]]:
        return [[at_most("music", 0.0, 0.1)] for _ in clips]


def test_a_model_that_raises_fails_only_its_own_check_of_that_clip() -> None:
    models = ListeningModels({"words": Raises(), "music": Works()})
    good, bad = models.check([Clip(SAMPLES, 24_000, "good"), Clip(SAMPLES, 24_000, "bad")])
    assert [(check.name, check.ok) for check in good] == [("wer", True), ("music", True)]
    assert [(check.name, check.ok) for check in bad] == [("words", False), ("music", True)]
    assert bad[0].detail == {"error": "ValueError: out of its domain"}
    assert bad[0].reason == "words could not be checked: ValueError: out of its domain"


def test_the_reason_of_a_failed_measurement_names_its_value_and_limit() -> None:
    assert at_most("wer", 0.5, 0.25).reason == (
        "has wrong words: 50% of them differ from the text where at most 25% may (wer)"
    )
