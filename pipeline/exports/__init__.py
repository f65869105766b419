"""A run's model and meshes in the forms that other programs read."""
