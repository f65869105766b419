"""SIFT keypoints and descriptors."""
