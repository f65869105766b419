"""All parameters as a page for people, made of their schema.

usage: python -m pipeline.parameter_table > docs/parameters.md
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, JsonValue

from pipeline.config import RunConfig
from pipeline.settings import ParameterInfo, parameters

_BEGINNING = """\
# Parameters

Made of the schema by `python -m pipeline.parameter_table > docs/parameters.md`; do not edit.

A parameter is named `stage.field`, as in `matching.ratio`. There are four ways to give one:

- `barfield run PHOTOS --set matching.ratio=0.75`, as often as you like;
- `barfield run PHOTOS --config FILE`, a TOML file with a section for each stage. Every run writes
  one with all its parameters, `run.toml`;
- `barfield set RUN matching.ratio=0.75` while the run goes on; at rest, `barfield resume RUN --set
  matching.ratio=0.75`;
- in the dashboard with the key `p`, and in the browser.

What `--set` says wins over the file, and the file over the defaults. Unknown names and impossible
values are refused, with the nearest name that there is.

`applies` says when a change takes effect while the run goes on:

- `live`: between two steps of the stage. Where the stage is done already, it runs
  again, and all that follow;
- `stage`: the stage runs again from its beginning, and all that follow; you are asked first;
- `restart`: not while the run goes on. Stop it, and go on with `barfield resume RUN --set ...`.

`null` means that nothing is given, and the stage decides: in `radiance`, by `radiance.preset`, the
photographs and the device. `stage.field=null` gives a parameter back.
"""

_LIMITS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))


def parameters_as_markdown() -> str:
    """The whole page."""
    known = parameters()
    parts = [_BEGINNING]
    for stage in RunConfig.model_fields:
        section: type[BaseModel] = type(getattr(RunConfig(), stage))
        rows = [
            _row(name.removeprefix(f"{stage}."), info)
            for name, info in known.items()
            if name.startswith(f"{stage}.")
        ]
        head = "| name | default | unit | range | effect | applies |\n| --- " + "| --- " * 5 + "|\n"
        about = inspect.cleandoc(section.__doc__ or "")
        parts.append(f"## {stage}\n\n{about}\n\n{head}{''.join(rows)}")
    return "\n".join(parts)


def _row(name: str, info: ParameterInfo) -> str:
    cells = (
        f"`{name}`",
        f"`{_shown(info.default)}`",
        info.unit,
        _range_of(info.bounds),
        info.effect,
        info.applies,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _range_of(bounds: Mapping[str, Any]) -> str:
    """Type and limits in words."""
    if "enum" in bounds:
        return ", ".join(f"`{_shown(value)}`" for value in bounds["enum"])
    kinds = bounds["type"] if isinstance(bounds["type"], list) else [bounds["type"]]
    if "boolean" in kinds:
        words = ["`true`, `false`"]
    elif "string" in kinds:
        words = ["text"]
    elif "array" in kinds:
        words = ["a list"]
    else:
        limits = [f"{sign} {_shown(bounds[key])}" for key, sign in _LIMITS if key in bounds]
        words = ["integer" if "integer" in kinds else "number", *limits]
    return ", ".join(words + ["`null`"] * ("null" in kinds))


def _shown(value: JsonValue) -> str:
    """A value as on a command line; of a fraction, six digits are enough."""
    if isinstance(value, str):
        return value or '""'
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


if __name__ == "__main__":
    print(parameters_as_markdown(), end="")
