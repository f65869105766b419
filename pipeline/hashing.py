"""Keys of content: equal ingredients, equal key."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

_UNREADABLE = "unreadable: "


def content_key(*parts: Any) -> str:
    """Key of an item: a hash of everything that decides its content (JSON-able parts)."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_digest(path: str | Path) -> str:
    """Hash of a file's content. One that cannot be read has the reason for its hash, so that
    mending it counts as a change."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"{_UNREADABLE}{error.strerror}"


def is_digest(digest: str) -> bool:
    """Whether it is the hash of a content, and no reason why there is none."""
    return not digest.startswith(_UNREADABLE)
