"""One module a program, and one for the plain slip files; `services/files/layout.py` says how to write one."""
