"""bfloat16 is chosen where it is fast, and only there."""

from __future__ import annotations

import pytest
import torch

from uslm_tokenizer.nn.precision import fast_dtype


@pytest.mark.parametrize("amx", [False, True])
@pytest.mark.parametrize("avx512", [False, True])
def test_a_cpu_takes_bfloat16_where_it_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert (fast_dtype("cpu") == torch.bfloat16) == (avx512 or amx)


@pytest.mark.parametrize("supported", [False, True])
def test_a_gpu_is_asked(monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: supported)
    assert (fast_dtype("cuda") == torch.bfloat16) == supported
