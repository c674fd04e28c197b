"""The precision that a device computes fast in."""

import torch


def fast_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16 where the device has instructions for it, else float32.

    A CPU without them emulates bfloat16: on an AMD EPYC of 2021 (AVX2), a product of matrices
    took 45 times as long as in float32.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu":
        return torch.float32
    # Private in torch 2.6 to 2.13, and there is no public way to ask.
    asks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    has = any(getattr(torch.cpu, ask, bool)() for ask in asks)
    return torch.bfloat16 if has else torch.float32
