"""Names of photographs that other programs can read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True)
class NameRules:
    """What a program can read as the name of a photograph.

    flat: no folders. no_spaces: no white space of any kind. suffixes: the kinds of files that it
    opens; others become PNG. None: any.
    """

    flat: bool = False
    no_spaces: bool = False
    suffixes: tuple[str, ...] | None = None


def names_for(names: Sequence[str], rules: NameRules) -> Mapping[str, str]:
    """New name of each photograph: its own wherever the rules allow that, and all unlike.

    A flat name is the base name where no other photograph has it, else the whole path with `_` for
    its slashes.
    """
    bases = Counter(PurePosixPath(name).name for name in names)
    new: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        path = PurePosixPath(name)
        wanted = name
        if rules.flat:
            wanted = path.name if bases[path.name] == 1 else name.replace("/", "_")
        if rules.no_spaces:
            wanted = re.sub(r"\s", "_", wanted)
        stem, suffix = wanted.removesuffix(path.suffix), path.suffix
        if rules.suffixes is not None and suffix.lower() not in rules.suffixes:
            suffix = ".png"
        found, count = f"{stem}{suffix}", 1
        while found in taken:
            count += 1
            found = f"{stem}_{count}{suffix}"
        taken.add(found)
        new[name] = found
    return new
