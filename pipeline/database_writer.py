"""Writes `database.db`, COLMAP's database of a run, beside the stages that follow verification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.workspace import Workspace

_PRODUCTS = ("photos", "features", "matches", "geometries")


class DatabaseWriter:
    """At most one thread that writes the database of a workspace.

    What fails or is killed leaves the database without a record, so the next run writes it again.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._writing: Future[None] | None = None

    def start(self, fingerprint: str, product: Callable[[str], Any]) -> None:
        """Begin to write the outcome of a verification, unless the database holds it.

        fingerprint: of the verification. product: gives a product by its name.
        """
        if self._writing is not None:
            self._writing.exception()  # waits; whatever came of it, what counts is the record
            self._writing = None
        if self._workspace.database_is_of(fingerprint):
            return
        products = [product(name) for name in _PRODUCTS]
        self._workspace.record_database("")
        # A thread of its own: the executor's threads belong to the stage that is running.
        with_one_thread = ThreadPoolExecutor(1, "database")
        self._writing = with_one_thread.submit(self._write, fingerprint, products)
        with_one_thread.shutdown(wait=False)

    def finish(self) -> None:
        """Wait for the end of the writing; raises what it failed with."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    def _write(self, fingerprint: str, products: Sequence[Any]) -> None:
        from pipeline.formats.colmap_database import write_database

        self._workspace.write_database(partial(_write_products, write_database, products))
        self._workspace.record_database(fingerprint)


def _write_products(write: Callable[..., None], products: Sequence[Any], path: Path) -> None:
    write(path, *products)
