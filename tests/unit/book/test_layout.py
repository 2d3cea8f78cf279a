"""Where takes lie in a chapter, and that their speech stays as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from tests.support import books
from tests.support.books import take_samples
from vvbatch.book.chapter import mastered
from vvbatch.book.contents import RATE, Break, Chapter, Speech
from vvbatch.book.edges import Edges, find_edges, long_silences
from vvbatch.book.gains import Levels
from vvbatch.book.layout import lay_out
from vvbatch.book.limiter import Limiter
from vvbatch.book.measures import Measure, measure, read_item
from vvbatch.book.pauses import Pauses
from vvbatch.book.presets import PRESETS, Preset
from vvbatch.book.room_tone import BANDS, Tone

LEVELS = Levels({"emma": 3.0, "carter": -1.0}, {"-4.50": 9.0}, {}, {})
WHITE = Tone(-70.0, tuple([-24] * BANDS))


def measured_take(frames: int, before: int, after: int) -> Measure:
    """A take whose silence and speech are known, without audio."""
    edge = round(0.06 * RATE)
    start, stop = max(0, before - edge), min(frames, frames - after + edge)
    return Measure(frames, start, before, frames - after, stop, (), b"", b"", b"", 0, b"")


def test_edges_are_trimmed_to_60_ms_and_speech_is_found_within_a_frame() -> None:
    found = find_edges(take_samples(2.0, before_s=0.5, after_s=0.3))
    assert found.speech_start == pytest.approx(0.5 * RATE, abs=120)
    assert found.speech_stop == pytest.approx(2.5 * RATE, abs=120)
    assert (found.before, found.after) == (1440, 1440)


def test_nothing_is_cut_from_a_take_that_begins_and_ends_in_speech() -> None:
    samples = take_samples(1.0, before_s=0, after_s=0)
    found = find_edges(samples)
    assert (found.start, found.stop) == (0, len(samples))
    assert found.before < 240 and found.after < 240  # the first syllable may rise for some milliseconds


def test_a_take_of_digital_silence_or_of_no_samples_is_kept_whole() -> None:
    assert find_edges(np.zeros(5000, np.float32)) == Edges(0, 0, 5000, 5000)
    assert find_edges(np.zeros(3, np.float32)) == Edges(0, 0, 3, 3)


def test_a_single_click_before_speech_is_no_speech() -> None:
    samples = take_samples(1.0, before_s=0.5)
    samples[2000:2040] = 0.05
    assert find_edges(samples).speech_start == pytest.approx(0.5 * RATE, abs=120)


def test_the_pause_between_two_takes_is_exact_from_sound_to_sound(tmp_path: Path) -> None:
    first = books.speech(tmp_path, "a", take_samples(1.0, 1, after_s=0.02), break_after=Break.PARAGRAPH)
    second = books.speech(tmp_path, "b", take_samples(1.0, 2, before_s=0.4))
    chapter = Chapter(1, "One", (first, second))
    layout = lay_out(chapter, [measure(item, None) for item in chapter.items], Pauses(), PRESETS["audiobook"])
    assert layout.speech[0][0] == 0.5 * RATE
    assert layout.speech[1][0] - layout.speech[0][1] == 0.7 * RATE
    assert layout.length % 2400 == 0 and layout.length - layout.speech[1][1] == pytest.approx(2.0 * RATE, abs=2400)


def test_a_pause_shorter_than_the_edges_cuts_the_edges_and_never_speech(tmp_path: Path) -> None:
    first = books.speech(tmp_path, "a", take_samples(1.0, 1), pause_after_s=0.05)
    second = books.speech(tmp_path, "b", take_samples(1.0, 2), pause_after_s=0.0)
    third = books.speech(tmp_path, "c", take_samples(1.0, 3))
    chapter = Chapter(1, "One", (first, second, third))
    measures = [measure(item, None) for item in chapter.items]
    layout = lay_out(chapter, measures, Pauses(), PRESETS["audiobook"])
    assert layout.speech[1][0] - layout.speech[0][1] == 0.05 * RATE
    assert layout.speech[2][0] == layout.speech[1][1]
    for span, known in zip(layout.spans, measures, strict=True):
        assert span.source <= known.speech_start and span.source + span.length >= known.speech_stop


def test_edges_fade_into_each_other_only_where_it_is_asked_and_never_speech(tmp_path: Path) -> None:
    first = books.speech(tmp_path, "a", take_samples(1.0, 1, floor_dbfs=-55.0), pause_after_s=0.03)
    second = books.speech(tmp_path, "b", take_samples(1.0, 2, floor_dbfs=-55.0), pause_after_s=0.5)
    third = books.speech(tmp_path, "c", take_samples(1.0, 3, before_s=0), pause_after_s=0.0)
    fourth = books.speech(tmp_path, "d", take_samples(1.0, 4, before_s=0))
    chapter = Chapter(1, "One", (first, second, third, fourth))
    measures = [measure(item, None) for item in chapter.items]
    preset = structs.replace(PRESETS["raw"], crossfade_ms=20)
    layout = lay_out(chapter, measures, Pauses(), preset)
    one, other, apart, last = layout.spans
    assert one.stop - other.start == one.fade_out == other.fade_in == 0.02 * RATE
    assert layout.speech[1][0] - layout.speech[0][1] == 0.03 * RATE
    assert apart.start > other.stop and last.start >= apart.stop - measures[3].edges.before
    levels = Levels({}, {}, {}, {})
    made = np.concatenate(list(mastered(chapter, layout, levels, "", None)))
    assert len(made) == layout.length
    for span, known in zip(layout.spans, measures, strict=True):
        shift = span.start - span.source
        inside = slice(known.speech_start, known.speech_stop)
        wanted = read_item(chapter.items[span.item])[inside]
        assert np.array_equal(made[inside.start + shift : inside.stop + shift], wanted)
    a, b = read_item(first), read_item(second)
    middle = other.start + 240
    half = a[middle - one.start + one.source] * 239.5 / 480 + b[middle - other.start + other.source] * 240.5 / 480
    assert made[middle] == pytest.approx(half, abs=1e-6)


CROSSFADED = structs.replace(PRESETS["audiobook"], crossfade_ms=30)
take_shapes = st.tuples(st.integers(2400, 60_000), st.integers(0, 5000), st.integers(0, 5000))
spoken = st.builds(
    lambda voice, kind, pause, title: ("x", voice, kind, pause, title),
    st.sampled_from(["emma", "carter"]),
    st.sampled_from(list(Break)),
    st.none() | st.floats(0, 3),
    st.booleans(),
)


@example(
    [((2400, 0, 1), ("x", "emma", Break.PART, 0.0, False)), ((2400, 1, 0), ("x", "emma", Break.PART, None, False))],
    CROSSFADED,
)
@given(
    st.lists(st.tuples(take_shapes, spoken), min_size=1, max_size=8), st.sampled_from([*PRESETS.values(), CROSSFADED])
)
def test_any_takes_are_joined_in_order_without_overlap_and_with_the_stated_pauses(
    takes: list[tuple[tuple[int, int, int], tuple[str, str, Break, float | None, bool]]], preset: Preset
) -> None:
    items, measures = [], []
    for index, ((length, before, after), (_, voice, kind, pause, title)) in enumerate(takes):
        items.append(Speech(f"l{index}", Path("x"), "0", voice, "", title, kind, pause))
        measures.append(measured_take(length + before + after, before, after))
    chapter, pauses = Chapter(1, "One", tuple(items)), Pauses()
    layout = lay_out(chapter, measures, pauses, preset)
    position = 0
    for span, known in zip(layout.spans, measures, strict=True):
        assert span.start >= position - round(preset.crossfade_ms / 1000 * RATE) and span.length > 0
        assert span.source <= known.speech_start and known.speech_stop <= span.source + span.length
        assert span.fade_in <= known.speech_start - span.source
        assert span.fade_out <= span.source + span.length - known.speech_stop
        position = span.stop
    assert layout.length >= position and layout.length % 2400 == 0
    assert layout.speech[0][0] == round(preset.head_s * RATE)
    for index in range(len(items) - 1):
        silence = layout.speech[index + 1][0] - layout.speech[index][1]
        assert silence == round(pauses.after(items[index], items[index + 1]) * RATE)


@pytest.mark.parametrize("tone", [None, WHITE])
def test_no_sample_within_speech_changes_but_by_the_gain_and_the_logged_windows(
    tmp_path: Path, tone: Tone | None
) -> None:
    chapter = books.chapter(tmp_path, 1, lines=6)
    measures = [measure(item, None) for item in chapter.items]
    layout = lay_out(chapter, measures, Pauses(), PRESETS["audiobook"])
    levels = Levels(LEVELS.voices, LEVELS.book, {"emma": tone} if tone else {}, {})
    limiter = Limiter(-4.5)
    made = np.concatenate(list(mastered(chapter, layout, levels, "-4.50", limiter)))
    assert len(made) == layout.length and limiter.windows
    limited = np.zeros(layout.length, bool)
    for window in limiter.windows:
        limited[window.start : window.stop] = True
    assert 0 < limited.mean() < 0.5
    covered = np.zeros(layout.length, bool)
    for span, known in zip(layout.spans, measures, strict=True):
        item = chapter.items[span.item]
        gain = np.float32(10 ** (levels.gain_db(item, "-4.50") / 20))
        shift = span.start - span.source
        inside = slice(known.speech_start + shift, known.speech_stop + shift)
        wanted = read_item(item)[known.speech_start : known.speech_stop] * gain
        untouched = ~limited[inside]
        assert untouched.any() and np.array_equal(made[inside][untouched], wanted[untouched])
        assert np.all(np.abs(made[inside][~untouched]) <= np.abs(wanted[~untouched]))
        covered[span.start : span.stop] = True
    between = made[~covered]
    level = 20 * np.log10(np.sqrt(np.mean(between[between != 0] ** 2))) if tone else -np.inf
    assert level == pytest.approx(-65.0, abs=0.5) if tone else not between.any()


def test_a_silence_within_a_take_is_shortened_only_where_it_is_asked_for(tmp_path: Path) -> None:
    samples = np.concatenate([take_samples(1.0, 1, after_s=0), np.zeros(3 * RATE, np.float32), take_samples(1.0, 2)])
    take = books.speech(tmp_path, "a", samples)
    chapter = Chapter(1, "One", (take,))
    assert measure(take, None).cuts == ()
    shortened = measure(take, 1.0)
    (cut,) = shortened.cuts
    assert cut[1] - cut[0] == pytest.approx(2.2 * RATE, abs=500)  # 3.2 s with the second take's own lead
    layout = lay_out(chapter, [shortened], Pauses(), PRESETS["raw"])
    made = np.concatenate(list(mastered(chapter, layout, Levels({}, {}, {}, {}), "", None)))
    one, other = layout.spans
    read = read_item(take)
    assert np.array_equal(
        made[one.start + 1440 : one.stop - 120], read[one.source + 1440 : one.source + one.length - 120]
    )
    assert np.array_equal(
        made[other.start + 120 : other.stop - 1440], read[other.source + 120 : other.source + other.length - 1440]
    )


@settings(deadline=None)
@given(st.integers(0, 6), st.floats(0.3, 2.0))
def test_shortened_silences_are_never_longer_than_stated(seed: int, longest: float) -> None:
    quiet = np.zeros(round((0.2 + seed * 0.7) * RATE), np.float32)
    samples = np.concatenate([books.speech_like(0.6, seed), quiet, books.speech_like(0.6, seed + 1)])
    edges = find_edges(samples)
    cut = sum(stop - start for start, stop in long_silences(samples, edges, longest))
    left = len(quiet) - cut
    assert left <= longest * RATE + 240
    assert left >= min(len(quiet), longest * RATE - 240)
