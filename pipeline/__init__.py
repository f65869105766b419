"""barfield's method: from photographs to cameras, points and fields. Knows nothing of terminals or
browsers.
"""
