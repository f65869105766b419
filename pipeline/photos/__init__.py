"""Photographs in: reading, EXIF, camera grouping, masks, key frames of a video."""
