"""The stage `depth`: depth maps by multi-view stereo, in torch, for CPU cores and GPUs."""
