"""vvbatch: a job-queue batch renderer for VibeVoice text-to-speech."""

__version__ = "0.1.0"
