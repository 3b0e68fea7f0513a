"""What a step must not do, so that the host never waits for a GPU; tried without one."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class NoWaits(TorchDispatchMode):
    """Fails where the host would wait for a device: a blocking copy to it, or a value from it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        here = [a.device.type for a in args if isinstance(a, torch.Tensor)]
        if func is aten._to_copy.default and here == ["cpu"]:
            elsewhere = torch.device(kwargs.get("device") or "cpu").type != "cpu"
            assert not elsewhere or kwargs.get("non_blocking"), "a blocking copy"
        if func is aten.copy_.default and here == ["meta", "cpu"]:
            assert args[2:] == (True,), "a blocking copy"
        if func in (aten._local_scalar_dense.default, aten.nonzero.default):
            assert here == ["cpu"], "a value is read back"
        return func(*args, **kwargs)


class NoTransfers(NoWaits):
    """Fails at any copy to another device and at any value that is read, on the CPU too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        devices = {a.device.type for a in args if isinstance(a, torch.Tensor)}
        devices |= {torch.device(d).type for d in [(kwargs or {}).get("device")] if d is not None}
        if func in (aten._to_copy.default, aten.copy_.default):
            assert len(devices) == 1, "a copy to another device"
        assert func is not aten._local_scalar_dense.default, "a value is read back"
        return super().__torch_dispatch__(func, types, args, kwargs)
