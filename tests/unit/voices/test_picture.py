from __future__ import annotations

import numpy as np

from vvbatch.engine.contract import SAMPLE_RATE
from vvbatch.voices.picture import WIDTH, columns_of, seconds_marked, waveform


def test_all_voices_have_one_time_axis() -> None:
    assert columns_of(10 * SAMPLE_RATE, 10 * SAMPLE_RATE) == WIDTH
    assert columns_of(5 * SAMPLE_RATE, 10 * SAMPLE_RATE) == WIDTH / 2
    assert columns_of(0, 10 * SAMPLE_RATE) == 1
    assert waveform(np.ones(100), columns_of(1, 2)).shape[1] == WIDTH / 2


def test_the_axis_is_marked_with_round_seconds() -> None:
    assert seconds_marked(3.2) == [0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert seconds_marked(10) == [0, 2, 4, 6, 8, 10]
    assert seconds_marked(60) == [0, 10, 20, 30, 40, 50, 60]
    assert seconds_marked(0) == [0]
