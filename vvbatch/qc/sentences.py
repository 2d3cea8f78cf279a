"""What a failed check means, in words a listener would use: one sentence for each check, and what helps.

A sentence begins with its verb, so that it follows the text that was spoken: "'She never came back.' was cut short: …".
"""

from __future__ import annotations

from collections.abc import Mapping

MEANINGS: Mapping[str, str] = {
    "finite": "is broken audio: samples that are no numbers",
    "not_empty": "gave no audio",
    "sample_rate": "has a sample rate of {value:g} Hz where {limit:g} Hz are expected",
    "channels": "has {value:g} channels where {limit:g} are expected",
    "readable": "cannot be read",
    "budget": "did not stop by itself and was ended at the longest time allowed",
    "dc_offset": "has a waveform off centre by {value:.3g} where at most {limit:g} is allowed",
    "clipping": "is overdriven: {value:.2%} of it is cut off at the loudest level where at most {limit:.2%} is allowed",
    "true_peak": "has peaks of {value:.1f} dBTP where at most {limit:g} are allowed",
    "level": "is too quiet: {value:.0f} dBFS where at least {limit:g} are expected",
    "loudness_min": "is too quiet: {value:.1f} LUFS where at least {limit:g} are expected",
    "loudness_max": "is too loud: {value:.1f} LUFS where at most {limit:g} are expected",
    "noise_floor": "has noise or music under the speech: {value:.0f} dBFS where at most {limit:g} are expected",
    "clicks": "has {value:.0f} clicks where at most {limit:g} are allowed",
    "dropouts": "has {value:.0f} dropouts where at most {limit:g} are allowed",
    "bandwidth": "is muffled: nothing above {value:,.0f} Hz where at least {limit:,.0f} Hz are expected",
    "repeated": "repeats {value:.1f} s of itself where at most {limit:.1f} s are expected",
    "leading_silence": "begins with {value:.1f} s of silence where at most {limit:g} s are allowed",
    "trailing_silence": "ends with {value:.1f} s of silence where at most {limit:g} s are allowed",
    "inner_silence": "has a silence of {value:.1f} s within the speech where at most {limit:g} s are allowed",
    "speech_share": "is mostly silence: {value:.0%} is speech where at least {limit:.0%} is expected",
    "start_level": "begins in the middle of a sound",
    "end_level": "was cut off in the middle of a sound",
    "duration_min": "was cut short: {value:.1f} s of speech where at least {limit:.1f} s were expected",
    "duration_max": "is too long: {value:.1f} s of speech where at most {limit:.1f} s were expected",
    "s_per_syllable_min": "is too fast, or misses words: {value:.2f} s a syllable where at least {limit:g} s are "
    "expected",
    "s_per_syllable_max": "is too slow, or has words added: {value:.2f} s a syllable where at most {limit:g} s are "
    "expected",
    "s_per_word_max": "is too slow, or has words added: {value:.2f} s a word where at most {limit:g} s are expected",
    "pace": "has a pace unlike that of the batch's other takes",
    "wer": "has wrong words: {value:.0%} of them differ from the text where at most {limit:.0%} may",
    "left_out": "leaves out a phrase of {value:.0f} words",
    "said_again": "says a phrase of {value:.0f} words twice",
    "first_word": "does not begin with the first word of the text",
    "last_word": "does not end with the last word of the text",
    "voice": "has another voice: a likeness of {value:.2f} to the prompt where at least {limit:g} is expected",
    "naturalness": "sounds unnatural: {value:.1f} of 5 where at least {limit:g} is expected",
    "background": "has noise in the background: {value:.1f} of 5 where at least {limit:g} is expected",
    "music": "has music or other sound: {value:.0%} of it is no speech where at most {limit:.0%} is allowed",
}
"""By the name of a check; `value` and `limit` are the check's."""


def meaning(name: str, value: float, limit: float) -> str:
    """In words what a check found that failed; its numbers where nothing is said of it here."""
    known = MEANINGS.get(name)
    return f"{known.format(value=value, limit=limit)} ({name})" if known else f"{name} {value} (limit {limit})"
