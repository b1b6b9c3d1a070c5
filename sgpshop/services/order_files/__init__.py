"""Order files: read, taken in, put right, written out."""
