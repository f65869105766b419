"""Small pure functions on cameras and points; imports only numpy and scipy."""
