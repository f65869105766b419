"""Radiance fields that correct their cameras: NeRF (Mildenhall et al., ECCV 2020) and BARF."""
