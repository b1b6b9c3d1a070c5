"""When things run, never what they do."""
