"""Data about buyers: when it ends, erasing and writing it out for one person's request (S12a)."""
