"""Tests of the viewer in a real browser, against real engine processes."""
