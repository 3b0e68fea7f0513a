"""What only names torch's compiler does not load it; what compiles does so as ever."""

import subprocess
import sys

import pytest

START = """
import sys
from tl_core.machine.torch_compiler import put_off_compiler

put_off_compiler()
assert not hasattr(sys.modules["torch._dynamo"], "__file__") and "torch" not in sys.modules
import torch

def loaded():
    return type(sys.modules["torch._dynamo"]).__name__ != "_StandIn"

"""
NAMED = """
import timm
from torchvision.ops import roi_align
from tl_core import TrainConfig
from tl_core.models import stage_count

before = "sympy" in sys.modules
stage_count(TrainConfig(backbone="timm:resnet10t"), channels=3, num_classes=2, image_size=32)
assert ("sympy" in sys.modules) == before
with torch.device("meta"):
    model = timm.create_model("resnet10t")
    model(torch.zeros(2, 3, 32, 32))
torch.fx.symbolic_trace(torch.nn.Linear(2, 2))(torch.zeros(1, 2))
roi_align(torch.rand(1, 3, 8, 8), [torch.tensor([[0.0, 0, 4, 4]])], 2)
assert not loaded()
assert torch.compile(lambda x: x + 1, backend="eager")(torch.zeros(1)) == 1
assert loaded()
"""
DISABLED = """
@torch.compiler.disable
def plain(x):
    seen.append(torch.compiler.is_compiling())
    return x + 1

@torch.compiler.disable(recursive=False)
def other(x):
    return plain(x)

seen, graphs = [], []
assert other(torch.zeros(1)) == 1
assert not loaded()
assert plain.__name__ == "plain"

def whole(x):
    return other(x * 2) * 3

def backend(graph, inputs):
    graphs.append([node.name for node in graph.graph.nodes if node.op == "call_function"])
    return graph

assert torch.compile(whole, backend=backend)(torch.ones(1)) == 9
assert seen == [False, False]
assert len(graphs) == 2 and not any("add" in name for graph in graphs for name in graph), graphs
"""
OTHER_NAMES = """
import torch._dynamo as kept
assert not loaded()
{use}
assert loaded() and sys.modules["torch._dynamo"] is torch._dynamo is not kept
assert kept.config is torch._dynamo.config
assert kept.disable(torch.nn.Identity()) is not None
once = torch._dynamo.convert_frame  # holds modules as they were when it was loaded
assert (once.config, once.exc) == (torch._dynamo.config, torch._dynamo.exc)
for name, module in list(sys.modules.items()):
    if name.startswith("torch._dynamo.") and name.count(".") == 2:
        named = getattr(torch._dynamo, name.rpartition(".")[2])
        assert named is module or not isinstance(named, type(sys)), name
        assert module.__spec__.origin == module.__file__, name
"""
USES = [
    "kept.reset()",
    "import torch._dynamo.config",
    "import torch._dynamo.exc",
    "import torch._dynamo.testing",  # that the compiler does not load
    "import torch.export; torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))",
    "from torch._dynamo import config",
    "from torch._dynamo.utils import counters",
    "torch.compile(torch.sin, backend='eager')(torch.zeros(1))",
    "torch.compiler.disable(torch.nn.Identity())",
]
LATE = """
import sys
from tl_core.machine.torch_compiler import put_off_compiler
import torch._dynamo as kept
put_off_compiler()
assert sys.modules["torch._dynamo"] is kept and kept.config
"""
ASKED_ABOUT = """
import importlib.util, inspect, cloudpickle
for name in ("torch._dynamo", "torch._dynamo.utils"):
    assert importlib.util.find_spec(name).origin.endswith(".py")
    assert inspect.getsourcefile(sys.modules[name]).endswith(".py")

def outer():
    @torch.compiler.disable
    def inner(x):
        return x + 1
    return inner

assert cloudpickle.loads(cloudpickle.dumps(outer()))(1) == 2
assert not loaded()
import torch._dynamo as kept
kept.mine = 1
assert loaded()
import torch._dynamo
assert torch._dynamo.mine == 1
torch._dynamo.disable = "another"
assert kept.disable == "another"
"""
ALL_NAMES = """
from torch._dynamo import *
assert loaded()
assert reset is sys.modules["torch._dynamo"].reset
"""
NOT_USERS = """
from tl_core.machine.user_code import is_users
assert not any(is_users(name) for name in sys.modules if name.startswith("torch"))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "code",
    [START + code for code in (NAMED, DISABLED, ASKED_ABOUT, ALL_NAMES, NOT_USERS)]
    + [START + OTHER_NAMES.format(use=use) for use in USES]
    + [LATE],
)
def test_the_compiler_is_loaded_when_it_is_used(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
