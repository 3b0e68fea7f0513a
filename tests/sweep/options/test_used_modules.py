import os

from sweep.options.used_modules import imports_of


def test_modules_that_take_seconds_are_known_from_the_files_of_a_sweep(options, tmp_path):
    own = tmp_path / "own.py"
    assert imports_of(options("ablation")) == []
    assert imports_of(options("transfer")) == ["timm"]  # its backbones are of timm
    assert imports_of(options("ablation", settings=("backbone=timm:resnet18",))) == ["timm"]
    for text, found in (
        ("import timm.models", ["timm"]),
        ("from timm.layers import x", ["timm"]),
        ("'as timm:resnet18 does'", []),
        ("import torch", []),
        ("no python", []),
    ):
        own.write_text(text)
        assert imports_of(options(str(own))) == found
        assert imports_of(options("ablation", imports=(str(own),))) == found
    assert imports_of(options(str(tmp_path / "none.py"))) == []
    os.mkfifo(tmp_path / "pipe.py")  # is not read, which would wait for who writes
    assert imports_of(options(str(tmp_path / "pipe.py"))) == []
