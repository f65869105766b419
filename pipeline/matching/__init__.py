"""Which photographs to compare, their descriptor matches, and the geometry that verifies them."""
