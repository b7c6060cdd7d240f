"""What torch's Python functions say and do about the device that is not there."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from tests.simulated.graph import tensors
from tests.simulated.kernels import Kernels

CUDA = torch.device("cuda", 0)
FROM_HOST = {torch.tensor, torch.as_tensor, torch.asarray, torch.scalar_tensor, Tensor.new_tensor}
"""Functions that copy what the host holds."""
BACKWARD = {torch.autograd.grad, torch.autograd.backward, Tensor.backward}
"""Functions that make gradients of zero where the tensors are that they belong to."""


class Functions(TorchFunctionMode):
    """Above autograd: `device=`, moves between devices, and questions of where a tensor is."""

    def __init__(self, kernels: Kernels) -> None:
        super().__init__()
        self.kernels, self.places = kernels, kernels.places
        self.special: dict[Any, Callable[..., Any]] = {
            Tensor.device.__get__: self._device,
            Tensor.is_cuda.__get__: lambda x: x in self.places,
            Tensor.is_cpu.__get__: lambda x: x not in self.places,
            Tensor.get_device: lambda x: 0 if x in self.places else -1,
            Tensor.to: self._to,
            Tensor.cpu: lambda x, **_: self._move(x, False),
            Tensor.cuda: lambda x, *_, **__: self._move(x, True),
            Tensor.numpy: lambda x, **k: self._on_host(x).numpy(**k),
            Tensor.__array__: lambda x, *a, **k: self._on_host(x).__array__(*a, **k),
            Tensor.tolist: self._tolist,
            Tensor.__deepcopy__: self._deepcopy,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self.special:
            return self.special[func](*args, **kwargs)
        if kwargs.get("generator") is not None:
            self.kernels.draw(func, kwargs["generator"], self._on_device(args, kwargs))
        if kwargs.get("device") is not None:
            if is_cuda(kwargs["device"]):
                return self._make(func, args, {**kwargs, "device": torch.device("cpu")})
            found = func(*args, **kwargs)
            return self._move(found, False) if isinstance(found, Tensor) else found
        elif func in BACKWARD and self._on_device(args, kwargs):
            with self.kernels.made_there():
                return func(*args, **kwargs)
        elif func is Tensor.new_tensor and args[0] in self.places:
            return self._make(func, args, kwargs)
        return func(*args, **kwargs)

    def _make(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """A new tensor on the device; from the host's numbers by a copy that waits."""
        if func in FROM_HOST:
            found = func(*args, **kwargs)
            return found if isinstance(args[0], Tensor) and found in self.places else self._move(found, True)
        with self.kernels.made_there():
            found = func(*args, **kwargs)
        self.places.put(found)
        return found

    def _on_device(self, args: Any, kwargs: Any) -> bool:
        asked = kwargs.get("device")
        return is_cuda(asked) if asked is not None else any(x in self.places for x in tensors(args))

    def _device(self, x: Tensor) -> torch.device:
        return CUDA if x in self.places else Tensor.device.__get__(x)

    def _to(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if args and isinstance(args[0], Tensor):
            return self._to(x, self._device(args[0]), args[0].dtype, *args[1:], **kwargs)
        kwargs.pop("copy", None)
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        x = x if dtype is None else x.to(dtype)
        return x if device is None else self._move(x, is_cuda(device))

    def _move(self, x: Tensor, there: bool) -> Tensor:
        if (x in self.places) == there:
            return x
        self.kernels.wait("a copy between host and device")
        moved = x.clone()
        (self.places.put if there else self.places.take)(moved)
        return moved

    def _on_host(self, x: Tensor) -> Tensor:
        if x in self.places:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")
        return x

    def _tolist(self, x: Tensor) -> Any:
        if x in self.places:
            self.kernels.wait("tolist")
        return x.tolist()

    def _deepcopy(self, x: Tensor, memo: Any) -> Tensor:
        found = x.__deepcopy__(memo)
        if x in self.places:
            self.places.put(found)
        return found


def is_cuda(device: Any) -> bool:
    """Whether `device`, in any form that torch takes, is a CUDA device."""
    return isinstance(device, int) or torch.device(device).type == "cuda"
