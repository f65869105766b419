"""The one place that imports open3d for the sample scenes."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib
from typing import Any


def load_open3d() -> Any:
    """Import open3d, lending it a `libusb-1.0` where the system has none.

    Open3D's shared library is linked against `libusb-1.0.so.0`. On a machine without it, the copy
    in the PyPI package `libusb-package` is loaded into the process first.

    Returns the module `open3d`. Raises ImportError when open3d is missing or cannot be loaded.
    """
    if ctypes.util.find_library("usb-1.0") is None:
        _load_packaged_libusb()
    return importlib.import_module("open3d")


def _load_packaged_libusb() -> None:
    try:
        libusb_package = importlib.import_module("libusb_package")
    except ImportError:
        return
    path = libusb_package.get_library_path()
    if path is not None:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
