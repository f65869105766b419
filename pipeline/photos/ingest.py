"""The first stage: which files are photographs, what they look like, which cameras took them."""

from __future__ import annotations

from collections.abc import Generator
from typing import ClassVar

from pipeline.config import IngestConfig
from pipeline.config_base import StageConfig
from pipeline.events import Record
from pipeline.stage import Control, Inputs, Products


class Ingest:
    """Photographs of a `PhotoSource` to a `PhotoIndex`, and `thumbnails`: name to JPEG bytes."""

    name: ClassVar[str] = "ingest"
    version: ClassVar[int] = 1
    needs: ClassVar[tuple[str, ...]] = ("source",)
    makes: ClassVar[tuple[str, ...]] = ("photos", "thumbnails")
    Config: ClassVar[type[StageConfig]] = IngestConfig

    def run(
        self, inputs: Inputs, config: IngestConfig, control: Control
    ) -> Generator[Record, None, Products]:
        """Read every photograph once. Raises PipelineError where fewer than three can be used, or
        where folder, masks, cameras or video cannot be read as asked."""
        # Imported here, so that naming the stage does not pull in OpenCV.
        from pipeline.photos.index import index_photos

        index, thumbnails = yield from index_photos(inputs["source"], config, control, self.version)
        return {"photos": index, "thumbnails": thumbnails}
