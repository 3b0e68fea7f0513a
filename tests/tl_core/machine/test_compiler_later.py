"""timm and torchvision are imported without torch's compiler, and work with it later."""

import subprocess
import sys
from types import ModuleType

import pytest

from tl_core.machine.compiler_later import CompilerLater, _functions_later, _marked_later

PROBE = """
import sys
import tl_core, timm, torch
from torchvision.ops.roi_align import is_compile_supported
print("torch._dynamo" in sys.modules)
from torchvision.ops import SqueezeExcitation
timm.create_model("test_vit")
from tl_core.machine.compiler_later import without_compiler_import
from torch.utils.flop_counter import FlopCounterMode
with without_compiler_import(), FlopCounterMode(display=False) as counter:
    torch.nn.Linear(3, 5)(torch.zeros(2, 3))
with without_compiler_import():
    torch.zeros(2, device="meta").normal_()
print(counter.get_total_flops(), "torch._dynamo" in sys.modules)
with without_compiler_import():
    import torch._dynamo.config
    print(torch._dynamo.config.__spec__ is not None, torch._dynamo.__spec__ is not None)
print(is_compile_supported("cpu") in (True, False), "torch._dynamo" in sys.modules)
import torch._dynamo.utils
print(torch._dynamo.utils.__spec__ is not None, torch.compiler.disable.__name__)
"""


@pytest.mark.slow
def test_the_compiler_is_imported_when_it_is_called():
    run = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=False
    )
    told = ["False", "60 False", "True True", "True True", "True disable"]
    assert run.stdout.splitlines() == told, run.stderr


def test_another_function_than_the_known_one_is_the_compilers_own():
    before = sys.modules.get("torch._dynamo.utils")
    with _functions_later():
        from torch._dynamo.utils import is_compile_supported

        assert is_compile_supported.__module__ == CompilerLater.__module__
    assert sys.modules.get("torch._dynamo.utils") is before


def test_a_marked_function_is_kept_from_the_compiler_once_there_is_one(monkeypatch):
    marks = []
    call = _marked_later(lambda x: x + 1, lambda: marks.append("marked") or (lambda x: x + 2))
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    assert (call(1), marks) == (2, [])
    monkeypatch.setitem(sys.modules, "torch._dynamo", ModuleType("torch._dynamo"))
    assert (call(1), call(2), marks) == (3, 4, ["marked"])


def test_other_modules_are_found_as_ever():
    assert CompilerLater().find_spec("timm.models", None) is None
