"""The terminal: command line and dashboard."""
