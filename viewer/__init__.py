"""The local HTTP server of a run: one aiohttp application for terminal, scripts and browser."""
