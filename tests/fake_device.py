"""A GPU that is not there: its tensors say they lie on another device, and compute on the CPU.

What would fail on a real one, for tensors that lie on two devices, fails on it: so a test finds
without a GPU where code forgets to move something. `meta` is the one device that PyTorch lets
everybody name; here its tensors have values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

GPU, CPU = torch.device("meta"), torch.device("cpu")
COPYING = {"copy_", "_to_copy"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}  # indices may lie on the CPU


class OnGpu(Tensor):
    """A tensor on the pretended device, around one on the CPU."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> OnGpu:
        made: OnGpu = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=GPU,
        )  # fmt: skip
        return made

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.inner})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, kwargs or {})

    def tolist(self) -> Any:
        return self.inner.detach().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError("cannot convert a tensor of the GPU to numpy: cpu() comes first")
        return self.inner.numpy(force=True)


def _compute(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """One operation, if a real GPU would do it: on the CPU, but the result goes where it should."""
    name = func._overloadpacket.__name__
    flat, shape = tree_flatten((args, kwargs))
    there = [each for each in flat if isinstance(each, OnGpu)]
    here = [each for each in flat if isinstance(each, Tensor) and not isinstance(each, OnGpu)]
    assert not any(each.device == GPU for each in here), f"{func}: a tensor without values"
    device = kwargs.get("device")
    on_gpu = bool(there) if device is None else torch.device(device) == GPU
    if name in INDEXING or name == "copy_":
        on_gpu = isinstance(args[0], OnGpu)
    may_mix = name in COPYING or (name in INDEXING and on_gpu)
    if there and not may_mix and any(each.ndim for each in here):
        shapes = [[tuple(each.shape) for each in side] for side in (there, here)]
        raise RuntimeError(f"{func}: {shapes[0]} lie on the GPU, but {shapes[1]} on the CPU")
    if on_gpu and any(isinstance(each, torch.Generator) for each in flat):
        raise RuntimeError(f"{func}: a generator of the CPU cannot draw on the GPU")
    args, kwargs = tree_unflatten([_inner(each) for each in flat], shape)
    known = {id(each.inner): each for each in there}  # what is changed in place stays itself
    # Inference tensors cannot be wrapped; this is below autograd anyhow.
    with torch.inference_mode(False), torch._C._AutoDispatchBelowAutograd():
        result = func(*args, **kwargs)
        if not on_gpu:
            return result

        def there_again(made: Tensor) -> Tensor:
            return known[id(made)] if id(made) in known else OnGpu(made)

        return tree_map_only(Tensor, there_again, result)


def _inner(argument: Any) -> Any:
    if isinstance(argument, OnGpu):
        return argument.inner
    return CPU if isinstance(argument, torch.device) and argument == GPU else argument


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        return _compute(func, args, kwargs or {})


class _Factories(TorchFunctionMode):
    """torch.tensor(..., device=) makes its tensor below the operations."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor):
            device = kwargs.pop("device", None)
            made = func(*args, **kwargs)
            return made if device is None else made.to(device)
        if func is torch.Tensor.new_tensor and isinstance(args[0], OnGpu):
            return torch.tensor(args[1], dtype=args[0].dtype).to(GPU)
        return func(*args, **kwargs)


@contextmanager
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The device; inside, operations on its tensors work."""
    autocast: Callable[..., Any] = torch.autocast

    def on_cpu(device_type: str, *args: Any, **kwargs: Any) -> Any:
        return autocast("cpu" if device_type == GPU.type else device_type, *args, **kwargs)

    monkeypatch.setattr(torch, "autocast", on_cpu)
    swap = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with _Operations(), _Factories():
            yield GPU
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(swap)
