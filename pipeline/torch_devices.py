"""Which device computes, what it can do, and what its failures mean."""

from __future__ import annotations

import torch

from pipeline.errors import PipelineError


def choose_device(wanted: str, field: str = "radiance.device") -> torch.device:
    """The device that a field of the configuration asks for: auto takes a GPU if one works.

    Raises PipelineError where a GPU is asked for and none works.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    problem = _gpu_problem()
    if problem is None:
        return torch.device("cuda")
    if wanted == "cuda":
        raise PipelineError("No GPU", f"{field} is cuda, but {problem}", f"Use {field} = auto.")
    return torch.device("cpu")


def bfloat16_pays(device: torch.device) -> bool:
    """Whether networks run faster in bfloat16 on a device: only where it multiplies them in
    hardware. Without that, a CPU takes twenty times as long."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.10
        return False
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16") or able.get("avx512_bf16"))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that a device has no more memory to give."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = str(error)
    return isinstance(error, RuntimeError) and (
        "DefaultCPUAllocator" in words or "not enough memory" in words or "out of memory" in words
    )


def is_device_lost(error: Exception) -> bool:
    """Whether an error says that the GPU cannot be used any more."""
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("CUDA error", "CUDA driver", "cuDNN error", "CUBLAS")
    )


def device_lost(error: RuntimeError) -> PipelineError:
    """What to tell the user of a GPU that cannot be used any more."""
    return PipelineError(
        "The GPU is gone",
        f"{str(error).splitlines()[0]}.",
        "Start the same command again: it goes on from the last checkpoint, without a GPU too, if "
        "radiance.device is auto or cpu.",
    )


def _gpu_problem() -> str | None:
    """Why no GPU can be used; None if one can."""
    if not torch.cuda.is_available():
        return "this torch finds none."
    try:
        torch.zeros(1, device="cuda").add_(1).item()
    except RuntimeError as error:  # there is one, but its driver or its memory refuses
        return f"it refuses to work: {error}"
    return None
