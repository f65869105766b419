"""The one place of the pipeline that loads open3d: never in a process that has loaded torch."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
import sys
from typing import Any

_SEED = 7


class NoOpen3d(Exception):
    """open3d cannot be loaded here; says why."""


def load_open3d() -> Any:
    """The module `open3d`, with its random numbers seeded.

    Its library is linked against `libusb-1.0.so.0`. On a machine without it, the copy in the PyPI
    package `libusb-package` is loaded first. Raises NoOpen3d where that does not help, and where
    this process has torch: both together are known to crash.
    """
    if "torch" in sys.modules:
        raise NoOpen3d("this process has loaded torch")
    try:
        if ctypes.util.find_library("usb-1.0") is None:
            _load_packaged_libusb()
        module = importlib.import_module("open3d")
    except (ImportError, OSError) as error:
        raise NoOpen3d(f"it cannot be loaded ({error})") from error
    module.utility.set_verbosity_level(module.utility.VerbosityLevel.Error)
    module.utility.random.seed(_SEED)
    return module


def _load_packaged_libusb() -> None:
    try:
        libusb_package = importlib.import_module("libusb_package")
    except ImportError:
        return  # then the system may still find one
    path = libusb_package.get_library_path()
    if path is not None:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
