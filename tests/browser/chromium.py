"""The browser of the system, which the tests of this folder drive."""

from __future__ import annotations

import shutil

# Debian and others; Ubuntu's own name; Google's package.
NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "The tests of the viewer need Chromium, and none of "
    f"{', '.join(NAMES)} is on the PATH. Install it (Debian: apt install chromium)."
)


def find_chromium() -> str | None:
    """Path of the browser, None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)
