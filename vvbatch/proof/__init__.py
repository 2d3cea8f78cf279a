"""Proof of a profile: 12 sentences are rendered, measured, and compared with real VibeVoice audio (`models prove`)."""
