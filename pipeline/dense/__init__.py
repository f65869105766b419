"""Depth, clouds and meshes. The only place that loads open3d."""
