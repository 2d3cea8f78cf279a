"""What an engine is given to speak."""
