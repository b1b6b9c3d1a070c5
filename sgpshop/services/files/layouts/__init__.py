"""One module a layout; `services/files/layout.py` says how to write one."""
