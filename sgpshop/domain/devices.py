"""What a browser says of itself (User-Agent), in two words that a person knows."""

from __future__ import annotations

#: The first that is named counts: Edge calls itself Chrome too, Chrome Safari, an iPad a Mac at times.
_MACHINES = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("CrOS", "Chromebook"),
    ("Windows", "Windows"),
    ("Macintosh", "Mac"),
    ("Linux", "Linux"),
)
_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("Chrome", "Chrome"),
    ("CriOS", "Chrome"),
    ("Safari", "Safari"),
)


def device_name(browser: str) -> str:
    """`WindowsのChrome`; what is nothing of the kind, as it came, cut."""
    machine, program = (
        next((word for sign, word in known if sign in browser), "")
        for known in (_MACHINES, _BROWSERS)
    )
    if machine and program:
        return f"{machine}の{program}"
    return machine or program or browser[:60]
