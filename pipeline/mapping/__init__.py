"""Incremental structure from motion: tracks, resection, triangulation, bundle adjustment."""
