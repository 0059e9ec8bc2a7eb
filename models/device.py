"""Where networks run and in which precision."""

from contextlib import AbstractContextManager, nullcontext

import torch

from models.errors import InputError


def resolve(name: str) -> torch.device:
    """Turn "auto", "cpu", "cuda", "cuda:1", "mps" into a device that exists here; raises
    InputError.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        known = device.type in ("cpu", "cuda", "mps")
    except RuntimeError:
        known = False
    if not known:
        raise InputError(f"device {name}: expected auto, cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {name}: there is no such CUDA device here; take auto or cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device {name}: Metal is not available here; take auto or cpu")
    return device


def fast_dtype(device: torch.device) -> torch.dtype:
    """Return half precision on CUDA, bfloat16 on a CPU that computes in it (2x on ResNet50), else
    float32.
    """
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return torch.bfloat16
    return torch.float32


def has_int8() -> bool:
    """Whether this CPU multiplies 8-bit integers without overflow of 16 bits (AVX-512 VNNI)."""
    return torch.cpu._is_vnni_supported()


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which networks run in `fast_dtype`."""
    dtype = fast_dtype(device)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)
