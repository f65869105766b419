"""Radiance fields that correct their cameras: NeRF (Mildenhall et al., ECCV 2020) and BARF."""

import os

# Gradients of large grids are allocated anew in every step: in pages of 4 KiB that takes longer
# than to compute them. Torch reads this at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
