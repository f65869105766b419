"""Which folder the photographs lie in that a user points at; without looking at any of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def common_folder(files: Iterable[Path]) -> Path:
    """The deepest folder that holds all files; there has to be one of them."""
    return Path(os.path.commonpath([file.absolute().parent for file in files]))


def folder_read(root: Path) -> Path:
    """The folder that is read for a root: its ``images`` folder if it has one, else itself.

    Raises OSError where the root cannot be looked into.
    """
    images = root / "images"
    return images if images.is_dir() else root
