"""Readers and writers of file formats; every function takes paths or bytes and returns products."""
