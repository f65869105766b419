"""Writing messages as JSON."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json


def as_json(message: BaseModel) -> str:
    """A message as JSON text; numbers that are not finite become null."""
    try:
        return message.model_dump_json()
    except PydanticSerializationError:
        # Names of files need not be UTF-8: Python reads such bytes as halves of surrogate pairs.
        return to_json(_presentable(message.model_dump()), inf_nan_mode="null").decode()


def _presentable(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode("utf-8", "replace").decode()
    if isinstance(data, dict):
        return {_presentable(key): _presentable(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_presentable(entry) for entry in data]
    return data
