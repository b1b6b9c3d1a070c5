"""Money: acts begin, are written down, sent, recorded, looked up; the only rooms that move it."""
