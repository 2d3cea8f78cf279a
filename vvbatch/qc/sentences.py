"""What a failed check means, in words a listener would use: one sentence for each check."""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "finite": "broken audio: samples that are no numbers",
    "not_empty": "no audio came",
    "sample_rate": "the sample rate is {value:g} Hz instead of {limit:g}",
    "channels": "{value:g} channels, {limit:g} expected",
    "readable": "the file cannot be read",
    "budget": "it did not stop by itself and was ended at the longest time allowed",
    "dc_offset": "the waveform is off centre by {value:.3g}, at most {limit:g} allowed",
    "clipping": "overdriven: {value:.2%} of it is cut off at the loudest level, at most {limit:.2%} allowed",
    "true_peak": "peaks of {value:.1f} dBTP, at most {limit:g} allowed",
    "level": "too quiet: {value:.0f} dBFS, at least {limit:g} expected",
    "loudness_min": "too quiet: {value:.1f} LUFS, at least {limit:g} expected",
    "loudness_max": "too loud: {value:.1f} LUFS, at most {limit:g} expected",
    "noise_floor": "noise or music under the speech: {value:.0f} dBFS where at most {limit:g} are expected",
    "clicks": "{value:.0f} clicks, at most {limit:g} allowed",
    "dropouts": "{value:.0f} dropouts, at most {limit:g} allowed",
    "bandwidth": "muffled: nothing above {value:,.0f} Hz, at least {limit:,.0f} expected",
    "repeated": "{value:.1f} s of it are repeated, at most {limit:.1f} s expected",
    "leading_silence": "{value:.1f} s of silence before the speech, at most {limit:g} s allowed",
    "trailing_silence": "{value:.1f} s of silence after the speech, at most {limit:g} s allowed",
    "inner_silence": "a silence of {value:.1f} s within the speech, at most {limit:g} s allowed",
    "speech_share": "mostly silence: {value:.0%} is speech, at least {limit:.0%} expected",
    "start_level": "it begins in the middle of a sound",
    "end_level": "it was cut off in the middle of a sound",
    "duration_min": "cut short: {value:.1f} s of speech, at least {limit:.1f} s expected",
    "duration_max": "too long: {value:.1f} s of speech, at most {limit:.1f} s expected",
    "s_per_syllable_min": "too fast, or words are missing: {value:.2f} s a syllable, at least {limit:g} s expected",
    "s_per_syllable_max": "too slow, or words were added: {value:.2f} s a syllable, at most {limit:g} s expected",
    "s_per_word_max": "too slow, or words were added: {value:.2f} s a word, at most {limit:g} s expected",
    "pace": "its pace is unlike that of the batch's other takes",
    "wer": "wrong words: {value:.0%} of them differ from the text, at most {limit:.0%} allowed",
    "left_out": "a phrase of {value:.0f} words is left out",
    "said_again": "a phrase of {value:.0f} words is said again",
    "first_word": "the first word is missing or wrong",
    "last_word": "the last word is missing or wrong",
    "voice": "another voice: a likeness of {value:.2f} to the prompt, at least {limit:g} expected",
    "naturalness": "it sounds unnatural: {value:.1f} of 5, at least {limit:g} expected",
    "background": "noise in the background: {value:.1f} of 5, at least {limit:g} expected",
    "music": "music or other sound: {value:.0%} of it is no speech, at most {limit:.0%} allowed",
}
"""By the name of a check; `value` and `limit` are the check's."""


def meaning(name: str, value: float, limit: float) -> str:
    """In words what a check found that failed; its numbers where nothing is said of it here."""
    known = MEANINGS.get(name)
    return f"{known.format(value=value, limit=limit)} ({name})" if known else f"{name} {value} (limit {limit})"
