"""The run engine: supervises worker processes, one for each set of libraries."""
