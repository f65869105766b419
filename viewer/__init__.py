"""The local HTTP server and its browser client (comes with a later change)."""
