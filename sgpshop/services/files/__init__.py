"""Files that other programs write: bytes -> rows (`reading`), rows -> fields (`layout`, `layouts/`).

What a field may say, and what becomes of it, is the affair of the room that asked for the file.
"""
