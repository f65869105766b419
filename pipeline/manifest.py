"""Which stages of a run are done, with what they were done from: the basis of skipping them.

A stage's fingerprint is a hash of its ingredients: name, version, its section of the config, the
fingerprints of the products that it needs, and the content hashes of what the user gave it. The
ingredients themselves are kept, so that a difference can be told in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from pydantic import JsonValue

from pipeline.hashing import content_key

Hashes = Mapping[str, str]
_MOST_NAMED = 3
T = TypeVar("T")


@dataclass(frozen=True)
class Ingredients:
    """Everything that decides what a stage makes.

    config: its section as it was at the end, as plain data. needs: fingerprint of the stage that
    made each product. given: content hashes of the user's files, by name, for each product that
    the user gives. live: what was changed while it ran: step, field and new value of each change.
    """

    stage: str
    version: int
    config: Mapping[str, Any]
    needs: Hashes
    given: Mapping[str, Hashes]
    live: Sequence[Sequence[JsonValue]] = ()

    @property
    def fingerprint(self) -> str:
        """Hash of all ingredients; equal fingerprints mean equal products."""
        return content_key(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Plain data; `live` only where there is something, so that old fingerprints hold."""
        data = asdict(self)
        if not self.live:
            del data["live"]
        return data

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Ingredients:
        """Inverse of :meth:`to_json`; TypeError or KeyError for anything else."""
        return Ingredients(
            _a(str, data["stage"]),
            _a(int, data["version"]),
            _a(dict, data["config"]),
            _a(dict, data["needs"]),
            _a(dict, data["given"]),
            _a(list, data.get("live", [])),
        )


@dataclass(frozen=True)
class StageEntry:
    """A finished stage: what it was made from, how long it took and what it reported."""

    ingredients: Ingredients
    seconds: float
    report: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        ingredients = self.ingredients.to_json()
        return {"ingredients": ingredients, "seconds": self.seconds, "report": self.report}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> StageEntry:
        """Inverse of :meth:`to_json`; TypeError or KeyError for anything else."""
        ingredients = Ingredients.from_json(data["ingredients"])
        return StageEntry(ingredients, float(data["seconds"]), _a(dict, data["report"]))


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`, less its format number.

    scene: absolute path of the photographs. photos: content hash of each, by name. stages: the
    finished ones. database: fingerprint of the verification that `database.db` holds, or "".
    """

    program: str
    scene: str = ""
    photos: Hashes = field(default_factory=dict)
    stages: Mapping[str, StageEntry] = field(default_factory=dict)
    database: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        stages = {name: entry.to_json() for name, entry in self.stages.items()}
        return {**vars(self), "stages": stages}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Manifest:
        """Inverse of :meth:`to_json`; TypeError or KeyError for anything else."""
        stages = _a(dict, data["stages"])
        return Manifest(
            _a(str, data["program"]),
            _a(str, data["scene"]),
            _a(dict, data["photos"]),
            {name: StageEntry.from_json(entry) for name, entry in stages.items()},
            _a(str, data["database"]),
        )


def differences(old: Ingredients, new: Ingredients) -> list[str]:
    """What changed between two runs of a stage, in words; empty if nothing did.

    What was changed while it ran is no difference: the configuration has the same fields now.
    """
    found = []
    if old.version != new.version:
        found.append(f"the stage's method is version {new.version}, it was {old.version}")
    for key in sorted({*old.config, *new.config}):
        before, after = old.config.get(key), new.config.get(key)
        if before != after:
            found.append(f"{new.stage}.{key} is {after!r}, it was {before!r}")
    for product in sorted({*old.given, *new.given}):
        found += _file_differences(old.given.get(product, {}), new.given.get(product, {}))
    for product in sorted({*old.needs, *new.needs}):
        if old.needs.get(product) != new.needs.get(product):
            found.append(f"the {product} changed")
    return found


def _a(kind: type[T], value: Any) -> T:
    """The value, if it is of that kind."""
    if isinstance(value, kind):
        return value
    raise TypeError(f"{value!r} is no {kind.__name__}")


def _file_differences(old: Hashes, new: Hashes) -> list[str]:
    kinds = {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
    }
    return [f"{_some(names)} {verb}" for verb, names in kinds.items() if names]


def _some(names: list[str]) -> str:
    listed = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{listed} and {more} more" if more > 0 else listed
