"""Reading files that users hand us: what cannot be read or understood names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError


def malformed(path: Path, detail: str, hint: str = "") -> PipelineError:
    """The error for a file whose content is not what its name promises."""
    return PipelineError(
        "Unreadable file",
        f"{path}: {detail}",
        hint or "The file may be truncated or damaged; write or copy it again.",
    )


def read_bytes(path: Path) -> bytes:
    """The file's bytes. Raises PipelineError naming a file that is missing or cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise PipelineError(
            "File not found", f"{path} does not exist", "Check the path for a typing error."
        ) from None
    except OSError as error:
        raise PipelineError(
            "File not readable",
            f"{path}: {error.strerror or error}",
            "Check that it is a file and that you may read it.",
        ) from None


def read_text(path: Path) -> str:
    """The file's UTF-8 text. Raises PipelineError as `read_bytes`, and for other encodings."""
    try:
        return read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(path, f"byte {error.start} is not UTF-8 text") from None


def read_json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises PipelineError as `read_text`, and for anything else."""
    try:
        value = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise malformed(path, f"not JSON: {error.msg} at line {error.lineno}") from None
    if not isinstance(value, dict):
        raise malformed(path, f"a JSON object is needed, not a {type(value).__name__}")
    return value
