"""The dashboard: sees a run and steers it, as a client of its engine."""
