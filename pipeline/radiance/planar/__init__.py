"""Planar alignment: patches of one image find their places while the image is learned."""
